"""The tables of the page of a study of normalization."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from tfticket.display import words
from tfticket.display.words import joined, percent, percent2
from tfticket.report.estimate import Estimate
from tfticket.report.tables import Cell, Table, interval_cell, range_cell, table
from tfticket.studies.norms.measures import STATISTICS
from tfticket.studies.norms.memorization import MemorizationSummary
from tfticket.studies.norms.names import SUBNETWORKS, bounds, quantity
from tfticket.studies.norms.networks import NormCondition
from tfticket.studies.norms.results import BatchLoss, Contrast, NormSummary
from tfticket.studies.norms.stability import EDGES, RANKS
from tfticket.studies.norms.summary import Summary

_Row = NormSummary | Contrast
_Column = tuple[str, Callable[[_Row], Cell | str]]

_RATIOS = {
    "predictiveness": "predictiveness band, mean",
    "predictiveness_median": "median",
    "loss_band": "loss band, log10",
    "loss_width": "in loss",
    "beta": "effective beta",
    "relative_beta": "relative beta",
}
_RAW = _RATIOS | {"sharpness": "sharpness", "gauge": "gauge", "usable": "usable multiple"}
_MEMORIZED = {
    "memorized_last": "wrong labels memorized",
    "recovered_last": "true labels recovered",
    "right_accuracy_last": "right labels learned",
    "accuracy_last": "clean test accuracy",
    "accuracy_by_validation": "stopped by validation",
}
_DIFFERENCES = {
    "memorized_last": "memorized",
    "memorized_at_end": "at the end",
    "memorized_mean": "over all of training",
    "recovered_last": "recovered",
    "right_accuracy_last": "right labels learned",
    "accuracy_last": "clean test accuracy",
    "accuracy": "at the end",
    "accuracy_by_validation": "stopped by validation",
}
_TRACKERS = ("landscape_seconds", "shift_seconds", "curvature_seconds",
             "memorization_seconds")  # fmt: skip


def smoothness_table(contrasts: Iterable[Contrast], summary: Summary) -> Table | None:
    """Each condition against another: how many times smoother, with intervals over seeds."""
    found = [contrast for contrast in contrasts if set(_RATIOS) & set(contrast.measures)]

    def until(contrast: Contrast) -> str:
        return f"both to iteration {words.number(contrast.cut)}" if contrast.cut else ""

    def share(name: str) -> Callable[[Contrast], str]:
        def mean(contrast: Contrast) -> str:
            each = summary.condition(contrast.condition)
            known = each is not None and name in each.measures
            return percent(each.measures[name].mean, 0) if each and known else words.NONE

        return mean

    return table(
        found,
        ("<norm", lambda contrast: _name(contrast.condition)),
        ("<against", lambda contrast: Cell(_name(contrast.against), until(contrast))),
        *_varying(found, subnetwork=False),
        *_measures(_RATIOS, ratio_cell),
        ("beta saturated", share("saturated")),
        ("gauge above 1", share("above_one")),
        ("seeds", lambda contrast: str(max(m.seeds for m in contrast.measures.values()))),
    )


def raw_table(summary: Summary) -> Table | None:
    """The measures of smoothness themselves, condition by condition."""
    return table(
        [each for each in summary.conditions if each.values("predictiveness")],
        ("<branch", lambda each: each.condition.name),
        *_measures(_RAW, lambda found: range_cell(found, quantity)),
        ("seeds", lambda each: str(len(each.seeds))),
    )


def edge_table(summary: Summary) -> Table | None:
    """Curvature in units of 2 / learning rate, and its rank correlations with smoothness."""

    def cell(found: Estimate | None) -> Cell:
        return interval_cell(found, lambda value: words.number(value, 2), absent="")

    return table(
        [each for each in summary.conditions if each.values("edge_sharpness")],
        ("<norm", lambda each: each.condition.label),
        *_varying(summary.conditions),
        *_measures(EDGES, cell),
        *_measures({name: f"rank correlation: {title}" for name, title in RANKS.items()}, cell),
        ("seeds", lambda each: str(each.measures["edge_sharpness"].seeds)),
    )


def accuracy_table(summary: Summary) -> Table | None:
    """Test accuracy, or loss, of every condition, with intervals over seeds."""
    kinds = [name for name in STATISTICS if any(each.values(name) for each in summary.conditions)]
    titles = {
        name: f"accuracy, {STATISTICS[name]}" if len(kinds) > 1 else "test accuracy"
        for name in kinds
    }
    contrasts = {contrast.condition: contrast for contrast in summary.norms}

    def gain(each: _Row) -> Cell:
        found = contrasts.get(each.condition)
        if found is None:
            return Cell("")
        after = f"after {words.number(found.cut)}" if found.cut else ""
        cell = points_cell(found.measures.get("accuracy"))
        return Cell(cell.text, joined(cell.detail, after)) if cell.text else cell

    def diverged(each: NormSummary) -> str:
        return f"{len(each.diverged)} of {len(each.seeds)}" if each.diverged else ""

    columns: list[_Column] = [
        *_varying(summary.conditions),
        *(_density() if any(each.values("density") for each in summary.conditions) else ()),
        *_measures(titles, accuracy_cell),
        *([("against baseline, points", gain)] if kinds else []),
    ]
    return table(
        summary.conditions,
        ("<norm", lambda each: each.condition.label),
        *columns,
        ("test loss", lambda each: range_cell(each.measures.get("loss"), quantity)),
        ("diverged", diverged),
        ("seeds", lambda each: str(len(each.seeds))),
    )


def batch_table(losses: Iterable[BatchLoss]) -> Table | None:
    """Change of accuracy with the batch, a row a norm; beneath, by statistics taken again."""
    found = {(loss.label, loss.batch_size): loss for loss in losses}
    rows: list[tuple[str, str, dict[int, Estimate | None]]] = []
    for label in dict.fromkeys(label for label, _ in found):
        own = {size: loss for (name, size), loss in found.items() if name == label}
        largest = next(iter(own.values())).largest
        drops = {size: loss.drop.reverse() for size, loss in own.items()}
        rows.append((label, f"change from batches of {largest}", dict(drops)))
        if any(loss.mismatch for loss in own.values()):
            won = {size: loss.mismatch for size, loss in own.items()}
            rows.append(("", "change by statistics taken again", won))

    def at(size: int) -> Callable[[tuple[str, str, dict[int, Estimate | None]]], Cell]:
        return lambda row: points_cell(row[2].get(size))

    sizes = sorted({size for _, size in found}, reverse=True)
    return table(
        rows,
        ("<norm", lambda row: row[0]),
        ("<points of accuracy", lambda row: row[1]),
        *((f"batch of {size}", at(size)) for size in sizes),
        (
            "seeds",
            lambda row: str(max(each.seeds for each in row[2].values() if each)) if row[0] else "",
        ),
    )


def cost_table(summary: Summary) -> Table | None:
    """Time that measuring took, by condition."""

    def measuring(each: NormSummary) -> float:
        return sum(each.total(name) for name in _TRACKERS)

    return table(
        [e for e in summary.conditions if e.values("landscape_seconds") and e.values("seconds")],
        ("<branch", lambda each: each.condition.name),
        ("training and measuring", lambda each: words.duration(each.total("seconds"))),
        ("of it measuring", lambda each: words.duration(measuring(each))),
        (
            "share",
            lambda each: (
                percent(measuring(each) / each.total("seconds"))
                if each.total("seconds")
                else words.NONE
            ),
        ),
    )


def memorized_table(summary: MemorizationSummary) -> Table | None:
    """Each network at the end of training: what it memorized, and what it knows all the same."""
    return table(
        summary.conditions,
        ("<norm", lambda each: each.condition.label),
        ("<network", lambda each: SUBNETWORKS[each.condition.subnetwork]),
        *_varying(summary.conditions, subnetwork=False),
        *_density(),
        *_measures(_MEMORIZED, accuracy_cell),
        ("seeds", lambda each: str(len(each.values("memorized_last")))),
    )


def differences_table(summary: MemorizationSummary) -> Table | None:
    """Each subnetwork minus another network, in points, paired by seed."""
    return table(
        summary.contrasts,
        ("<norm", lambda each: each.condition.label),
        ("<network", lambda each: SUBNETWORKS[each.condition.subnetwork]),
        ("<minus", lambda each: SUBNETWORKS[each.against.subnetwork]),
        *_varying(summary.contrasts, subnetwork=False),
        *_measures(_DIFFERENCES, points_cell),
        ("seeds", lambda each: str(each.measures["memorized_last"].seeds)),
    )


def ratio_cell(found: Estimate | None) -> Cell:
    """A ratio and its interval; a dash when it wasn't measured."""
    if found is None:
        return Cell(words.NONE)
    small = 0 < found.mean < 0.1
    text = f"{quantity(found.mean, digits=2)}{words.TIMES}" if small else words.factor(found.mean)
    return Cell(text, bounds(found) if found.seeds > 1 else "")


def points_cell(found: Estimate | None) -> Cell:
    """A difference of rates in points and its interval; else empty."""
    return interval_cell(found, words.points, absent="")


def accuracy_cell(found: Estimate | None) -> Cell:
    """A rate in percent and its interval over seeds, which ends at 100 %."""
    return interval_cell(found, lambda rate: percent2(min(1.0, rate)))


def _measures(
    names: Mapping[str, str], cell: Callable[[Estimate | None], Cell | str]
) -> list[_Column]:
    """A column for each measure, from its name to its heading."""

    def say(name: str) -> Callable[[_Row], Cell | str]:
        return lambda each: cell(each.measures.get(name))

    return [(heading, say(name)) for name, heading in names.items()]


def _density() -> list[_Column]:
    def say(found: Estimate | None) -> str:
        return percent(found.mean) if found else ""

    return _measures({"density": "weights left"}, say)


def _varying(rows: Collection[_Row], *, subnetwork: bool = True) -> list[_Column]:
    """A column for each thing in which conditions differ beside the normalization."""
    known: dict[str, Callable[[_Row], str]] = {
        "learning rate": lambda row: f"{row.condition.learning_rate:g}",
        "batch size": lambda row: str(row.condition.batch_size),
        "iterations": lambda row: words.number(row.condition.steps),
    }
    if subnetwork:
        known["<subnetwork"] = lambda row: row.condition.subnetwork
    return [(heading, say) for heading, say in known.items() if len({say(r) for r in rows}) > 1]


def _name(condition: NormCondition) -> str:
    return (
        condition.label
        if condition.subnetwork == "dense"
        else f"{condition.label}, {condition.subnetwork}"
    )
