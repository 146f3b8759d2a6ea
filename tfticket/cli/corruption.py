"""`tfticket noise corrupt` and `diagnose`: labels made wrong, for study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.audits import (
    Asked,
    data_options,
    estimated,
    labels_option,
    network_options,
    print_facts,
    run_audit,
    share,
)
from tfticket.cli.common import in_file, out_file, print_columns, print_json

if TYPE_CHECKING:
    from tfticket.noise import LabeledData

_BY_LOOKS = {"instance": "instance_dependent", "human_like": "human_like"}
"""Kind of noise that depends on the example to the function of `tfticket.noise` that draws it."""
KINDS = ("symmetric", "symmetric_inclusive", "pair", "cifar10_asymmetric", *_BY_LOOKS)
DEFAULT_KIND = "symmetric"

kind_option = click.option(
    "--kind", type=click.Choice(KINDS), help="Type of the noise of --rate.  [default: symmetric]"
)
matrix_option = click.option(
    "--matrix",
    type=in_file,
    help="Use any transition matrix instead: a file (.npy, .npz, .csv) whose row i holds the "
    "probabilities of the labels given to class i.",
)


@click.command()
@kind_option
@click.option("--rate", type=click.FloatRange(0, 1), help="Rate of the noise, in [0, 1].")
@matrix_option
@click.option("--exact", is_flag=True, help="Fix the number of wrong labels; don't draw each.")
@click.option(
    "-o",
    "--output",
    type=out_file,
    required=True,
    help="The .npz file to write: given labels, true labels and their receipt.",
)
@click.option("--overwrite", is_flag=True, help="Overwrite an existing file.")
@data_options
def corrupt(
    asked: Asked,
    kind: str | None,
    rate: float | None,
    matrix: Path | None,
    exact: bool,
    output: Path,
    overwrite: bool,
    seed: int,
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
    labeled = asked.load()
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


@click.command()
@labels_option
@kind_option
@click.option("--rate", type=click.FloatRange(0, 1), help="Share of labels to make wrong first.")
@matrix_option
@network_options
@data_options
def diagnose(
    asked: Asked,
    kind: str | None,
    rate: float | None,
    matrix: Path | None,
    seed: int,
    as_json: bool,
    **network: Any,
) -> None:
    """Compare theory with networks, where true labels are known.

    Give the labels in question with --labels, or make some wrong with --rate or --matrix. Theory
    assumes that networks memorize their labels; those of few epochs do better.

    \b
    tfticket noise diagnose digits --rate 0.3
    """
    if [asked.labels, rate, matrix].count(None) != 2:
        raise click.UsageError("Give --labels, --rate or --matrix, one of them.")
    labeled = asked.load()
    if asked.labels is None:
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
            ("accuracy against given labels", share(predicted.accuracy), share(observed.accuracy)),
            ("label precision", share(predicted.precision), share(observed.precision)),
            ("label recall", share(predicted.recall), share(observed.recall)),
        ]
    )
    click.echo()
    print_facts(
        [
            ("true rate", share(found.rate)),
            *estimated(split.estimate, labeled),
            ("label issues that are real", share(found.suspect_precision)),
            ("wrong labels found", share(found.suspect_recall)),
        ]
    )


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
