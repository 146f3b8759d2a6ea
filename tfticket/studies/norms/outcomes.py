"""The tables of how trainings ended: accuracies, batch sizes, what measuring cost."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.report import words
from tfticket.report.tables import Cell, Table
from tfticket.studies.norms.entries import accuracy, number, percent, points, varied, varying
from tfticket.studies.norms.measures import STATISTICS
from tfticket.studies.norms.results import BatchLoss
from tfticket.studies.norms.summary import Summary

_TIMES = ("seconds", "landscape_seconds", "shift_seconds", "memorization_seconds")


def accuracy_table(summary: Summary) -> Table | None:
    """Test accuracy, or loss, of every branch, with intervals over seeds."""
    if not summary.branches:
        return None
    conditions = varying([each.branch for each in summary.branches])
    by_name = {c.branch.name: c for c in summary.norms}
    kinds = [name for name in STATISTICS if any(each.values(name) for each in summary.branches)]
    density = any(each.values("density") for each in summary.branches)
    columns = ("<norm", *conditions, *(["weights left"] if density else []),
               *(f"accuracy, {STATISTICS[name]}" if len(kinds) > 1 else "test accuracy"
                 for name in kinds), *(["against baseline, points"] if kinds else []),
               "test loss", "diverged", "seeds")  # fmt: skip
    rows = []
    for each in summary.branches:
        contrast = by_name.get(each.branch.name)
        gain = contrast.measures.get("accuracy") if contrast else None
        after = f"after {words.number(contrast.cut)}" if contrast and contrast.cut else ""
        rows.append(
            (
                Cell(each.branch.label),
                *varied(each.branch, conditions),
                *([percent(each.measures.get("density"))] if density else []),
                *(accuracy(each.measures.get(name)) for name in kinds),
                *([points(gain, after)] if kinds else []),
                number(each.measures.get("loss")),
                Cell(f"{len(each.diverged)} of {len(each.seeds)}" if each.diverged else ""),
                Cell(str(len(each.seeds))),
            )
        )
    return Table(columns, tuple(rows))


def batch_table(losses: Sequence[BatchLoss]) -> Table | None:
    """A row a norm: what each smaller batch costs; beneath, what other statistics win back."""
    if not losses:
        return None
    sizes = sorted({loss.batch_size for loss in losses}, reverse=True)
    found = {(loss.label, loss.batch_size): loss for loss in losses}
    columns = ("<norm", "<points of accuracy", *(f"batch of {size}" for size in sizes), "seeds")
    rows = []
    for label in dict.fromkeys(loss.label for loss in losses):
        own = [found.get((label, size)) for size in sizes]
        known = [loss for loss in own if loss is not None]
        seeds = Cell(str(max(loss.drop.seeds for loss in known)))
        lost = [points(loss.drop if loss else None) for loss in own]
        rows.append((Cell(label), Cell(f"lost against {known[0].largest}"), *lost, seeds))
        if any(loss.mismatch for loss in known):
            won = [points(loss.mismatch if loss else None) for loss in own]
            rows.append((Cell(""), Cell("won back by statistics taken again"), *won, Cell("")))
    return Table(columns, tuple(rows))


def cost_table(summary: Summary) -> Table | None:
    """What measuring cost, by branch."""
    found = [e for e in summary.branches if e.values("landscape_seconds") and e.values("seconds")]
    if not found:
        return None
    columns = ("<branch", "training and measuring", "of it measuring", "share")
    rows = []
    for each in found:
        seconds, *trackers = (sum(each.values(name).values()) for name in _TIMES)
        tracking = sum(trackers)
        rows.append(
            (
                Cell(each.branch.name),
                Cell(words.duration(seconds)),
                Cell(words.duration(tracking)),
                Cell(words.percent(tracking / seconds) if seconds else words.NONE),
            )
        )
    return Table(columns, tuple(rows))
