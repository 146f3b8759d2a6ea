"""`tfticket noise`: how many labels of a data set are wrong, and which ones."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tfticket.cli.common import print_columns, print_json
from tfticket.cli.noise_parts import (
    DEFAULT_KIND,
    corrupted,
    estimated,
    kind_option,
    labels_option,
    matrix_option,
    network_options,
    run_audit,
    share,
    subject_of,
    subject_options,
)


@click.group()
def noise() -> None:
    """Tell how many labels are wrong, and which.

    DATA is what a recipe calls it: digits, mnist, cifar10, tfds:NAME, folder:PATH, npz:PATH.
    """


@noise.command()
@labels_option
@network_options
@subject_options
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
    subject = subject_of(data, labels, data_dir, limit)
    split = run_audit(subject, seed, **network)
    if as_json:
        print_json(split.estimate.to_dict())
        return
    print_columns(estimated(split.estimate, subject))


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
@subject_options
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
    subject = subject_of(data, labels, data_dir, limit)
    split = run_audit(subject, seed, iterations=iterations, **network)
    from tfticket.audit import compare_with_cleanlab, suspects_of, write_findings

    suspects = suspects_of(split)
    found = write_findings(output, subject, split, suspects)
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
    rows = [("suspects", f"{len(suspects):,} of {len(subject):,}")]
    if not split.estimate.learned:
        rows = [("suspects", "none are named, since nothing was learned from these labels")]
    if len(suspects):
        rows.append(("of these wrong", f"about {100 * suspects.expected_precision:.0f} %"))
    if peer is not None:
        rows.append(("cleanlab", f"{peer.theirs:,}, of which {peer.both:,} are the same"))
    print_columns([*estimated(split.estimate, subject), *rows])
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
@subject_options
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
    subject = subject_of(data, None, data_dir, limit)
    made = corrupted(subject, kind, rate, matrix, seed=seed, exact=exact).corruption
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
            ("wrong labels", f"{int(made.changed.sum()):,} of {len(subject):,}"),
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
@subject_options
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
    subject = subject_of(data, labels, data_dir, limit)
    if labels is None:
        subject = corrupted(subject, kind, rate, matrix, seed=seed, exact=False)
    split = run_audit(subject, seed, **network)
    from tfticket.audit import diagnose as compare

    found = compare(split, subject.corruption)
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
            *estimated(split.estimate, subject),
            ("suspects that are wrong", share(found.suspect_precision)),
            ("wrong labels suspected", share(found.suspect_recall)),
        ]
    )
