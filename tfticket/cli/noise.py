"""`tfticket noise`: how many labels of a data set are wrong, and which ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import data_dir_option, json_option, print_columns, print_json
from tfticket.cli.corrections import apply, undo

if TYPE_CHECKING:
    from tfticket.noise import CleanSplit, LabeledData, NoiseEstimate

_BY_LOOKS = {"instance": "instance_dependent", "human_like": "human_like"}
"""Kind of noise that depends on the example to the function of `tfticket.noise` that draws it."""
KINDS = ("symmetric", "symmetric_inclusive", "pair", "cifar10_asymmetric", *_BY_LOOKS)
DEFAULT_KIND = "symmetric"

labels_option = click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of the labels in question (.npy, .npz, .csv, .txt), in the order of DATA, whose own "
    "labels are then the true ones.",
)
kind_option = click.option(
    "--kind", type=click.Choice(KINDS), help="Type of the noise of --rate.  [default: symmetric]"
)
matrix_option = click.option(
    "--matrix",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use any transition matrix instead: a file (.npy, .npz, .csv) whose row i holds the "
    "probabilities of the labels given to class i.",
)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the labels in question."""
    for option in (
        json_option,
        data_dir_option,
        click.option("--limit", type=click.IntRange(min=1), help="Use only the first N examples."),
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            help="Random seed.",
        ),
        click.argument("data", metavar="DATA"),
    ):
        command = option(command)
    return command


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the networks of an audit."""
    for option in (
        click.option(
            "--keep",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder for the predictions of finished networks, to resume from.",
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
            help="Parts of the data; each is predicted by models trained on the others.  "
            "[default: 2 for networks, 5 for rows of numbers]",
        ),
        click.option(
            "--epochs",
            type=click.IntRange(min=1),
            help="Epochs of each network; few are better than many.  [default: by the data]",
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


@click.group()
def noise() -> None:
    """Find out how many labels are wrong, and which.

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
    help="Rounds of training, each on what was found clean before.",
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
    """Find the label issues of DATA: labels that are probably wrong.

    Writes a table of all labels, one of the issues, and the out-of-sample probabilities. A page
    shows the most suspicious ones, for a person to decide on. DATA isn't changed; `tfticket noise
    apply` corrects it.

    \b
    tfticket noise clean folder:photos -o photos-labels
    """
    labeled = load_labeled(data, labels, data_dir, limit)
    split = run_audit(labeled, seed, iterations=iterations, **network)
    from tfticket.noise import compare_with_cleanlab, write_label_report
    from tfticket.noise.origin import Origin

    issues = split.label_issues()
    origin = Origin.of(data, labels=labels, data_dir=data_dir, limit=limit)
    found = write_label_report(output, labeled, split, issues, origin=origin)
    peer = compare_with_cleanlab(split, issues)
    if as_json:
        print_json(
            {
                **split.to_dict(),
                "suspects": len(issues),
                "expected_precision": issues.precision,
                "detection": None if found.detection is None else asdict(found.detection),
                "cleanlab": None if peer is None else asdict(peer),
                "files": found.files(),
            }
        )
        return
    rows = [("label issues", f"{len(issues):,} of {len(labeled):,}")]
    if not split.estimate.learned:
        rows = [("label issues", "none are named, since nothing was learned from these labels")]
    if not math.isnan(issues.precision):
        rows.append(("expected to be real", f"about {100 * issues.precision:.0f} %"))
    if peer is not None:
        rows.append(("by cleanlab", f"{peer.theirs:,}, of which {peer.both:,} are the same"))
    if found.detection is not None:
        rows += [
            (name.replace("_", " "), share(value))
            for name, value in asdict(found.detection).items()
        ]
    print_columns([*estimated(split.estimate, labeled), *rows])
    for path in (found.labels, found.table, found.page, found.probabilities):
        click.echo(path)


@noise.command()
@kind_option
@click.option("--rate", type=click.FloatRange(0, 1), help="Rate of the noise, in [0, 1].")
@matrix_option
@click.option("--exact", is_flag=True, help="Fix the number of wrong labels; don't draw each.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The .npz file to write: given labels, true labels and their receipt.",
)
@click.option("--overwrite", is_flag=True, help="Overwrite an existing file.")
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
    assert made is not None
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
@click.option("--rate", type=click.FloatRange(0, 1), help="Share of labels to make wrong first.")
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
            ("label issues that are real", share(found.suspect_precision)),
            ("wrong labels found", share(found.suspect_recall)),
        ]
    )


noise.add_command(apply)
noise.add_command(undo)


def load_labeled(
    data: str, labels: Path | None, data_dir: Path | None, limit: int | None
) -> LabeledData:
    """Load the labels in question."""
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
    """Say which models audit the labels and what it costs, then run the audit."""
    from tfticket.noise import audit_labels
    from tfticket.quiet import start_tensorflow

    given = {"batch_size": batch_size, "learning_rate": learning_rate, **network}
    given = {name: value for name, value in given.items() if value is not None}
    settings = None
    if given:
        start_tensorflow()
        from tfticket.noise import Network

        settings = Network(**given)
    return audit_labels(
        labeled,
        network=settings,
        folds=folds,
        iterations=iterations,
        seed=seed,
        folder=keep,
        say=lambda sentence: click.echo(sentence, err=True),
        tell=lambda number, of: click.echo(f"Training network {number} of {of}.", err=True),
        start=None if given else start_tensorflow,
    )


def estimated(estimate: NoiseEstimate, labeled: LabeledData) -> list[tuple[str, str]]:
    """Format an estimate as rows of text."""
    between = f"{share(estimate.low)} to {share(estimate.high)}"
    rows = [
        ("estimated rate", share(estimate.rate) if estimate.identifiable else "not identifiable"),
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
    """Corrupt labels by a rate or by a matrix, one of them."""
    if matrix is not None:
        if kind is not None:
            raise click.UsageError("--kind is about --rate. Leave it out with --matrix.")
        from tfticket.noise import read_transition_file

        return labeled.corrupted(read_transition_file(matrix), seed=seed, exact=exact)
    assert rate is not None  # the command asked for one of them
    if kind in _BY_LOOKS:
        if exact:
            raise click.UsageError(f"Noise of the kind {kind} has no --exact number of labels.")
        from tfticket import noise

        return labeled.corrupted_by_looks(rate, seed=seed, draw=getattr(noise, _BY_LOOKS[kind]))
    from tfticket.noise.labels.transition import named_transition

    made = named_transition(kind or DEFAULT_KIND, labeled.data.num_classes, rate)
    return labeled.corrupted(made, seed=seed, exact=exact)


def share(value: float) -> str:
    """Format in percent; a dash for a share of nothing."""
    return "-" if math.isnan(value) else f"{100 * value:.2f} %"
