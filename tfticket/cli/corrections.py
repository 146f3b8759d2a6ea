"""`tfticket noise apply` and `undo`: label issues acted on, and taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfticket.cli.common import (
    InterruptError,
    data_dir_option,
    in_file,
    json_option,
    out_file,
    out_folder,
    overwrite_option,
    print_columns,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from tfticket.noise import Corrections
    from tfticket.noise.moves import MoveReceipt

_SHOWN = 10
_FOLDER_WAYS = ", --copy-to FOLDER or --move"

yes_option = click.option(
    "--yes", is_flag=True, help="Do it. Without, only say what would be done."
)
data_option = click.option(
    "--data", help="The data that it is about.  [default: by summary.json beside it]"
)


@click.command()
@click.option(
    "-o",
    "--output",
    type=out_file,
    help="Write all labels, corrected, to this file. For csv: and parquet: it is a copy of the "
    "table, else a .csv with the columns id, given, label.",
)
@click.option(
    "--copy-to",
    type=out_folder,
    metavar="FOLDER",
    help="Write a corrected copy of the image folder.",
)
@click.option("--move", is_flag=True, help="Move files inside the image folder.")
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    help="Follow only label issues with a score of at least this.",
)
@click.option(
    "--new-classes", is_flag=True, help="Let decisions correct to classes that DATA lacks."
)
@click.option(
    "--fill-missing", is_flag=True, help="Give examples without a label the suggested one, too."
)
@click.option(
    "--receipt",
    type=out_file,
    help="The receipt of --move.  [default: moved.json beside the table]",
)
@data_option
@click.option(
    "--labels", type=in_file, help="File of the given labels, if they aren't those of the data."
)
@data_dir_option
@overwrite_option
@yes_option
@json_option
@click.argument("table", type=in_file)
def apply(
    table: Path,
    output: Path | None,
    copy_to: Path | None,
    move: bool,
    min_score: float | None,
    new_classes: bool,
    fill_missing: bool,
    receipt: Path | None,
    data: str | None,
    labels: Path | None,
    data_dir: Path | None,
    overwrite: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Correct the labels that TABLE says are wrong.

    TABLE is labels.csv or suspects.csv of `tfticket noise clean`: every label issue gets the
    suggested label. Or it is decisions.csv, which the page saves: what a person confirmed or
    corrected. Nothing is changed without --yes. A receipt in place of TABLE moves what it has left.

    \b
    tfticket noise apply photos-labels/suspects.csv --min-score 0.9 --move
    tfticket noise apply photos-labels/decisions.csv --copy-to photos-corrected --yes
    """
    if table.suffix.lower() == ".json":
        given = (output, copy_to, min_score, receipt, labels)
        if any(each is not None for each in given) or move or new_classes or fill_missing:
            raise click.UsageError("A receipt says everything. Give --yes, --data or --json alone.")
        _resume(table, data, yes=yes, as_json=as_json)
        return
    if (output is not None) + (copy_to is not None) + move > 1:
        raise click.UsageError("Give --output, --copy-to or --move, one of them.")
    if yes and output is None and copy_to is None and not move:
        raise click.UsageError("Say what to do: --output, --copy-to or --move.")
    if receipt is not None and not move:
        raise click.UsageError("--receipt is about --move.")
    if output is not None and output.exists() and not overwrite:
        raise click.BadParameter(f"{output} exists; give --overwrite.", param_hint="--output")
    from tfticket.noise import read_corrections

    corrections = read_corrections(
        table,
        data=data,
        labels=labels,
        data_dir=data_dir,
        min_score=min_score,
        new_classes=new_classes,
        fill_missing=fill_missing,
    )
    done: dict[str, Any] = {}
    if move or copy_to is not None:
        moves = corrections.moves()
        lines = [(each.source, each.target) for each in moves]
    else:
        moves, lines = [], [(_example(each), each.label) for each in corrections.changes]
    if copy_to is not None:
        corrections.check_copy(copy_to)
    if output is not None and not yes:
        corrections.labels()
    if yes and len(corrections):
        done = _do(corrections, table, output, copy_to, receipt)
    if as_json:
        print_json(
            {
                "changes": corrections.to_rows(),
                "moves": [asdict(each) for each in moves],
                "done": yes,
                **done,
            }
        )
        return
    _say(corrections, lines)
    if not len(corrections):
        return
    if not yes:
        chosen = output is not None or copy_to is not None or move
        ways = "--output FILE" + ("" if corrections.origin.folder is None else _FOLDER_WAYS)
        hint = "Give --yes to do it." if chosen else f"Choose {ways}."
        click.echo(f"Nothing was changed. {hint}", err=True)
    for path in done.values():
        click.echo(path)


@click.command()
@data_option
@click.option("--changed", is_flag=True, help="Bring back also files that were changed since.")
@json_option
@click.argument("receipt", type=in_file)
def undo(receipt: Path, data: str | None, changed: bool, as_json: bool) -> None:
    """Bring moved files back, by the RECEIPT of `apply --move`.

    Where a file is missing, was changed, or another has its name, nothing is moved.

    \b
    tfticket noise undo photos-labels/moved.json
    """
    found = _receipt(receipt, data)
    with _resumable(receipt, "undo"):
        found = found.undo(changed=changed)
    _told(found, as_json=as_json)


def _resume(path: Path, data: str | None, *, yes: bool, as_json: bool) -> None:
    found = _receipt(path, data)
    if yes:
        with _resumable(path, "apply"):
            found = found.finish()
    _told(found, as_json=as_json)
    if not yes and not as_json:
        click.echo("Nothing was changed. Give --yes to move what is left.", err=True)


def _receipt(path: Path, data: str | None) -> MoveReceipt:
    from tfticket.noise import MoveReceipt
    from tfticket.noise.origin import Origin

    folder = None if data is None else Origin.of(data).folder
    if data is not None and folder is None:
        raise click.BadParameter("a receipt is about folder:PATH.", param_hint="--data")
    return MoveReceipt.load(path, folder=folder)


def _told(receipt: MoveReceipt, *, as_json: bool) -> None:
    if as_json:
        print_json({"state": receipt.state, "folder": receipt.folder, "moves": receipt.to_rows()})
        return
    print_columns(
        [
            ("files", f"{len(receipt):,}"),
            ("folder", printable(str(receipt.folder))),
            ("state", receipt.state),
        ]
    )


def _do(
    corrections: Corrections,
    table: Path,
    output: Path | None,
    copy_to: Path | None,
    receipt: Path | None,
) -> dict[str, Path]:
    """Do what was asked for; returns what was written, by name."""
    if output is not None:
        return {"output": corrections.write_labels(output)}
    if copy_to is not None:
        return {"folder": corrections.copy_to(copy_to)}
    from tfticket.noise.moves import free_receipt

    path = receipt or free_receipt(table.parent)
    with _resumable(path, "apply"):
        return {"receipt": corrections.move_files(path).path}


@contextlib.contextmanager
def _resumable(receipt: Path, command: str) -> Iterator[None]:
    """Say after Ctrl-C how to go on."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if not receipt.exists():
            raise
        yes = " --yes" if command == "apply" else ""
        raise InterruptError(
            f"Nothing is lost. Go on by `tfticket noise {command} {receipt}{yes}`."
        ) from stopped


def _say(corrections: Corrections, lines: list[tuple[str, str]]) -> None:
    """Print how many labels change, from which class to which, and the first ones."""
    counts = corrections.counts()
    click.echo(f"{len(corrections):,} label{'' if len(corrections) == 1 else 's'} to change")
    shown = [
        (printable(a or "none"), "->", printable(b), f"{n:,}") for (a, b), n in counts[:_SHOWN]
    ]
    if len(counts) > _SHOWN:
        shown.append(("others", "", "", f"{sum(n for _, n in counts[_SHOWN:]):,}"))
    for rows in (shown, [(printable(a), "->", printable(b)) for a, b in lines[:_SHOWN]]):
        if rows:
            click.echo()
            print_columns(rows)
    if len(lines) > _SHOWN:
        click.echo(f"and {len(lines) - _SHOWN:,} more")


def _example(change: Any) -> str:
    return change.file or f"example {change.id}"
