"""Files as strangers could send them, by format: how real ones are damaged, and what reads them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import click
import mutations
import numpy as np
from mutations import (
    archive,
    damaged_archive,
    damaged_arrays,
    damaged_bytes,
    damaged_csv,
    damaged_json,
    damaged_tree,
    entries_of,
)

from tfticket.errors import TFTicketError

sys.path.append(str(Path(__file__).parents[2]))  # for tools/

BOMB_BYTES = 1200 * 2**20
_LONGEST_LINES, _LONGEST = 60, 6000
_LARGE = 100_000


class NoShortError(Exception):
    """What was told is too long to be read, or holds a traceback."""


@dataclass(frozen=True)
class Format:
    """A format that strangers' files have.

    Attributes:
        name: What the figures call it.
        worker: What its process needs to import: `light`, `keras`, or `legacy` with a child each.
        share: How many of 1,000 inputs are of it.
        damage: Makes a damaged file in a folder, from the samples in another.
        read: Reads it as commands do; returns what is told when it is refused, else the empty text.
    """

    name: str
    worker: str
    share: int
    damage: Callable[[Random, Path, Path], Path]
    read: Callable[[Path], str]


def told(read: Callable[[], object]) -> str:
    """What the user is told when something is read; the empty text for success.

    Raises:
        NoShortError: when it is no short error.
        Exception: whatever isn't one of tfticket.
    """
    try:
        text = read() or ""
    except TFTicketError as error:
        text = str(error) or "no word"
    assert isinstance(text, str)
    if "Traceback" in text or len(text) > _LONGEST or text.count("\n") > _LONGEST_LINES:
        raise NoShortError(text)
    return text


def command(*arguments: object, of: click.Command | None = None) -> str:
    """Run a command in this process, by default of tfticket; return its error, or nothing."""
    from tfticket.cli import cli, run_command

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run_command(of or cli, [str(each) for each in arguments], name="tfticket")
    return (err.getvalue() or "no word") if status else ""


def _one(rng: Random, samples: Path, pattern: str) -> Path:
    return rng.choice(sorted(samples.glob(pattern)))


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def damaged_npz(rng: Random, source: Path) -> bytes:
    """A damaged file of arrays."""
    kind = rng.randrange(200)
    if kind == 0:
        return mutations.bomb(entries_of(source), BOMB_BYTES)
    if kind < 60:
        return damaged_bytes(rng, source.read_bytes())
    return (damaged_archive if kind < 100 else damaged_arrays)(rng, entries_of(source))


# Tickets and snapshots


def _ticket(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "runs/*/seeds/*/ticket/level_??.npz")
    return _written(work / "ticket.npz", damaged_npz(rng, source))


def _read_ticket(path: Path) -> str:
    from tfticket.lottery.ticket import Ticket

    with contextlib.suppress(TFTicketError):
        Ticket.load_mask(path)
    return command("ticket", "show", path)


def _snapshot(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "runs/*/seeds/*/ticket/*.final.npz")
    return _written(work / "snapshot.npz", damaged_npz(rng, source))


def _read_snapshot(path: Path) -> str:
    from tfticket.state import Snapshot

    Snapshot.load(path)
    return ""


# Run directories, their reports and cards


def _copied(source: Path, target: Path) -> Path:
    """A directory with the same files, the large ones as links, without its report."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and "report" not in path.relative_to(source).parts[:1]:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.stat().st_size > _LARGE:
                place.symlink_to(path)
            else:
                shutil.copyfile(path, place)
    return target


def _damage_file(rng: Random, path: Path) -> None:
    content = path.read_bytes()
    by_suffix = {".json": damaged_json, ".csv": damaged_csv}
    try:
        if path.suffix == ".npz":
            made = damaged_npz(rng, path)
        else:
            made = by_suffix.get(path.suffix, damaged_bytes)(rng, content)
    except Exception:  # it was damaged before
        made = damaged_bytes(rng, content)
    path.unlink()
    if rng.random() > 0.02:  # else it is missing
        path.write_bytes(made)


_OF_RUN = ("recipe.json", "metrics.csv", "environment.json", "cells.json", "edge.json",
           "connectivity.json", "export/*.json", "seeds/**/*.npz", "COMPLETE")  # fmt: skip


def _run(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "runs/*")
    run = _copied(source, work / source.name)
    for _ in range(rng.choice((1, 1, 2))):
        found: list[Path] = []
        while not found:
            found = sorted(run.glob(rng.choice(_OF_RUN)))
        _damage_file(rng, rng.choice(found))
    return run


def _read_run(path: Path) -> str:
    return command("report", "--json", path)


def _read_page(path: Path) -> str:
    return command("report", path)


def _read_resumed(path: Path) -> str:
    """The run is taken up, as `recipe run` does."""
    from tfticket.recipe import parsing
    from tfticket.runs.environment import record_start
    from tfticket.runs.rundir import RunDir
    from tfticket.runs.runs import list_runs
    from tfticket.runs.session import writing

    file = path.with_suffix(".toml")
    shutil.copyfile(path / "recipe.toml", file)
    recipe = parsing.load(file, smoke=True)
    with writing(RunDir(path), recipe, toml=b"") as run:
        record_start(run, command=("tfticket",))
        run.note_look([0, 1])
    list_runs(path.parent.parent)
    return ""


def _card(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "runs/*")
    run = _copied(source, work / "run")
    shutil.copytree(source / "report", run / "report", dirs_exist_ok=True)
    name = json.loads((run / "recipe.json").read_text())["name"]
    card = {"files": {"summary.json": {}, "figures/01_old.png": {}}}
    (work / "root" / name).mkdir(parents=True)
    (work / "root" / name / "card.json").write_text(json.dumps(card))
    (work / "precious.txt").write_text("precious")
    names = ("recipe.json", "report/summary.json", "environment.json", "cells.json", "metrics.csv")
    places = [*(run / each for each in names), work / "root" / name / "card.json"]
    _damage_file(rng, rng.choice([path for path in places if path.exists()]))
    return run


def _read_card(path: Path) -> str:
    from tools import publish

    return command(path, "--root", path.parent / "root", of=publish.main)


# Recipes


def _toml(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "recipes/*.toml")
    kind = rng.randrange(10)
    if kind < 3:
        content = damaged_bytes(rng, source.read_bytes())
    elif kind == 3:
        content = rng.choice(
            (b"a." * 60_000 + b"b = 1", b"a = " + b"[" * 30_000, b"a = 0x" + b"f" * 9000,
             b"[a]\n" * 9000, b'"a" . ' * 9000 + b"b = 1", b"x = 1\n" * 100_000)
        )  # fmt: skip
    else:
        from tfticket.reading import read_toml

        tree = damaged_tree(rng, read_toml(source))
        text = mutations.toml(tree if isinstance(tree, dict) else {"a": tree})
        content = text.encode(errors="surrogatepass")
    return _written(work / "recipe.toml", content)


def _read_toml(path: Path) -> str:
    return command("recipe", "show", path) or command("recipe", "check", path)


def _set(rng: Random, samples: Path, work: Path) -> Path:
    from tfticket.reading import read_toml

    source = _one(rng, samples, "recipes/*.toml")
    tree = read_toml(source)
    keys = [key for _, key in mutations.places(tree) if isinstance(key, str)]
    lines = [source.name]
    for _ in range(rng.choice((1, 1, 2))):
        table = rng.choice([name for name, each in tree.items() if isinstance(each, dict)])
        key = f"{table}.{rng.choice(list(tree[table]))}"
        if rng.random() < 0.3:
            key = ".".join(rng.choice(keys) for _ in range(rng.choice((1, 2, 150))))
        value = mutations.value(rng) if rng.random() < 0.8 else rng.choice((1, 2, 100, 0.5))
        change = f"{key}={rng.choice((mutations.as_text(value), mutations.as_toml(value)))}"
        if rng.random() < 0.3:
            data = damaged_bytes(rng, change.encode(errors="surrogatepass"))
            change = data.decode(errors="surrogateescape")
        lines.append(change)
    return _written(work / "set.json", json.dumps(lines).encode())


def _read_set(path: Path) -> str:
    from tfticket.recipe import parsing
    from tfticket.recipe.overrides import fingerprint, parse_override

    name, *changes = json.loads(path.read_text())
    overrides = [parse_override(change) for change in changes]
    fingerprint(overrides)
    parsing.resolve(parsing.load(SAMPLES[0] / "recipes" / name, overrides=overrides))
    return ""


SAMPLES: list[Path] = []
"""The folder of the samples, once it is known."""


# Labels and arrays of the user


def write_labels(folder: Path) -> None:
    """Makes files of labels, arrays and transition matrices."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=50)
    np.save(folder / "a.npy", labels)
    np.savez(folder / "b.npz", given=labels)
    np.savez_compressed(folder / "c.npz", x=rng.random((50, 4)), y=labels)
    np.savetxt(folder / "d.txt", labels, fmt="%d")
    lines = [f"{number},{label}" for number, label in enumerate(labels)]
    (folder / "e.csv").write_text("\n".join(["id,label", *lines]))
    matrix = 0.05 + 0.75 * np.eye(5)
    np.savetxt(folder / "f.csv", matrix, delimiter=",")
    np.save(folder / "g.npy", matrix)


def _labels(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "labels/*")
    content = source.read_bytes()
    if source.suffix == ".csv" and rng.random() < 0.6:
        content = damaged_csv(rng, content)
    elif source.suffix == ".npz" and rng.random() < 0.6:
        content = damaged_archive(rng, entries_of(source))
    else:
        content = damaged_bytes(rng, content)
    return _written(work / source.name, content)


def _read_labels(path: Path) -> str:
    from tfticket.data.sources import read_npz
    from tfticket.noise import read_label_file, read_transition_file

    errors = []
    readers = (read_label_file, read_transition_file, lambda p: read_npz(str(p), None))
    for read in readers:
        try:
            read(path)
        except TFTicketError as error:
            errors.append(str(error))
    return "\n".join(errors) if len(errors) == len(readers) else ""


# Tables


def write_tables(folder: Path) -> None:
    """Makes tables in CSV and Parquet files."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    columns = {
        "a": rng.normal(size=40),
        "b": pa.array([None if row % 5 == 0 else row % 4 for row in range(40)]),
        "c": rng.choice(["red", "green", ""], 40),
        "d": [f"the {row % 7} little words of row {row}" for row in range(40)],
        "e": [f"20{row:02}-01-01" for row in range(40)],
        "label": rng.choice(["cat", "dog"], 40),
    }
    table = pa.table(columns)
    csv.write_csv(table, folder / "a.csv")
    categories = {"c": table["c"].dictionary_encode(), "f": list(rng.normal(size=(40, 3)))}
    for number, packed in enumerate(("none", "snappy", "zstd")):
        table = pa.table({**columns, **categories})
        parquet.write_table(table, folder / f"{number}.parquet", compression=packed)


def _table(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "tables/*")
    content = source.read_bytes()
    of_text = source.suffix == ".csv" and rng.random() < 0.8
    return _written(work / source.name, (damaged_csv if of_text else damaged_bytes)(rng, content))


def _read_table(path: Path) -> str:
    from tfticket.data import load, load_whole

    name = f"{path.suffix[1:]}:{path}"
    with contextlib.suppress(TFTicketError):
        load(name)
    list(load_whole(name, missing_labels="keep").train.cells or ())
    return ""


# Models


def damaged_model(rng: Random, source: Path) -> bytes:
    """A model file of Keras or tf_keras with damage outside, inside, or in its configuration."""
    if source.suffix == ".h5":
        return damaged_bytes(rng, source.read_bytes())
    entries, kind = entries_of(source), rng.randrange(10)
    if kind == 0:
        return damaged_bytes(rng, source.read_bytes())
    if kind < 3:
        return damaged_archive(rng, entries)
    if kind < 5 and "model.weights.h5" in entries:
        entries["model.weights.h5"] = damaged_bytes(rng, entries["model.weights.h5"])
    else:
        name = "config.json" if rng.random() < 0.95 else "metadata.json"
        entries[name] = damaged_json(rng, entries[name])
    return archive(entries)


def _keras(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "keras/*.keras")
    return _written(work / "model.keras", damaged_model(rng, source))


def _read_keras(path: Path) -> str:
    from tfticket.models import load_file
    from tfticket.norms import catalog  # noqa: F401  (layers that the samples hold)
    from tfticket.sparsity import wrapper  # noqa: F401

    load_file(path)
    return ""


def _legacy(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "legacy/*")
    return _written(work / f"model{source.suffix}", damaged_model(rng, source))


def _read_legacy(path: Path) -> str:
    from tfticket.interop import import_tfmot

    import_tfmot(path).save(path.with_name("imported.keras"))
    return ""


def _tflite(rng: Random, samples: Path, work: Path) -> Path:
    source = _one(rng, samples, "tflite/*.tflite")
    return _written(work / "model.tflite", damaged_bytes(rng, source.read_bytes()))


def _read_tflite(path: Path) -> str:
    from tfticket.export import check_file
    from tfticket.export.metadata import read_provenance

    with contextlib.suppress(TFTicketError):
        read_provenance(path)
    check_file(path)
    return ""


FORMATS = {
    each.name: each
    for each in (
        Format("ticket", "light", 200, _ticket, _read_ticket),
        Format("snapshot", "keras", 60, _snapshot, _read_snapshot),
        Format("run", "light", 210, _run, _read_run),
        Format("page", "light", 10, _run, _read_page),
        Format("resumed run", "light", 70, _run, _read_resumed),
        Format("card", "light", 60, _card, _read_card),
        Format("recipe", "light", 150, _toml, _read_toml),
        Format("--set", "light", 80, _set, _read_set),
        Format("labels", "light", 60, _labels, _read_labels),
        Format("table", "light", 60, _table, _read_table),
        Format(".keras", "keras", 60, _keras, _read_keras),
        Format("legacy", "legacy", 10, _legacy, _read_legacy),
        Format(".tflite", "keras", 30, _tflite, _read_tflite),
    )
}
"""By name. The file of `.tflite` is checked by `tfticket export --check`."""
