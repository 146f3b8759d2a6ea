"""`tfticket noise`: how many labels of a data set are wrong, and which ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import data_dir_option, json_option, print_columns, print_json

if TYPE_CHECKING:
    from tfticket.noise import CleanSplit, LabeledData, NoiseEstimate, TransitionMatrix


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


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
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


def load_labeled(
    data: str, labels: Path | None, data_dir: Path | None, limit: int | None
) -> LabeledData:
    """Starts TensorFlow, and loads the labels to look at."""
    from tfticket.cli.quiet import start_tensorflow

    start_tensorflow()
    from tfticket.noise import LabeledData

    labeled = LabeledData.load(data, labels=labels, data_dir=data_dir, limit=limit)
    click.echo(labeled.data.description, err=True)
    return labeled


def run_audit(
    labeled: LabeledData,
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
    from tfticket.noise import LabelAudit, Network, RowAudit

    given = {"batch_size": batch_size, "learning_rate": learning_rate, **network}
    given = {name: value for name, value in given.items() if value is not None}
    if labeled.has_rows and not given:
        rows = RowAudit(labeled, folds=folds, iterations=iterations, seed=seed)
        split = rows.run()
        click.echo(
            f"Rows of {labeled.data.input_shape[0]:,} numbers, scaled by column; {rows.folds} "
            f"folds. Predicted by {rows.learner}. Give --model for a network.",
            err=True,
        )
        return split
    made = Network(**given)
    audit = LabelAudit(labeled, made, folds=folds or 2, iterations=iterations, seed=seed)
    click.echo(
        f"{made.model_for(labeled)}, width {made.width_for(labeled):g}, "
        f"{made.epochs_for(labeled)} epochs, batches of {made.batch_size_for(labeled)}. "
        f"At most {audit.cost.fits} networks, "
        f"{audit.cost.steps:,} steps: {audit.cost.epochs:.1f} passes over {len(labeled):,} "
        "examples.",
        err=True,
    )
    return audit.run(
        folder=keep,
        tell=lambda number, of: click.echo(f"Training network {number} of {of}.", err=True),
    )


def estimated(estimate: NoiseEstimate, labeled: LabeledData) -> list[tuple[str, str]]:
    """An estimate as rows of texts."""
    between = f"{share(estimate.low)} to {share(estimate.high)}"
    rows = [
        ("estimated rate", share(estimate.rate) if estimate.identifiable else _NOT_KNOWN),
        ("interval", f"{between} ({100 * estimate.confidence:g} %)"),
        ("type", estimate.kind),
        ("identifiable", "yes" if estimate.identifiable else f"no: {estimate.reason}"),
    ]
    if labeled.corruption is not None:
        rows.append(("realized rate", share(labeled.corruption.realized_rate)))
    return rows


def corrupted(
    labeled: LabeledData,
    kind: str | None,
    rate: float | None,
    matrix: Path | None,
    *,
    seed: int,
    exact: bool,
) -> LabeledData:
    """Makes labels wrong by a rate or by a matrix, one of them."""
    if matrix is not None:
        if kind is not None:
            raise click.UsageError("--kind is about --rate. Leave it out with --matrix.")
        from tfticket.noise import read_transition_file

        return labeled.corrupted(read_transition_file(matrix), seed=seed, exact=exact)
    assert rate is not None  # the command asked for one of them
    if kind == _INSTANCE:
        if exact:
            raise click.UsageError("Instance-dependent noise has no --exact number of labels.")
        return labeled.corrupted_by_looks(rate, seed=seed)
    made = transition_of(kind or DEFAULT_KIND, rate, labeled)
    return labeled.corrupted(made, seed=seed, exact=exact)


def transition_of(kind: str, rate: float, labeled: LabeledData) -> TransitionMatrix:
    """The matrix of a kind of noise, over the classes of the data."""
    from tfticket import noise

    classes = labeled.data.num_classes
    if kind == "cifar10_asymmetric":
        return noise.cifar10_asymmetric(rate)
    if kind == "pair":
        return noise.pair(classes, rate)
    return noise.symmetric(classes, rate, inclusive=kind == "symmetric_inclusive")


def share(value: float) -> str:
    """In percent; a dash for a share of nothing."""
    return "-" if math.isnan(value) else f"{100 * value:.2f} %"


@click.group()
def noise() -> None:
    """Tell how many labels are wrong, and which.

    DATA is what a recipe calls it: digits, mnist, cifar10, tfds:NAME, folder:PATH, npz:PATH.
    """


@noise.command()
@labels_option
@network_options
@data_options
def estimate(
    data: str,
    labels: Path | None,
    seed: int,
    limit: int | None,
    data_dir: Path | None,
    as_json: bool,
    **network: Any,
) -> None:
    """Estimate how many labels of DATA are wrong, and in what way.

    \b
    tfticket noise estimate folder:photos
    """
    labeled = load_labeled(data, labels, data_dir, limit)
    split = run_audit(labeled, seed, **network)
    if as_json:
        print_json(split.estimate.to_dict())
        return
    print_columns(estimated(split.estimate, labeled))


@noise.command()
@labels_option
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("noise"),
    show_default=True,
    help="Folder to write to.",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="How often networks are trained, each time on what was found clean before.",
)
@network_options
@data_options
def clean(
    data: str,
    labels: Path | None,
    output: Path,
    iterations: int,
    seed: int,
    limit: int | None,
    data_dir: Path | None,
    as_json: bool,
    **network: Any,
) -> None:
    """Find the labels of DATA that are probably wrong.

    Writes a table of them, a page that shows the most suspicious ones, and the out-of-sample
    probabilities of all examples. DATA isn't changed.

    \b
    tfticket noise clean folder:photos -o photos-labels
    """
    labeled = load_labeled(data, labels, data_dir, limit)
    split = run_audit(labeled, seed, iterations=iterations, **network)
    from tfticket.noise import compare_with_cleanlab, write_label_report

    suspects = split.label_issues()
    found = write_label_report(output, labeled, split, suspects)
    peer = compare_with_cleanlab(split, suspects)
    if as_json:
        print_json(
            {
                **split.to_dict(),
                "suspects": len(suspects),
                "expected_precision": suspects.expected_precision,
                "cleanlab": None if peer is None else asdict(peer),
                "files": asdict(found),
            }
        )
        return
    rows = [("suspects", f"{len(suspects):,} of {len(labeled):,}")]
    if not split.estimate.learned:
        rows = [("suspects", "none are named, since nothing was learned from these labels")]
    if len(suspects):
        rows.append(("of these wrong", f"about {100 * suspects.expected_precision:.0f} %"))
    if peer is not None:
        rows.append(("cleanlab", f"{peer.theirs:,}, of which {peer.both:,} are the same"))
    print_columns([*estimated(split.estimate, labeled), *rows])
    for path in (found.table, found.page, found.probabilities):
        click.echo(path)


@noise.command()
@kind_option
@click.option("--rate", type=click.FloatRange(0, 1), help="Its rate, in [0, 1].")
@matrix_option
@click.option("--exact", is_flag=True, help="Fix the number of wrong labels; don't draw each.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The .npz file to write: given labels, true labels and their receipt.",
)
@click.option("--overwrite", is_flag=True, help="Write over a file that is there.")
@data_options
def corrupt(
    data: str,
    kind: str | None,
    rate: float | None,
    matrix: Path | None,
    exact: bool,
    output: Path,
    overwrite: bool,
    seed: int,
    limit: int | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Make some labels of DATA wrong, for study, with a receipt.

    \b
    tfticket noise corrupt digits --rate 0.2 -o labels.npz
    tfticket noise estimate digits --labels labels.npz
    """
    if (matrix is None) == (rate is None):
        raise click.UsageError("Give --rate or --matrix, one of them.")
    if output.suffix != ".npz":
        raise click.BadParameter("the name must end in .npz.", param_hint="--output")
    if output.exists() and not overwrite:
        raise click.BadParameter(f"{output} exists; give --overwrite.", param_hint="--output")
    labeled = load_labeled(data, None, data_dir, limit)
    made = corrupted(labeled, kind, rate, matrix, seed=seed, exact=exact).corruption
    assert made is not None  # it was just made
    made.save(output)
    if as_json:
        print_json({**made.to_dict(), "output": output})
        return
    print_columns(
        [
            (
                "asked for",
                f"{share(rate)}, {kind or DEFAULT_KIND}" if rate is not None else str(matrix),
            ),
            ("realized rate", f"{100 * made.realized_rate:.2f} %"),
            ("wrong labels", f"{int(made.changed.sum()):,} of {len(labeled):,}"),
            ("sha256", made.sha256),
        ]
    )
    click.echo(output)


@noise.command()
@labels_option
@kind_option
@click.option("--rate", type=click.FloatRange(0, 1), help="Make so many labels wrong first.")
@matrix_option
@network_options
@data_options
def diagnose(
    data: str,
    labels: Path | None,
    kind: str | None,
    rate: float | None,
    matrix: Path | None,
    seed: int,
    limit: int | None,
    data_dir: Path | None,
    as_json: bool,
    **network: Any,
) -> None:
    """Compare theory with networks, where true labels are known.

    Give the labels in question with --labels, or make some wrong with --rate or --matrix. Theory
    assumes that networks memorize their labels; those of few epochs do better.

    \b
    tfticket noise diagnose digits --rate 0.3
    """
    if [labels, rate, matrix].count(None) != 2:
        raise click.UsageError("Give --labels, --rate or --matrix, one of them.")
    labeled = load_labeled(data, labels, data_dir, limit)
    if labels is None:
        labeled = corrupted(labeled, kind, rate, matrix, seed=seed, exact=False)
    split = run_audit(labeled, seed, **network)
    from tfticket.noise import diagnose as compare

    found = compare(split, labeled.corruption)
    if as_json:
        print_json({**found.to_dict(), "estimate": split.estimate.to_dict()})
        return
    predicted, observed = found.predicted, found.observed
    print_columns(
        [
            ("", "predicted", "observed"),
            (
                "accuracy against given labels",
                share(predicted.accuracy),
                share(observed.accuracy),
            ),
            ("label precision", share(predicted.precision), share(observed.precision)),
            ("label recall", share(predicted.recall), share(observed.recall)),
        ]
    )
    click.echo()
    print_columns(
        [
            ("true rate", share(found.rate)),
            *estimated(split.estimate, labeled),
            ("suspects that are wrong", share(found.suspect_precision)),
            ("wrong labels suspected", share(found.suspect_recall)),
        ]
    )
