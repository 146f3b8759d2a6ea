"""Figures of gains over cross-entropy and of estimates, with their intervals.

Each function draws one figure, or returns None when the run doesn't hold it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tfticket.display import charts, palette
from tfticket.display.charts import WIDE, Axis, Figure, Panel, Rows, rows
from tfticket.display.palette import DOTTED, Look, css
from tfticket.display.words import number
from tfticket.report.reading import over_seeds
from tfticket.studies.noisy.results import (
    ACCURACY,
    MethodCondition,
    MethodSummary,
    Selection,
    Study,
)

_USUAL = {
    "cross_entropy": Look("orange", "square"),
    "coteaching": Look("blue", "circle"),
    "incv": Look("green", "triangle-up"),
    "jocor": Look("purple", "triangle-down"),
    "coteaching_plus": Look("sky", palette.PLUS),
    "decoupling": Look("amber", "diamond"),
    "gce": Look("level1", palette.SAW),
    "forward": Look("level5", palette.HEXAGON),
    "early_learning": Look("muted", palette.STAR),
}
_OTHERS = (
    Look("ink", "triangle-left"), Look("level3", "triangle-right"),
    Look("level2", palette.PENTAGON),
)  # fmt: skip


def method_looks(study: Study) -> dict[str, Look]:
    """Label to look: the usual ones' are fixed, the same within a run."""
    found: dict[str, Look] = {}
    free = list(_OTHERS)
    for condition in study.conditions:
        if condition.method not in found:
            usual = _USUAL.get(condition.method_kind)
            if usual is None or usual in found.values():
                usual = free.pop(0)
                free.append(usual)
            found[condition.method] = usual
    return found


def gains(study: Study, trainings: Sequence[MethodSummary]) -> Figure | None:
    """Draw each method's accuracy minus that of cross-entropy; pale dots are seeds."""
    baselines = {
        each.condition.noise: each.values(ACCURACY)
        for each in reversed(trainings)
        if each.condition.is_baseline
    }
    means: Rows = []
    seeds: Rows = []
    names: list[str] = []
    for found in trainings:
        gain, own = found.gain, found.values(ACCURACY)
        if gain is None:
            continue
        place, baseline, name = len(names), baselines[found.condition.noise], found.condition.method
        shared = sorted(own.keys() & baseline.keys())
        seeds += rows(x=[100 * (own[s] - baseline[s]) for s in shared], y=place, name=name)
        left, right = gain.ends
        means += rows(x=[100 * gain.mean], left=100 * left, right=100 * right, y=place, name=name)
        noise = f", {found.condition.noise}" if len(study.noises) > 1 else ""
        names.append(f"{found.condition.method_name}{noise}")
    if not names:
        return None
    drawn = [row[c] for row in [*seeds, *means] for c in ("x", "left", "right") if c in row]
    panel = Panel(
        charts.fitted("clean test accuracy minus that of cross-entropy, points", [drawn, [0]]),
        _name_axis(names), method_looks(study), width=WIDE - 130, height=24 * len(names), named=(),
    )  # fmt: skip
    return panel.draw(
        panel.rule(x=0, dash=()), panel.points(seeds, size=30, opacity=0.35, dots=True),
        panel.whiskers(means, level=True, width=1.6, opacity=1),
        panel.points(means, size=36, dots=True),
    )  # fmt: skip


def _name_axis(names: Sequence[str]) -> Axis:
    """A row a name, the first at the top."""
    return Axis("", (len(names) - 0.5, -0.5), ticks=dict(enumerate(names)), grid=False)


_ESTIMATED, _TRUE, _DOUBTFUL = "estimated", "true", "said not to be identifiable"


def rates(selections: Sequence[Selection]) -> Figure | None:
    """Draw the estimated noise rate of each selection with its interval, and the true one."""
    if not selections:
        return None
    looks = {_ESTIMATED: Look("blue", "circle"), _TRUE: Look("orange", palette.UPRIGHT)}
    if not all(found.identifiable for found in selections):
        looks[_DOUBTFUL] = Look("muted", palette.RING)
    estimates: Rows = []
    true: Rows = []
    for place, found in enumerate(selections):
        name = _ESTIMATED if found.identifiable else _DOUBTFUL
        low, high = 100 * found.low, 100 * found.high
        estimates += rows(x=[100 * found.rate], left=low, right=high, y=place, name=name)
        true += rows(x=[100 * found.true_rate], y=place, name=_TRUE)
    several = len({found.seed for found in selections}) > 1
    names = [f"{s.noise}, seed {s.seed}" if several else s.noise for s in selections]
    top = max(max(found.high, found.true_rate) for found in selections)
    panel = Panel(
        Axis("share of wrong labels (%)", (-1, min(100.0, 108 * top) + 1)),
        _name_axis(names), looks, width=WIDE - 110, height=20 * len(names),
    )  # fmt: skip
    return panel.draw(
        panel.whiskers(estimates, level=True, width=2, opacity=1), panel.points(estimates, size=36),
        panel.points(true, size=90),
    )  # fmt: skip


def rounds(selections: Sequence[Selection]) -> Figure | None:
    """Draw the sizes of the sets after each iteration of INCV; None if there was only one."""
    several = [found for found in selections if len(found.rounds) > 1]
    if not several:
        return None
    noises = list(dict.fromkeys(found.noise for found in several))
    colors = ["blue", "green", "purple", "orange", "amber", "sky", "level1", "ink"]
    looks: dict[str, Look] = {}
    lines: Rows = []
    for noise, color in zip(noises, colors, strict=False):
        for measure, shape, dash in (("selected", "circle", ()), ("removed", "square", DOTTED)):
            values = _rounds(several, noise, measure)
            name = f"{measure}, {noise}"
            looks[name] = Look(color, shape, dash)
            places = range(1, values.shape[1] + 1)
            lines += rows(x=places, y=np.nanmean(values, axis=0), name=name)
    last = max(len(found.rounds) for found in several)
    ticks = charts.plain(range(1, last + 1))
    x = replace(charts.fitted("iteration", [[1, last]]), ticks=ticks)
    panel = Panel(x, charts.fitted("examples", [[r["y"] for r in lines]], zero=True), looks)
    return panel.draw(panel.line(lines), panel.points(lines))


def _rounds(selections: Sequence[Selection], noise: str, measure: str) -> np.ndarray:
    """Shape (seeds, iterations), NaN where a selection had become stable before."""
    own = [found.rounds for found in selections if found.noise == noise]
    values = np.full((len(own), max(map(len, own))), math.nan)
    for row, found in zip(values, own, strict=True):
        row[: len(found)] = np.cumsum([one[measure] for one in found])
    return values


_COLUMNS = 3


def accuracy(study: Study) -> Figure | None:
    """Draw accuracy on clean test data along training, one panel per noise."""
    found = _with(study, "clean", "accuracy")
    if not found:
        return None
    columns, looks = min(_COLUMNS, len(found)), _looks(study, found)
    panels = [
        _along(study, conditions, "clean", "accuracy", looks=looks,
               title=study.noises[noise].noise_name,
               y="clean test accuracy (%)", width=WIDE / columns if columns > 1 else 0.62 * WIDE,
               shaded=int(study.files.recipe.get("last") or 0))
        for noise, conditions in found.items()
    ]  # fmt: skip
    return charts.wrapped(panels, columns)


def quality(study: Study) -> Figure | None:
    """Draw label precision and recall of the examples trained on, one row per noise."""
    found = _with(study, "train", "label_precision")
    if not found:
        return None
    panels = [
        _along(study, conditions, "train", measure, looks=_looks(study, found), y="share (%)",
               width=WIDE / 2,
               title=f"{measure.replace('_', ' ')}, {study.noises[noise].noise_name}")
        for noise, conditions in found.items()
        for measure in ("label_precision", "label_recall")
    ]  # fmt: skip
    return charts.wrapped(panels, 2)


def _with(study: Study, split: str, name: str) -> dict[str, list[MethodCondition]]:
    """Noise to its trainings that have a curve."""
    found: dict[str, list[MethodCondition]] = {}
    for condition in study.conditions:
        if study.curves(condition, split, name):
            found.setdefault(condition.noise, []).append(condition)
    return found


def _looks(study: Study, found: Mapping[str, Sequence[MethodCondition]]) -> dict[str, Look]:
    """A line in the color of each method that is drawn."""
    colors = {method: look.color for method, look in method_looks(study).items()}
    return {each.method_name: Look(colors[each.method]) for own in found.values() for each in own}


def _along(
    study: Study, conditions: Sequence[MethodCondition], split: str, name: str, *,
    looks: Mapping[str, Look], title: str, y: str, width: float, shaded: int = 0,
) -> Figure:  # fmt: skip
    """The mean over seeds of each; `shaded` are the last evaluations, whose mean is the result."""
    found: Rows = []
    for condition in conditions:
        curves = list(study.curves(condition, split, name).values())
        found += charts.seed_means(condition.method_name, *over_seeds(curves))
    last = max(1, *(row["x"] for row in found))
    panel = Panel(
        charts.step_axis(last),
        charts.fitted(y, ([row["low"], row["high"]] for row in found)),
        looks, width=width, height=155, title=title,
    )  # fmt: skip
    layers = panel.means(found)
    steps = next(iter(study.curves(conditions[0], split, name).values())).steps
    if shaded > 1 and len(steps) > shaded:
        shade = {"type": "rect", "color": css("line"), "opacity": 0.5}
        area = {"x2": {"value": "width"}, "y": {"value": 0}, "y2": {"value": "height"}}
        layers.insert(0, panel.marks(rows(x=[steps[-shaded]]), shade, **area))
    return panel.draw(*layers)


MEASURES = {"accuracy": "accuracy against given labels", "precision": "label precision",
            "recall": "label recall"}  # fmt: skip
_COLORS = ("blue", "orange", "green", "purple", "amber")
_MATRICES = {"realized": "realized", "estimated": "estimated", "confusion": "held-out predictions"}
_MOST_ROWS = 6
_SEEN = 0.005  # a share below it is left blank
_DENSE = 12  # classes up to which the shares are written
_DARK = 0.55  # above it the text is in the color of the paper


def theory(trainings: Sequence[MethodSummary]) -> Figure | None:
    """Draw predicted and observed accuracy, precision and recall over the true rate."""
    known = with_theory(trainings)
    if not known:
        return None
    kinds = list(dict.fromkeys(found.condition.noise_kind for found in known))
    looks: dict[str, Look] = {}
    for kind, color in zip(kinds, _COLORS, strict=False):
        said = kind.replace("_", " ")
        looks |= {f"theory, {said}": Look(color), f"networks, {said}": Look(color, "circle")}
    drawn = {measure: _theory(known, kinds, measure) for measure in MEASURES}
    shares = [[row["x"] for row in found] for found in drawn.values()]
    x = charts.fitted("share of wrong labels (%)", shares, zero=True)
    panels = []
    for measure, title in MEASURES.items():
        panel = Panel(
            x, Axis("%", (0, 103)), looks, width=WIDE / 3, height=190, title=title,
        )  # fmt: skip
        lines = [row for row in drawn[measure] if row["name"].startswith("theory")]
        dots = [row for row in drawn[measure] if row["name"].startswith("networks")]
        panels.append(panel.draw(panel.line(lines, width=1.1), panel.points(dots, opacity=0.75)))
    return charts.beside(*panels)


def with_theory(trainings: Sequence[MethodSummary]) -> list[MethodSummary]:
    """Those that hold predictions of theory."""
    return [found for found in trainings if "predicted_accuracy" in found.measures]


def _theory(known: Sequence[MethodSummary], kinds: Sequence[str], measure: str) -> Rows:
    found: Rows = []
    for kind, _ in zip(kinds, _COLORS, strict=False):
        points = sorted(
            (100 * rate, 100 * each.values(f"predicted_{measure}")[seed], 100 * observed)
            for each in known
            if each.condition.noise_kind == kind
            for seed, observed in each.values(f"observed_{measure}").items()
            if seed in each.values(f"predicted_{measure}")
            for rate in [each.values("noise_rate")[seed]]
        )
        said = kind.replace("_", " ")
        for place, name in ((1, f"theory, {said}"), (2, f"networks, {said}")):
            found += rows(x=[p[0] for p in points], y=[p[place] for p in points], name=name)
    return found


def matrices(study: Study) -> Figure | None:
    """Draw transition matrices and held-out confusion, means over seeds, one row per noise."""
    found = _matrices(study)
    if not found:
        return None
    last = list(found)[-1]
    return charts.below(*(
        charts.beside(*(
            _heat_map(own[name], f"{title}, {noise}", y="true class" * (name == "realized"),
                      x="given or predicted class" * (noise == last))
            for name, title in _MATRICES.items()
        ))
        for noise, own in found.items()
    ))  # fmt: skip


def matrices_left_out(study: Study) -> int:
    """Return the number of noises whose matrices are not drawn."""
    return max(0, sum(bool(study.selecting(noise)) for noise in study.noises) - _MOST_ROWS)


def _matrices(study: Study) -> dict[str, dict[str, np.ndarray]]:
    """Noise to name to rows that sum to 1, means over seeds."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for noise in study.noises:
        kept = [
            trial.arrays
            for trial in study.selecting(noise).values()
            if _MATRICES.keys() <= trial.arrays.keys()
        ]
        if kept and len(found) < _MOST_ROWS:
            found[noise] = {
                name: np.mean([_normalized(arrays[name]) for arrays in kept], axis=0)
                for name in _MATRICES
            }
    return found


def _normalized(matrix: np.ndarray) -> np.ndarray:
    """Rows that sum to 1; zeros where a class doesn't occur."""
    matrix = np.nan_to_num(np.asarray(matrix, float))
    return np.asarray(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-12))


def _heat_map(matrix: np.ndarray, title: str, *, x: str, y: str) -> Figure:
    """Squares whose opacity is the share, so that they are legible on any paper."""
    classes = len(matrix)
    found = [
        {"x": column, "y": row, "left": column - 0.5, "right": column + 0.5, "low": row - 0.5,
         "high": row + 0.5, "share": min(1.0, float(share)), "text": number(100 * share)}
        for (row, column), share in np.ndenumerate(matrix)
        if share >= _SEEN
    ]  # fmt: skip
    ticks = charts.plain(range(0, classes, -(-classes // _DENSE)))
    across, down = ((-0.5, classes - 0.5), (classes - 0.5, -0.5))
    size = WIDE / 3 - 30
    panel = Panel(
        Axis(x, across, ticks=ticks, grid=False), Axis(y, down, ticks=ticks, grid=False),
        width=size, height=size, title=title,
    )  # fmt: skip
    layers = [panel.tiles(found, color="blue")]
    if classes <= _DENSE:
        dark = {"test": f"datum.share > {_DARK}", "value": css("paper")}
        text = {"type": "text", "fontSize": 6.5, "baseline": "middle"}
        color = {"condition": dark, "value": css("ink")}
        layers.append(panel.marks(found, text, text={"field": "text"}, color=color))
    return panel.draw(*layers) | {"view": {"stroke": css("muted")}}
