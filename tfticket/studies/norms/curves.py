"""Figures of results: learning curves, learning rates, batch sizes, statistics, tickets.

As in `figures`, None when the run doesn't hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfticket.display import charts
from tfticket.display.charts import NARROW, WIDE, Axis, Figure, Panel, Rows, rows
from tfticket.display.palette import DASH_DOT, DASHED, DOTTED, LEVELS, SAW, Look, css
from tfticket.display.pictures import picture
from tfticket.report.estimate import Estimate
from tfticket.report.reading import Curve, over_seeds
from tfticket.studies.norms.figures import line_looks, norm_looks, running_median
from tfticket.studies.norms.measures import MOVING, STATISTICS, labels, medians
from tfticket.studies.norms.names import SUBNETWORKS
from tfticket.studies.norms.networks import NormCondition, Study, usual_batch_size
from tfticket.studies.norms.results import NormSummary, by_batch_size
from tfticket.studies.norms.summary import Summary

_STATISTICS_LOOKS = {
    "moving statistics": Look("blue", "circle"),
    "statistics taken again": Look("green", "triangle-up", DASHED),
    "EvalNorm": Look("purple", "triangle-down", DASH_DOT),
    "the test batch's own": Look("amber", "diamond", DOTTED),
}
_SUBNETWORK_LOOKS = {
    "dense": Look("ink", "circle"),
    "ticket": Look("blue", "square"),
    "random": Look("purple", "triangle-down"),
}
_ASIDE = {"dense": -0.2, "ticket": 0.0, "random": 0.2}
_MOST_PANELS = 3
_DODGE = 1.025
_BANDS = {
    "predictiveness": "gradient-predictiveness band",
    "loss_band": "loss band, log10(highest / lowest)",
    "relative_beta": "relative beta",
}

Turn = Callable[[float], float]


def learning_rates(summary: Summary) -> Figure | None:
    """Draw final test accuracy, or loss, over learning rates; crosses mark divergence."""
    found = [each for each in summary.conditions if each.condition.subnetwork == "dense"]
    sizes = {each.condition.batch_size for each in found}
    rates = sorted({each.condition.learning_rate for each in found})
    if len(rates) < 2 or len(sizes) > 1:
        return None
    measure = "accuracy" if any(each.values("accuracy") for each in found) else "loss"
    names = labels([each.condition for each in found])
    # Whiskers of several norms at one learning rate would hide one another.
    aside = {name: _DODGE ** (place - (len(names) - 1) / 2) for place, name in enumerate(names)}
    drawn = _estimates(
        (
            (rate * aside[each.condition.label], each.measures[measure], each.condition.label)
            for rate in rates
            for each in found
            if each.condition.learning_rate == rate and each.values(measure)
        ),
        _share if measure == "accuracy" else float,
    )
    ends = [rates[0] / 1.1, rates[-1] * 1.1]
    x = charts.fitted("learning rate, logarithmic", [ends], log=True)
    share = measure == "accuracy"
    y = _fitted("test accuracy (%)" if share else "test loss", drawn, log=not share)
    looks = norm_looks(names)
    panel = Panel(replace(x, ticks=charts.plain(rates)), y, looks)
    crosses = [
        panel.marks(
            rows(x=[each.condition.learning_rate]),
            {"type": "point", "shape": SAW, "size": 36, "filled": True, "opacity": 1,
             "color": css(looks[each.condition.label].color)},
            y={"value": panel.height * (0.97 - 0.05 * names.index(each.condition.label))},
        )
        for each in found
        if each.diverged
    ]  # fmt: skip
    return _draw(panel, drawn, *crosses)


def batch_sizes(summary: Summary) -> Figure | None:
    """Draw test error over batch sizes, large at the left (arXiv:1803.08494, figure 1)."""
    norms = by_batch_size(summary.conditions)
    if not norms:
        return None
    found = [
        each for name, of_norm in norms.items() for each in _errors(of_norm, {"accuracy": name})
    ]
    x = _batch_axis({size for of_norm in norms.values() for size in of_norm})
    panel = Panel(x, _fitted("test error (%)", found), norm_looks(list(norms)))
    return _draw(panel, found)


def _errors(of_norm: Mapping[int, NormSummary], series: Mapping[str, str]) -> Rows:
    """Test errors from the largest batch to the smallest, for measures and what they are called."""
    return _estimates(
        (
            (float(size), of_norm[size].measures[measure], name)
            for measure, name in series.items()
            for size in sorted(of_norm, reverse=True)
            if of_norm[size].values(measure)
        ),
        _error,
    )


def statistics(summary: Summary) -> Figure | None:
    """Draw test error over batch sizes by the source of the normalization's statistics.

    One panel per norm with moving statistics: batch norm and at most two others.
    """
    norms = with_statistics(summary)
    if not norms:
        return None
    found = {name: _errors(of_norm, STATISTICS) for name, of_norm in norms.items()}
    y = _fitted("test error (%)", [row for errors in found.values() for row in errors])
    width = WIDE / len(norms) if len(norms) > 1 else NARROW
    return charts.beside(*(
        _draw(Panel(_batch_axis(norms[name]), y, _STATISTICS_LOOKS, width, title=name), errors)
        for name, errors in found.items()
    ))  # fmt: skip


def with_statistics(summary: Summary) -> dict[str, dict[int, NormSummary]]:
    """The norms that `statistics` has a panel for, by batch size."""
    found = {
        name: of_norm
        for name, of_norm in by_batch_size(summary.conditions).items()
        if any(_recovered(each) for each in of_norm.values())
    }
    return {name: found[name] for name in sorted(found, key=lambda n: n != "batch")[:_MOST_PANELS]}


def _recovered(found: NormSummary) -> bool:
    has_moving = found.condition.norm in MOVING
    return has_moving and any(found.values(name) for name in STATISTICS if name != "accuracy")


def subnetworks(summary: Summary) -> Figure | None:
    """Draw the smoothness of dense network, ticket and random subnetwork, by normalization."""
    found = [e for e in summary.conditions if e.values("predictiveness")]
    if {"dense"} >= {e.condition.subnetwork for e in found}:
        return None
    trained = {(e.condition.label, e.condition.setting) for e in found
               if e.condition.subnetwork != "dense"}  # fmt: skip
    found = [e for e in found if (e.condition.label, e.condition.setting) in trained]
    names = labels([e.condition for e in found])
    panels = []
    for measure, title in _BANDS.items():
        drawn = _estimates(
            (names.index(each.condition.label) + _ASIDE[kind], each.measures[measure], kind)
            for kind in _SUBNETWORK_LOOKS
            for each in found
            if each.condition.subnetwork == kind and each.values(measure)
        )
        panel = Panel(
            Axis("", (-0.6, len(names) - 0.4), ticks=dict(enumerate(names))),
            _fitted("", drawn, zero=True),
            _SUBNETWORK_LOOKS, width=WIDE / 3, height=170, title=title,
        )  # fmt: skip
        panels.append(_draw(panel, drawn, joined=False))
    return charts.beside(*panels)


def _share(accuracy: float) -> float:
    return 100 * accuracy


def _error(accuracy: float) -> float:
    return 100 * (1 - accuracy)


def _estimates(found: Iterable[tuple[float, Estimate, str]], turn: Turn = float) -> Rows:
    """Places, what was measured there and series: means, intervals (of one seed none), seeds."""
    estimates = []
    for at, spread, name in found:
        low, high = sorted(map(turn, spread.ends))
        seeds = [turn(value) for value in spread.values.values()]
        row = {"x": at, "y": turn(spread.mean), "low": low, "high": high, "name": name}
        estimates.append({**row, "seeds": seeds})
    return estimates


def _fitted(title: str, found: Rows, **options: Any) -> Axis:
    drawn = ([row["low"], row["high"], *row["seeds"]] for row in found)
    return charts.fitted(title, drawn, **options)


def _draw(panel: Panel, found: Rows, *others: Figure, joined: bool = True) -> Figure:
    """Means, joined by a line, over whiskers for the interval and pale dots for the seeds."""
    seeds = [{"x": row["x"], "y": value, "name": row["name"]}
             for row in found for value in row["seeds"]]  # fmt: skip
    return panel.draw(
        *([panel.line(found)] if joined else []), panel.whiskers(found),
        panel.points(seeds, size=10, opacity=0.35, dots=True), panel.points(found), *others,
    )  # fmt: skip


def _batch_axis(found: Iterable[int]) -> Axis:
    sizes = sorted(found, reverse=True)
    domain = (sizes[0] * 1.25, sizes[-1] / 1.25)
    return Axis("batch size, large to small", domain, log=True, ticks=charts.plain(sizes))


_MOST_CURVE_RATES = 4
_MANY = 40  # evaluations above which a curve is smoothed
_SPLITS = ("validation", "train")


def learning_curves(study: Study, *, name: str) -> Figure | None:
    """Draw `loss` or `accuracy` on the validation data along training, one panel per learning rate.

    Without validation data, on the training data. Medians over seeds that didn't diverge.
    """
    conditions = _shown(study, name)
    if not conditions:
        return None
    rates = sorted({each.learning_rate for each in conditions})[-_MOST_CURVE_RATES:]
    drawn = {each: _curve(study, each, name) for each in conditions
             if each.learning_rate in rates}  # fmt: skip
    axis = _curve_axis(np.concatenate([smooth for _, _, smooth in drawn.values()]), name)
    several = len(rates) > 1
    panels = []
    for place, rate in enumerate(rates):
        panel = Panel(
            charts.step_axis(max(each.steps for each in conditions)),
            replace(axis, title="" if place else axis.title),
            line_looks(labels(conditions)),
            width=WIDE / len(rates) if several else NARROW,
            title=f"learning rate {rate:g}" if several else "",
        )
        own = ((b.label, *curve) for b, curve in drawn.items() if b.learning_rate == rate)
        panels.append(panel.draw(*panel.curves(own)))
    return charts.beside(*panels)


def panel_count(study: Study) -> int:
    """Return the number of panels of `learning_curves`."""
    return min(_MOST_CURVE_RATES, len({each.learning_rate for each in _shown(study, "loss")}))


def _shown(study: Study, name: str) -> list[NormCondition]:
    """Dense conditions with such a curve, of the usual batch size where there are several."""
    found = [b for b in study.conditions if b.subnetwork == "dense" and _curves(study, b, name)]
    if not found:
        return []
    size = usual_batch_size(study, found)
    return [each for each in found if each.batch_size == size]


def _curves(study: Study, condition: NormCondition, name: str) -> list[Curve]:
    for split in _SPLITS:
        found = _of_seeds(study, condition, (split, name))
        if found:
            return [curve for curve in found if len(curve.steps) > 1]
    return []


def _of_seeds(study: Study, condition: NormCondition, of: tuple[str, str]) -> list[Curve]:
    """The curves of networks that didn't diverge."""
    networks = study.of(condition).values()
    return [net.curves[of] for net in networks if of in net.curves and not net.diverged]


def _curve(
    study: Study, condition: NormCondition, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, medians over seeds in the unit of the axis, and the same smoothed where many."""
    curves = _curves(study, condition, name)
    steps = curves[0].steps
    values = np.median([np.interp(steps, c.steps, c.values) for c in curves], axis=0)
    values = values * (100 if name == "accuracy" else 1)
    return steps, values, running_median(values) if len(values) > _MANY else values


def _curve_axis(values: np.ndarray, name: str) -> Axis:
    if name == "accuracy":
        return charts.fitted("validation accuracy (%)", [values], limits=(0, 100))
    wide = charts.is_wide([values])
    return charts.fitted("validation loss", [values], log=wide, quantiles=(0, 1 if wide else 0.97))


_MEMORIZED, _RIGHT = ("memorization", "memorized"), ("memorization", "right_accuracy")
_CLEAN = ("clean", "accuracy")


_NETWORK_LOOKS = {
    "dense": Look("ink"),
    "ticket": Look("blue"),
    "random subnetwork": Look("purple", None, DASHED),
}


def memorization(study: Study) -> Figure | None:
    """Draw memorization and clean accuracy along training, and one against the other.

    One row per normalization, learning rate and batch size; one line per network, the mean over
    seeds, with a band from the lowest seed to the highest.
    """
    found: dict[tuple[Any, ...], list[NormCondition]] = {}
    for condition in study.conditions:
        if _of_seeds(study, condition, _MEMORIZED):
            found.setdefault((condition.label, *condition.setting), []).append(condition)
    if not found:
        return None
    return charts.below(*(
        charts.beside(
            _along(study, conditions, _MEMORIZED, "wrong labels memorized (%)",
                   title=_title(conditions[0], list(found))),
            _along(study, conditions, _CLEAN, "clean test accuracy (%)"),
            _against(study, conditions),
        )
        for conditions in found.values()
    ))  # fmt: skip


def _title(condition: NormCondition, rows: list[tuple[Any, ...]]) -> str:
    """The normalization, and its condition where several have it."""
    several = [row for row in rows if row[0] == condition.label]
    rate, size = condition.setting
    return f"{condition.label}, {rate:g}, {size}" if len(several) > 1 else condition.label


def _along(
    study: Study,
    conditions: Sequence[NormCondition],
    of: tuple[str, str],
    y: str,
    *,
    title: str = "",
) -> Figure:
    found: Rows = []
    for condition in conditions:
        if curves := _of_seeds(study, condition, of):
            found += charts.seed_means(SUBNETWORKS[condition.subnetwork], *over_seeds(curves))
    panel = Panel(
        charts.step_axis(max(each.steps for each in conditions)),
        charts.fitted(y, ([row["low"], row["high"]] for row in found)),
        _NETWORK_LOOKS, width=WIDE / 3, height=140, title=title,
    )  # fmt: skip
    return panel.draw(*panel.means(found))


def _against(study: Study, conditions: Sequence[NormCondition]) -> Figure:
    """Memorizing against learning: networks at one place are equally far, however long it took."""
    found: Rows = []
    for condition in conditions:
        right, wrong = (_of_seeds(study, condition, of) for of in (_RIGHT, _MEMORIZED))
        if right and wrong:
            x, y = (np.nanmean(over_seeds(curves)[1], axis=0) for curves in (right, wrong))
            found += rows(x=100 * x, y=100 * y, name=SUBNETWORKS[condition.subnetwork])
    panel = Panel(
        charts.fitted("right labels learned (%)", [[row["x"] for row in found]]),
        charts.fitted("wrong labels memorized (%)", [[row["y"] for row in found]]),
        _NETWORK_LOOKS, width=WIDE / 3, height=140,
    )  # fmt: skip
    return panel.draw(panel.line(found), panel.points(found, size=10, dots=True))


_MOST_LINES = len(LEVELS)
_MOST_COLUMNS = 4
_MOST_RATES = 3


def shift(study: Study, *, measure: str) -> Figure | None:
    """Draw the shift of each layer: columns are norms, rows learning rates.

    Args:
        study: The run.
        measure: `cosine` or `l2`.
    """
    conditions = [b for b in study.conditions if b.subnetwork == "dense" and study.shifts(b)]
    if not conditions:
        return None
    size = usual_batch_size(study, conditions)
    conditions = [each for each in conditions if each.batch_size == size]
    rates = sorted({each.learning_rate for each in conditions})[-_MOST_RATES:]
    norms = list(dict.fromkeys(b.label for b in conditions if b.learning_rate in rates))
    norms = norms[:_MOST_COLUMNS]
    cells = {(b.learning_rate, b.label): b for b in conditions
             if b.learning_rate in rates and b.label in norms}  # fmt: skip
    found = {cell: _layers(study, condition, measure) for cell, condition in cells.items()}
    lines = [values for layers, _, values in found.values() if len(layers) <= _MOST_LINES]
    axis = _shift_axis(lines, measure) if lines else Axis()
    last = max(each.steps for each in cells.values())
    width = WIDE / len(norms) if len(norms) > 1 else NARROW
    grid = []
    for rate in rates:
        row: list[Figure] = []
        for norm in norms:
            if (rate, norm) not in found:
                row.append(charts.blank(width, 115))
                continue
            lowest = not any((below, norm) in found for below in rates if below > rate)
            row.append(_shift_panel(
                *found[rate, norm], axis, measure, first=norm == norms[0], width=width,
                x=Axis("iteration" if lowest else "", (0, last), labels=lowest),
                title=norm if len(rates) == 1 else f"{norm}, learning rate {rate:g}",
            ))  # fmt: skip
        grid.append(charts.beside(*row))
    return charts.below(*grid)


def _layers(
    study: Study, condition: NormCondition, measure: str
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of layers, steps, and the measure there, shape (T, layers)."""
    records = study.shifts(condition)
    layers = [str(name) for name in next(iter(records.values())).layers]
    return layers, *medians(records, lambda r: r.cosine if measure == "cosine" else r.l2)


def _shift_panel(
    layers: list[str], steps: np.ndarray, values: np.ndarray, axis: Axis, measure: str, *,
    x: Axis, title: str, width: float, first: bool,
) -> Figure:  # fmt: skip
    if len(layers) > _MOST_LINES:
        names = Axis("", (len(layers) - 0.5, -0.5), ticks=dict(enumerate(layers)), grid=False)
        panel = Panel(x, names, width=width, height=115, title=title)
        return panel.draw(
            picture(_shades(values.T, measure), width=width, height=115),
            panel.marks(rows(x=[0], y=[0]), {"type": "rule", "opacity": 0}),
        )
    places = np.linspace(0, len(LEVELS) - 1, len(layers)).round().astype(int)
    used = {layer: Look(LEVELS[place]) for layer, place in zip(layers, places, strict=True)}
    curves = [
        (layer, steps, own, running_median(own))
        for layer, own in zip(layers, values.T, strict=True)
    ]
    panel = Panel(
        x, axis if first else replace(axis, title=""), used, width=width, height=115, title=title
    )
    limits = [panel.rule(y=1)] if measure == "cosine" else []
    return panel.draw(*panel.curves(curves), *limits)


def _shades(values: np.ndarray, measure: str) -> np.ndarray:
    """In [0, 1]. Dark: the gradient stayed (cosine 1) or, in l2, changed much."""
    if measure == "cosine":
        return (values + 0.2) / 1.2
    logs = np.log10(np.maximum(values, 1e-12))
    low, high = np.nanmin(logs), np.nanmax(logs)
    return np.asarray((logs - low) / (high - low or 1.0))


def _shift_axis(lines: Sequence[np.ndarray], measure: str) -> Axis:
    if measure == "cosine":
        return charts.fitted("cosine", [*lines, [0, 1]], limits=(-1.04, 1.04))
    return charts.fitted("l2 difference", lines, log=None, zero=True, quantiles=(0, 0.995))
