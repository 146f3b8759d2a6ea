"""What the commands of `tfticket noise` share: options, and what they all do and say."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import data_dir_option, json_option

if TYPE_CHECKING:
    from tfticket.audit import Subject
    from tfticket.noisy import CleanSplit, NoiseEstimate, TransitionMatrix

_INSTANCE = "instance"
KINDS = ("symmetric", "symmetric_inclusive", "pair", "cifar10_asymmetric", _INSTANCE)
DEFAULT_KIND = "symmetric"
_NOT_KNOWN = "can't be told"

labels_option = click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of labels to look at, in the order of DATA (.npy, .npz, .csv, .txt). DATA's own "
    "labels are then the true ones.",
)
kind_option = click.option(
    "--kind", type=click.Choice(KINDS), help="Type of the noise of --rate.  [default: symmetric]"
)
matrix_option = click.option(
    "--matrix",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Any noise instead: a file (.npy, .npz, .csv) whose row i holds the probabilities of the "
    "labels given to class i.",
)


def subject_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What labels are looked at, and how that is told."""
    for option in (
        json_option,
        data_dir_option,
        click.option(
            "--limit", type=click.IntRange(min=1), help="Look at the first so many examples only."
        ),
        click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of it all."),
        click.argument("data", metavar="DATA"),
    ):
        command = option(command)
    return command


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What looks at the labels."""
    for option in (
        click.option(
            "--keep",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder for what networks predicted; what was stopped goes on there.",
        ),
        click.option(
            "--learning-rate",
            type=click.FloatRange(min=0, min_open=True),
            help="Learning rate of Adam, from which it falls to 0.  [default: 0.002]",
        ),
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            help="Examples in a step, at most a tenth of all.  [default: 128]",
        ),
        click.option(
            "--folds",
            type=click.IntRange(min=2),
            help="Parts of the data; each is predicted by what learned the others.  [default: 2 "
            "for networks, 5 for rows of numbers]",
        ),
        click.option(
            "--epochs",
            type=click.IntRange(min=1),
            help="Epochs of each network. Few serve better than many.  [default: by the data]",
        ),
        click.option(
            "--width",
            type=click.FloatRange(min=0, min_open=True),
            help="Factor of the network's channels and units.  [default: by the model]",
        ),
        click.option(
            "--model",
            help="A network of the zoo.  [default: by the data; rows of floats get logistic "
            "regression and nearest neighbors]",
        ),
    ):
        command = option(command)
    return command


def subject_of(data: str, labels: Path | None, data_dir: Path | None, limit: int | None) -> Subject:
    """Starts TensorFlow, and loads the labels to look at."""
    from tfticket.quiet import start_tensorflow

    start_tensorflow()
    from tfticket.audit import Subject

    subject = Subject.load(data, labels=labels, data_dir=data_dir, limit=limit)
    click.echo(subject.data.description, err=True)
    return subject


def run_audit(
    subject: Subject,
    seed: int,
    *,
    folds: int | None,
    keep: Path | None,
    iterations: int = 1,
    batch_size: int | None,
    learning_rate: float | None,
    **network: Any,
) -> CleanSplit:
    """Says by what the labels are looked at and what it costs, and does it."""
    from tfticket.audit import LabelAudit, Network, RowAudit

    given = {"batch_size": batch_size, "learning_rate": learning_rate, **network}
    given = {name: value for name, value in given.items() if value is not None}
    if subject.has_rows and not given:
        rows = RowAudit(subject, folds=folds, iterations=iterations, seed=seed)
        split = rows.run()
        click.echo(
            f"Rows of {subject.data.input_shape[0]:,} numbers, scaled by column; {rows.folds} "
            f"folds. Predicted by {rows.learner}. Give --model for a network.",
            err=True,
        )
        return split
    made = Network(**given)
    audit = LabelAudit(subject, made, folds=folds or 2, iterations=iterations, seed=seed)
    click.echo(
        f"{made.model_for(subject)}, width {made.width_for(subject):g}, "
        f"{made.epochs_for(subject)} epochs, batches of {made.batch_size_for(subject)}. "
        f"At most {audit.cost.fits} networks, "
        f"{audit.cost.steps:,} steps: {audit.cost.epochs:.1f} passes over {len(subject):,} "
        "examples.",
        err=True,
    )
    return audit.run(
        folder=keep,
        tell=lambda number, of: click.echo(f"Training network {number} of {of}.", err=True),
    )


def estimated(estimate: NoiseEstimate, subject: Subject) -> list[tuple[str, str]]:
    """An estimate as rows of texts."""
    between = f"{share(estimate.low)} to {share(estimate.high)}"
    rows = [
        ("estimated rate", share(estimate.rate) if estimate.identifiable else _NOT_KNOWN),
        ("interval", f"{between} ({100 * estimate.confidence:g} %)"),
        ("type", estimate.kind),
        ("identifiable", "yes" if estimate.identifiable else f"no: {estimate.reason}"),
    ]
    if subject.corruption is not None:
        rows.append(("realized rate", share(subject.corruption.realized_rate)))
    return rows


def corrupted(
    subject: Subject,
    kind: str | None,
    rate: float | None,
    matrix: Path | None,
    *,
    seed: int,
    exact: bool,
) -> Subject:
    """Makes labels wrong by a rate or by a matrix, one of them."""
    if matrix is not None:
        if kind is not None:
            raise click.UsageError("--kind is about --rate. Leave it out with --matrix.")
        from tfticket.noisy import read_transition_file

        return subject.corrupted(read_transition_file(matrix), seed=seed, exact=exact)
    assert rate is not None  # the command asked for one of them
    if kind == _INSTANCE:
        if exact:
            raise click.UsageError("Instance-dependent noise has no --exact number of labels.")
        return subject.corrupted_by_looks(rate, seed=seed)
    made = transition_of(kind or DEFAULT_KIND, rate, subject)
    return subject.corrupted(made, seed=seed, exact=exact)


def transition_of(kind: str, rate: float, subject: Subject) -> TransitionMatrix:
    """The matrix of a kind of noise, over the classes of the data."""
    from tfticket import noisy

    classes = subject.data.num_classes
    if kind == "cifar10_asymmetric":
        return noisy.cifar10_asymmetric(rate)
    if kind == "pair":
        return noisy.pair(classes, rate)
    return noisy.symmetric(classes, rate, inclusive=kind == "symmetric_inclusive")


def share(value: float) -> str:
    """In percent; a dash for a share of nothing."""
    return "-" if math.isnan(value) else f"{100 * value:.2f} %"
