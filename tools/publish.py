"""Publish a run: copy the small set of files that is kept to `saved_models/<recipe>/`.

`python tools/publish.py RUN` copies the summary and figures of a complete run's report, what its
kind adds, and writes a card: which recipe, seeds and versions made each file, what was measured,
and its hash. The card is written last, so a folder with a card is whole.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from tfticket.cli import run_command
from tfticket.cli.common import run_argument
from tfticket.errors import RunError
from tfticket.files import (
    REPORT_SUFFIX,
    read_arrays,
    read_table,
    understood,
    write_arrays,
    write_bytes,
    write_json,
)
from tfticket.metrics import read_metrics
from tfticket.reading import UnreadableError, parse_json
from tfticket.recipe import parsing
from tfticket.recipe.table import NAME
from tfticket.runs.rundir import RunDir
from tfticket.studies.registry import KINDS

CARD = "card.json"
CURVES = "curves.npz"
PAGE = "page.html"
MOST_BYTES = 2_000_000
_PUBLISHED = re.compile(r"(figures/)?\w[\w.-]{0,99}", re.ASCII)
_EXPORTED = re.compile(r"seed_(\d+)_level_(\d+).*\.tflite")
_ACCURACY = "accuracy_last"
_OF_INTERVAL = ("mean", "lower", "upper", "seeds")
_OF_FILE = (
    "name", "density", "bytes", "gzip", "zstd", "smaller", "speedup", "accuracy", "test_accuracy",
)  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@run_argument
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("saved_models"),
    show_default=True,
    help="Folder of the published files.",
)
def main(run: Path, root: Path) -> None:
    """Copy the files of a RUN that are kept, with a card, and print their folder.

    \b
    python tools/publish.py runs/lth_mnist/default
    """
    click.echo(publish(run, root))


@dataclass(frozen=True)
class Published:
    """The files and the card of a run, as far as they depend on its kind.

    Attributes:
        contents: Name to bytes of each file but the card.
        card: Entries of the card beside those of every run.
    """

    contents: Mapping[str, bytes]
    card: Mapping[str, Any]


def publish(run: str | Path, root: str | Path) -> Path:
    """Copy summary, figures, what the kind of the run adds, and a card of a complete run.

    Args:
        run: The run directory, with its report.
        root: Usually `saved_models`.

    Returns:
        The folder `root/<recipe>`. Files that an older card there lists and the new one doesn't are
        removed.

    Raises:
        RunError: when the run isn't complete, or lacks one of the files; when a file is larger than
            2 MB, or names a path that leads out of its folder. Nothing is written then.
    """
    source = RunDir(run)
    recipe = source.resolved()
    if not source.complete:
        raise RunError(
            f"{source.path} isn't complete. Only a complete run can be published: resume it."
        )
    with understood(
        f"The files of {source.path}", f"Make its report again by `tfticket report {source.path}`."
    ):
        published = _OF_KIND.get(recipe["kind"], _report_only)(source)
        for name, content in published.contents.items():
            if len(content) > MOST_BYTES:
                raise _too_large(name, len(content))
        files = {name: _facts(content) for name, content in published.contents.items()}
        card = _card(source, recipe, published.card) | {"files": files}
        target = Path(root) / _folder_name(recipe, source)
    outdated = _listed(target) - published.contents.keys()
    _check_inside(Path(root), target, outdated | files.keys())
    for name, content in published.contents.items():
        write_bytes(target / name, content)
    write_json(target / CARD, card)
    for name in outdated:
        (target / name).unlink(missing_ok=True)
    return target


def _folder_name(recipe: Mapping[str, Any], run: RunDir) -> str:
    name: str = recipe["name"]
    if not re.fullmatch(NAME, name):
        raise RunError(
            f"`{run.recipe_json}` names its recipe {name!r:.80}, which can't name a folder: that "
            "takes letters, digits, `_`, `-` and `.`. The file was changed; restore it."
        )
    return name


def _facts(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _listed(target: Path) -> set[str]:
    """Names of the files that the card of a folder lists, all of them inside the folder.

    Raises:
        RunError: when the card is damaged, or lists what `publish` never writes.
    """
    card = target / CARD
    if not card.is_file():
        return set()
    remedy = "Look at it, and remove it; then publish again."
    files = read_table(card, remedy=remedy).get("files")
    if not isinstance(files, dict):
        raise RunError(f"`{card}` doesn't list the files of its folder. {remedy}")
    for name in files:
        if not _PUBLISHED.fullmatch(name):
            raise RunError(
                f"`{card}` lists {name!r:.80}, which is no file that is published: it could be "
                f"anything on this machine. Nothing was changed. {remedy}"
            )
    return set(files)


def _check_inside(root: Path, target: Path, names: Iterable[str]) -> None:
    """Raise a `RunError` when a link on the way leads out of the root."""
    for folder in {target, *((target / name).parent for name in names)}:
        if not folder.resolve().is_relative_to(root.resolve()):
            raise RunError(
                f"`{folder}` is a link that leads out of {root}, where everything published must "
                "be. Nothing was changed. Remove the link, or publish with another --root."
            )


def _card(run: RunDir, recipe: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    environment = run.environment_facts()
    return {
        "recipe": recipe["name"],
        "kind": recipe["kind"],
        "title": recipe["title"],
        "recipe_sha256": parsing.sha256(recipe),
        "seeds": recipe["seeds"],
        **own,
        "versions": environment.get("versions", {}),
        "git_commit": environment.get("git_commit"),
        "started": environment.get("started"),
    }


def _report(run: RunDir, *, figures: int) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Files of a run's report and the table in its summary.

    The files are the summary, the first figures, and the page, unless it is too large to be kept.
    """
    summary = run.report / "summary.json"
    if not summary.is_file():
        raise RunError(f"{summary} is missing. Make it by `tfticket report {run.path}`.")
    contents = {"summary.json": _read(summary)}
    page = run.report / "index.html"
    if page.is_file() and page.stat().st_size <= MOST_BYTES:
        contents[PAGE] = _read(page)
    for path in sorted((run.report / "figures").glob("*.png"))[:figures]:
        contents[f"figures/{path.name}"] = _read(path)
    try:
        return contents, parse_json(contents["summary.json"])
    except UnreadableError as error:
        raise RunError(f"{summary} is damaged: {error}. Make the report again.") from error


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise _too_large(path, size)
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error


def _too_large(path: Path | str, size: int) -> RunError:
    return RunError(
        f"{path} has {size:,} bytes, and a published file may have at most {MOST_BYTES:,}. Export "
        "a sparser level or a smaller format, or measure less often."
    )


def _old_report(run: RunDir, said: str) -> RunError:
    return RunError(
        f"The report of {run.path} {said}: it was made before the run was complete. Make it again "
        f"by `tfticket report {run.path}`."
    )


def _measured(run: RunDir) -> dict[str, dict[str, dict[str, float]]]:
    """Branch, then seed, to the measurements of a whole training."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in read_metrics(run.metrics):
        if row.split in ("test", "summary"):
            of_branch = found.setdefault(row.branch, {})
            of_branch.setdefault(f"seed_{row.seed}", {})[row.name] = row.value
    return found


def _report_only(run: RunDir) -> Published:
    """The report of a run, whose kind adds nothing."""
    kind = run.resolved()["kind"]
    if kind not in KINDS:
        raise RunError(
            f"`{run.recipe_json}` has the kind {kind!r:.80}; there is none of that name."
        )
    return Published(_report(run, figures=6)[0], {})


def _lottery(run: RunDir) -> Published:
    """The smallest winning ticket and its exported file if there is one, else the sparsest."""
    report, summary = _report(run, figures=4)
    seed, level, exported = _ticket(run, summary)
    files = {
        "ticket.npz": run.ticket(seed, "ticket", level),
        "model.tflite": exported,
        "model.json": exported.with_suffix(REPORT_SUFFIX),
    }
    measured: dict[int, dict[str, float]] = {0: {}, level: {}}
    for row in read_metrics(run.metrics):
        if (row.seed, row.branch) == (seed, "ticket") and row.split in ("test", "summary"):
            measured.setdefault(row.level, {})[row.name] = row.value
    return Published(
        {name: _read(path) for name, path in files.items()} | report,
        {
            "seed": seed,
            "level": level,
            "density": measured[level].get("density"),
            "ticket": measured[level],
            "dense": measured[0],
        },
    )


def _ticket(run: RunDir, summary: Mapping[str, Any]) -> tuple[int, int, Path]:
    """Seed, level and the smallest `.tflite` of the ticket to publish."""
    found: dict[tuple[int, int], list[Path]] = {}
    for path in sorted((run.path / "export").glob("*.tflite")):
        match = _EXPORTED.fullmatch(path.name)
        if match:
            found.setdefault((int(match[1]), int(match[2])), []).append(path)
    if not found:
        raise RunError(
            f"Nothing of {run.path} has been exported yet. Do so by `tfticket export {run.path}`."
        )
    winning = (summary.get("smallest_winning") or {}).get("level")
    levels = {level for _, level in found}
    level = winning if winning in levels else max(levels)
    seed = min(seed for seed, of_level in found if of_level == level)
    return seed, level, min(found[seed, level], key=lambda path: path.stat().st_size)


def _norms(run: RunDir) -> Published:
    """The measurements of trackers, if the run has any, as `curves.npz`.

    Its arrays are called `seed_0/<branch>/landscape/<field>` and `.../shift/...`; its header holds
    the entries of `cells.json`.
    """
    report, _ = _report(run, figures=6)
    cells: list[dict[str, Any]] = read_table(run.cells)["cells"]
    measured = _measured(run)
    arrays: dict[str, np.ndarray] = {}
    for cell in cells:
        for seed in cell["seeds"]:
            _, own = read_arrays(run.ticket(seed, cell["branch"], 0), kind="cell")
            place = f"seed_{seed}/{cell['branch']}"
            arrays |= {f"{place}/{name}": array for name, array in own.items()}
    if arrays:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / CURVES
            write_arrays(path, kind="curves", header={"cells": cells}, arrays=arrays)
            report[CURVES] = _read(path)
    return Published(
        report, {"cells": [cell | {"measured": measured.get(cell["branch"], {})} for cell in cells]}
    )


def _noisy(run: RunDir) -> Published:
    """Put the measurements and the labels of each training on the card.

    Of the card, `results` has a row for each training: its accuracy on clean test data and its
    gain over cross-entropy (None for cross-entropy), with intervals over seeds. `noise_rates` has
    one for each noise and seed: the estimated noise rate beside the realised one. All shares are in
    [0, 1].
    """
    cells: list[dict[str, Any]] = read_table(run.cells)["cells"]
    seeds: list[int] = run.resolved()["seeds"]
    measured = _measured(run)
    report, summary = _report(run, figures=6)
    branches = [training["branch"] for training in summary.get("trainings", ())]
    whole = summary.get("complete") and sorted(summary.get("seeds", ())) == sorted(seeds)
    if not whole or branches != [cell["branch"] for cell in cells]:
        raise _old_report(
            run,
            f"holds {len(branches)} of {len(cells)} trainings and the seeds "
            f"{summary.get('seeds', [])} of {seeds}",
        )
    facts = run.environment_facts().get("data", {})
    return Published(
        report,
        {
            # Without the name of the data, which may be a path of the machine of the run.
            "data": {name: value for name, value in facts.items() if name != "name"},
            "confidence": summary["confidence"],
            "results": [_result(training) for training in summary["trainings"]],
            "noise_rates": [_noise_rate(selection) for selection in summary["selections"]],
            "cells": [
                cell
                | {
                    "receipts": {f"seed_{s}": _receipt(run, s, cell["branch"]) for s in seeds},
                    "measured": measured.get(cell["branch"], {}),
                }
                for cell in cells
            ],
        },
    )


def _result(training: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "noise": training["noise"],
        "method": training["method"],
        _ACCURACY: _interval(training["measures"].get(_ACCURACY)),  # none of held-out predictions
        "gain": _interval(training["gain"]),
    }


def _interval(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if found is None else {name: found[name] for name in _OF_INTERVAL}


def _noise_rate(selection: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: selection[name] for name in ("noise", "seed", "low", "high", "identifiable")}
    return own | {"realized": selection["true_rate"], "estimated": selection["rate"]}


def _receipt(run: RunDir, seed: int, branch: str) -> dict[str, Any]:
    header, _ = read_arrays(run.ticket(seed, branch, 0), kind="noisy_cell")
    receipt: dict[str, Any] = header["receipt"]
    return receipt


def _edge(run: RunDir) -> Published:
    """The file to ship and its report; the card has a row for each file."""
    report, summary = _report(run, figures=1)
    name = summary.get("choice", {}).get("name")
    if not summary.get("complete"):
        raise _old_report(run, "isn't of the complete run")
    if name is None:
        raise RunError(
            f"`{run.path}` has no file to ship: {summary.get('headline')} Only runs that have one "
            "are published."
        )
    path = run.shipped(name)
    return Published(
        report
        | {"model.tflite": _read(path), "model.json": _read(path.with_suffix(REPORT_SUFFIX))},
        {
            "host": summary["host"],
            "choice": {key: summary["choice"][key] for key in ("name", "reason")},
            "replicates": summary["replicates"],
            "claims": summary["claims"],
            "results": [
                {key: row[key] for key in _OF_FILE}
                for row in summary["rows"]
                if row["failure"] is None
            ],
        },
    )


_OF_KIND: Mapping[str, Callable[[RunDir], Published]] = {
    "lottery": _lottery,
    "norms": _norms,
    "noisy": _noisy,
    "edge": _edge,
}


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:], name="tools/publish.py"))
