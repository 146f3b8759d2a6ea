"""Options and steps that the commands of `tfticket noise` share."""

from __future__ import annotations

import functools
import math
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import data_dir_option, in_file, json_option, out_folder

if TYPE_CHECKING:
    import numpy as np

    from tfticket.noise import CleanSplit, LabeledData, LabelIssues, NoiseEstimate

Command = Callable[..., Any]

_ENDLESS, _NARROWEST = 10_000, 20  # columns

labels_option = click.option(
    "--labels",
    type=in_file,
    help="File of the labels in question (.npy, .npz, .csv, .txt), in the order of DATA, whose own "
    "labels are then the true ones.",
)


@dataclass(frozen=True)
class Asked:
    """The labels in question, as the command line names them."""

    data: str
    labels: Path | None
    data_dir: Path | None
    limit: int | None
    label_column: str | None

    def load(self) -> LabeledData:
        """Load them."""
        from tfticket.noise import LabeledData

        others = {name: value for name, value in vars(self).items() if name != "data"}
        labeled = LabeledData.load(self.data, **others)
        click.echo(labeled.data.description, err=True)
        return labeled


def data_options(command: Command) -> Command:
    """Add the options for the labels in question, which a command takes as one argument `asked`."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        asked = Asked(**{each.name: options.pop(each.name, None) for each in fields(Asked)})
        command(asked=asked, **options)

    return _with_options(
        run,
        json_option,
        data_dir_option,
        click.option(
            "--label-column", metavar="NAME", help="Column of the labels of csv: and parquet:."
        ),
        click.option("--limit", type=click.IntRange(min=1), help="Use only the first N examples."),
        click.option("--seed", type=click.IntRange(min=0), default=0, help="Random seed."),
        click.argument("data", metavar="DATA"),
    )


def network_options(command: Command) -> Command:
    """Add the options for the networks of an audit."""
    return _with_options(
        command,
        click.option(
            "--keep",
            type=out_folder,
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
    )


def source_options(command: Command) -> Command:
    """Add the options for predictions and features that somebody has already."""
    return _with_options(
        command,
        click.option(
            "--backbone",
            metavar="MODEL",
            help="Take features of the images from this network: a .keras file, or a name of "
            "keras.applications such as MobileNetV2.",
        ),
        click.option(
            "--features",
            type=in_file,
            help="Look at these features of the examples (.npy, .npz, .csv, .parquet), such as "
            "embeddings of any network.",
        ),
        click.option(
            "--pred-probs",
            type=in_file,
            help="Use these out-of-sample probabilities (.npy, .npz, .csv, .parquet); nothing is "
            "trained.",
        ),
    )


def _with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Add options, of which the last one stands first in the help."""
    for option in options:
        command = option(command)
    return command


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


@dataclass(frozen=True)
class Found:
    """Result of an audit.

    Attributes:
        issues: The label issues, with the estimate.
        split: The result of the audit; None where the predictions were given.
        features: The features that were looked at, or None.
    """

    issues: LabelIssues
    split: CleanSplit | None = None
    features: np.ndarray | None = None


def look(
    labeled: LabeledData,
    seed: int,
    *,
    limit: int | None,
    iterations: int = 1,
    pred_probs: Path | None,
    features: Path | None,
    backbone: str | None,
    **network: Any,
) -> Found:
    """Find label issues: by what is given, else by an audit."""
    given = {"--pred-probs": pred_probs, "--features": features, "--backbone": backbone}
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise click.UsageError(f"Give {' or '.join(named)}, one of them.")
    names = labeled.data.class_names
    if not named:
        split = run_audit(labeled, seed, iterations=iterations, **network)
        return Found(split.label_issues(names), split)
    folds = network.pop("folds")
    unused = [name for name, value in network.items() if value is not None]
    if unused or (pred_probs is not None and folds is not None):
        option = f"--{(unused or ['folds'])[0].replace('_', '-')}"
        raise click.UsageError(f"{option} is about training, and {named[0]} trains no network.")
    from tfticket import noise

    if pred_probs is not None:
        rows = noise.read_pred_probs(pred_probs, count=None if limit else len(labeled))[:limit]
        return Found(noise.issues_by(labeled, rows, seed=seed))
    if features is not None:
        found = noise.read_features(features, count=None if limit else len(labeled))[:limit]
    else:
        from tfticket.quiet import start_tensorflow

        start_tensorflow()
        assert backbone is not None  # one of the three is given
        found = noise.features_of(labeled.data.train.x, backbone)
        click.echo(f"{found.shape[1]:,} features of {backbone}.", err=True)
    split = noise.audit_features(labeled, found, folds=folds, iterations=iterations, seed=seed)
    click.echo(f"Rows of {found.shape[1]:,} numbers, predicted by {split.learner}.", err=True)
    return Found(split.label_issues(names), split, found)


def estimated(
    estimate: NoiseEstimate, labeled: LabeledData, issues: LabelIssues | None = None
) -> list[tuple[str, str]]:
    """Format an estimate as rows of text.

    Args:
        estimate: The estimate.
        labeled: The labels that it is about.
        issues: The label issues that are listed beside it, which it mustn't contradict.
    """
    rate, kind = estimate.rate, estimate.kind
    if issues is not None and len(issues):
        from tfticket.noise.page import likely_rate

        rate = likely_rate(issues)
        kind = "none is established" if kind == "clean" else kind
    between = f"{share(estimate.low)} to {share(estimate.high)}"
    rows = [
        ("estimated rate", share(rate) if estimate.identifiable else "not identifiable"),
        ("interval", f"{between} ({100 * estimate.confidence:g} %)"),
        ("type", kind),
        ("identifiable", "yes" if estimate.identifiable else f"no: {estimate.reason}"),
    ]
    if labeled.corruption is not None:
        rows.append(("realized rate", share(labeled.corruption.realized_rate)))
    return rows


def print_facts(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and what they are in two columns; on a terminal long ones are wrapped."""
    rows = list(rows)
    indent = max(len(name) for name, _ in rows) + 2
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else _ENDLESS
    for name, value in rows:
        lines = textwrap.wrap(value, max(wide - indent, _NARROWEST)) or [""]
        for first, line in zip([name, *[""] * len(lines)], lines, strict=False):
            click.echo(f"{first:{indent}}{line}".rstrip())


def share(value: float) -> str:
    """Format in percent; a dash for a share of nothing."""
    return "-" if math.isnan(value) else f"{100 * value:.2f} %"
