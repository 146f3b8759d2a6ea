"""`tfticket noise`: how many labels of a data set are wrong, and which ones."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tfticket.cli.audits import (
    Asked,
    data_options,
    estimated,
    labels_option,
    look,
    network_options,
    print_facts,
    share,
    source_options,
)
from tfticket.cli.common import out_folder, print_json
from tfticket.cli.corrections import apply, undo
from tfticket.cli.corruption import corrupt, diagnose


@click.group()
def noise() -> None:
    """Find out how many labels are wrong, and which.

    DATA is what a recipe calls it: digits, mnist, cifar10, tfds:NAME, folder:PATH, npz:PATH,
    csv:PATH, parquet:PATH.
    """


@noise.command()
@labels_option
@source_options
@network_options
@data_options
def estimate(asked: Asked, seed: int, as_json: bool, **models: Any) -> None:
    """Estimate how many labels of DATA are wrong, and in what way.

    \b
    tfticket noise estimate folder:photos
    """
    labeled = asked.load()
    found = look(labeled, seed, limit=asked.limit, **models).issues.estimate
    if as_json:
        print_json(found.to_dict())
        return
    print_facts(estimated(found, labeled))


@noise.command()
@labels_option
@click.option(
    "-o",
    "--output",
    type=out_folder,
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
@source_options
@network_options
@data_options
def clean(
    asked: Asked, output: Path, iterations: int, seed: int, as_json: bool, **models: Any
) -> None:
    """Find the label issues of DATA: labels that are probably wrong.

    Writes a table of all labels, one of the issues, and the out-of-sample probabilities. A page
    shows the most suspicious ones, for a person to decide on. DATA isn't changed; `tfticket noise
    apply` corrects it.

    \b
    tfticket noise clean folder:photos -o photos-labels
    """
    labeled = asked.load()
    found = look(labeled, seed, limit=asked.limit, iterations=iterations, **models)
    from tfticket.noise import compare_with_cleanlab, write_label_report
    from tfticket.noise.origin import Origin

    issues = found.issues
    origin = Origin.of(**vars(asked))
    files = write_label_report(
        output, labeled, found.split, issues, origin=origin, features=found.features
    )
    peer = compare_with_cleanlab(issues)
    hits = None if files.detection is None else asdict(files.detection)
    if as_json:
        print_json(
            {
                **files.audit,
                "suspects": len(issues),
                "expected_precision": issues.precision,
                "detection": hits,
                "cleanlab": None if peer is None else asdict(peer),
                "files": files.files(),
            }
        )
        return
    rows = [("label issues", f"{len(issues):,} of {len(issues.ranking):,}")]
    if not issues.estimate.learned:
        rows = [("label issues", "none are named, since nothing was learned from these labels")]
    if not math.isnan(issues.precision):
        rows.append(("expected to be real", f"about {100 * issues.precision:.0f} %"))
    if peer is not None and issues.estimate.learned:
        rows.append(("by cleanlab", f"{peer.theirs:,}, of which {peer.both:,} are the same"))
    rows += [(name.replace("_", " "), share(value)) for name, value in (hits or {}).items()]
    missing, unreadable = len(labeled) - len(issues.ranking), len(labeled.data.unreadable)
    rows += [("without a label", f"{missing:,}")] if missing else []
    rows += [("unreadable files", f"{unreadable:,}")] if unreadable else []
    print_facts([*estimated(issues.estimate, labeled, issues), *rows])
    for path in (files.labels, files.table, files.page, files.probabilities):
        click.echo(path)


for command in (apply, undo, corrupt, diagnose):
    noise.add_command(command)
