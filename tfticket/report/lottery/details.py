"""The tables of what is inside tickets, and of the files made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfticket.report import words
from tfticket.report.lottery.anatomy import Anatomy, LevelAnatomy
from tfticket.report.tables import Cell, Table


def anatomy_table(anatomy: Anatomy, densities: Mapping[int, float]) -> Table:
    """The levels that were opened: dead units, connected weights, signs, overlap of seeds."""
    columns = ("level", "weights left", "dead units", "on a path to the output",
               "same sign after training", "in common with another seed, of chance")  # fmt: skip
    rows = []
    for level in anatomy.levels:
        ratios = [found.ratio for found in level.overlaps]
        dead = [
            found.dead_in if found.dead is None else found.dead for found in level.dead.values()
        ]
        units = sum(found.units for found in level.dead.values())
        rows.append(
            (
                Cell(str(level.level)),
                Cell(words.percent(densities[level.level]) if level.level in densities else ""),
                Cell(words.number(sum(dead)), f"of {words.number(units)}"),
                Cell(words.NONE if level.connected is None else words.percent(level.connected)),
                Cell(words.percent(level.sign_share)),
                Cell(words.factor(sum(ratios) / len(ratios)) if ratios else words.NONE),
            )
        )
    return Table(columns, tuple(rows))


def layer_table(level: LevelAnatomy) -> Table:
    """One ticket, layer by layer."""
    columns = ("<layer", "<shape", "kept", "density", "units", "nothing comes in",
               "nothing goes out", "same sign")  # fmt: skip
    rows = []
    for key, kept in level.mask.items():
        dead, signs = level.dead[key], level.signs.get(key)
        rows.append(
            (
                Cell(key),
                Cell(words.TIMES.join(str(side) for side in kept.shape)),
                Cell(words.number(int(kept.sum()))),
                Cell(words.percent(float(kept.mean()))),
                Cell(words.number(dead.units)),
                Cell(words.number(dead.dead_in)),
                Cell(words.NONE if dead.dead_out is None else words.number(dead.dead_out)),
                Cell(words.percent(signs.share) if signs else words.NONE),
            )
        )
    return Table(columns, tuple(rows))


def export_table(exports: Sequence[Mapping[str, Any]]) -> Table:
    """The exported files: what they weigh and whether they still say the same.

    Args:
        exports: The files' `.json`, as `tfticket.export` writes them; what is absent is a dash.
    """
    columns = ("<file", "<format", "size", "gzip", "accuracy", "Keras",
               "same answer as Keras", "one inference")  # fmt: skip
    rows = []
    for export in exports:
        verification, latency = export.get("verification") or {}, export.get("latency") or {}
        rows.append(
            (
                Cell(str(export.get("path", ""))),
                Cell(str(export.get("format", ""))),
                Cell(_given(export.get("size_bytes"), words.size)),
                Cell(_given(export.get("gzip_bytes"), words.size)),
                Cell(_given(verification.get("accuracy"), words.percent2)),
                Cell(_given(verification.get("keras_accuracy"), words.percent2)),
                Cell(_given(verification.get("agreement"), words.percent2)),
                Cell(
                    _given(latency.get("microseconds"), words.microseconds),
                    _given(latency.get("speedup"), lambda r: f"{words.factor(r)} as fast", ""),
                ),
            )
        )
    return Table(columns, tuple(rows))


def _given(value: Any, say: Callable[[Any], str], absent: str = words.NONE) -> str:
    return absent if value is None else say(value)
