"""Figures of measurements along training: the panels of the paper's figure 4, beta, shifts.

Santurkar et al. (arXiv:1805.11604), figure 4. Each function draws one figure, or returns None when
the run doesn't hold it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np

from tfticket.display import charts, palette
from tfticket.display.charts import WIDE, Axis, Figure, Panel, Rows, rows
from tfticket.display.palette import DASHED, DOTTED, LEVELS, Look, css
from tfticket.display.words import TIMES, percent
from tfticket.norms.landscape import SmoothnessRecord
from tfticket.report.reading import RunFiles
from tfticket.studies.norms.measures import labels, medians
from tfticket.studies.norms.networks import NormCondition, Study, tracked
from tfticket.studies.norms.results import BASELINES

PANELS = {
    "loss_band": "loss along the step",
    "predictiveness": "change of the gradient",
    "beta": "effective beta",
}
_USUAL = {
    "none": Look("orange", "square"),
    "batch": Look("blue", "circle"),
    "group": Look("green", "triangle-up"),
    "layer": Look("purple", "triangle-down"),
}
_OTHERS = (
    Look("amber", "diamond"), Look("sky", palette.PLUS), Look("level1", palette.SAW),
    Look("muted", palette.STAR, DASHED), Look("level5", palette.PENTAGON),
    Look("ink", palette.HEXAGON, DOTTED), Look("level3", "triangle-left", DASHED),
    Look("level2", "triangle-right", DASHED),
)  # fmt: skip
_MOST_ROWS = 6
_FAR = 8.0  # ratio of typical values above which an axis is logarithmic
_PEAK = 50.0  # the same of the highest to a typical one
_MANY = 160  # moments above which dots are small
_TRIMMED = 0.995  # share of the values that an axis makes room for

Edges = tuple[np.ndarray, np.ndarray]
"""Steps, shape (T,), and lower and upper edge of a band there, shape (T, 2)."""


def norm_looks(names: Sequence[str]) -> dict[str, Look]:
    """The looks of normalizations: fixed for the usual, the same within a run else."""
    return palette.looks(names, _USUAL, _OTHERS)


def line_looks(names: Sequence[str]) -> dict[str, Look]:
    """The same without a mark, for long curves."""
    return {name: Look(look.color, None, look.dash) for name, look in norm_looks(names).items()}


def figure4(study: Study) -> Figure | None:
    """Draw the baseline and batch norm (or the first other norm) in the same panels.

    Bands reach from the lowest to the highest value along the step, medians over seeds.
    """
    pair = main_pair(tracked(study))
    return _panels(study, {"": pair}, {}, height=190) if pair else None


def over_paper(study: Study) -> Figure | None:
    """Draw the same two over the paper's curves in gray; None for other experiments."""
    paper, pair = figure_of(study.files), main_pair(tracked(study))
    pair = [each for each in pair if each.norm in ("none", "batch")]
    if not paper or not pair:
        return None
    behind = {}
    for condition in pair:
        for measure in PANELS:
            curve = paper[measure][condition.norm]
            edges = np.stack([curve.low, curve.high], axis=1)
            behind[condition.label, measure] = (curve.share * condition.steps, edges)
    return _panels(study, {each.label: [each] for each in pair}, behind, height=125)


def rows_by_norm(study: Study) -> Figure | None:
    """Draw one row per norm, the baseline behind each in gray; None for two norms or fewer."""
    conditions = tracked(study)
    baseline = _baseline(conditions)
    others = [each for each in conditions if each is not baseline][:_MOST_ROWS]
    if len(conditions) < 3:
        return None
    behind = {
        (each.label, measure): _edges(study, baseline, measure)
        for each in others
        for measure in PANELS
        if baseline is not None
    }
    found = {each.label: [each] for each in others}
    return _panels(study, found, behind, height=88, among=conditions)


def main_pair(conditions: Sequence[NormCondition]) -> list[NormCondition]:
    """The baseline and the norm to hold against it, as far as they are there."""
    baseline = _baseline(conditions)
    others = [each for each in conditions if each is not baseline]
    main = next((b for b in others if b.norm == "batch"), others[0] if others else None)
    return [each for each in (baseline, main) if each is not None]


def _baseline(conditions: Sequence[NormCondition]) -> NormCondition | None:
    by_norm = {each.norm: each for each in reversed(conditions)}
    return next((by_norm[name] for name in BASELINES if name in by_norm), None)


def _band_of(record: SmoothnessRecord, measure: str) -> np.ndarray:
    """Lower and upper edge of a panel's band, shape (T, 2); of beta the same twice."""
    if measure == "loss_band":
        return record.loss_band
    if measure == "predictiveness":
        return record.gradient_predictiveness
    return np.stack([record.effective_beta] * 2, axis=1)


def _edges(study: Study, condition: NormCondition, measure: str) -> Edges:
    return medians(study.landscapes(condition), lambda record: _band_of(record, measure))


def _panels(
    study: Study,
    found: Mapping[str, Sequence[NormCondition]],
    behind: Mapping[tuple[str, str], Edges],
    *,
    height: float,
    among: Sequence[NormCondition] = (),
) -> Figure:
    """Draw one column per measure, on one scale, and one row per name.

    Args:
        study: The run.
        found: Name of a row to the conditions that are drawn in it.
        behind: Name and measure to what lies behind them in gray.
        height: Height of a row.
        among: The conditions that tell colors and the length of training, where not all are drawn.
    """
    shown = [each for conditions in found.values() for each in conditions]
    last = max(each.steps for each in among or shown)
    drawn = {
        (each.label, measure): _edges(study, each, measure) for each in shown for measure in PANELS
    }
    scales = {
        measure: scale(measure, [edges for (_, of), (_, edges) in [*behind.items(), *drawn.items()]
                                 if of == measure])
        for measure in PANELS
    }  # fmt: skip
    grid = []
    for place, (name, conditions) in enumerate(found.items()):
        bottom = place == len(found) - 1
        row = []
        for measure, title in PANELS.items():
            panel = Panel(
                Axis("iteration" if bottom else "", (0, last), labels=bottom),
                replace(scales[measure], title=name if measure == "loss_band" else ""),
                line_looks(labels(among or shown)),
                named=() if name else None,
                width=WIDE / 3, height=height, title=title if place == 0 else "",
            )  # fmt: skip
            layers = _gray(panel, measure, *behind[name, measure]) if behind else []
            for condition in conditions:
                steps, edges = drawn[condition.label, measure]
                if measure == "beta":
                    layers += _beta_line(panel, study, condition, steps, edges[:, 0])
                else:
                    band = rows(x=steps, low=edges[:, 0], high=edges[:, 1], name=condition.label)
                    layers.append(panel.band(band, opacity=0.5))
            row.append(panel.draw(*layers))
        grid.append(charts.beside(*row))
    return charts.below(*grid)


def _beta_line(
    panel: Panel, study: Study, condition: NormCondition, steps: np.ndarray, beta: np.ndarray
) -> list[Figure]:
    """A line through all moments; a dot where beta is a measurement, hollow where saturated."""
    _, saturated = medians(study.landscapes(condition), lambda r: r.saturated.astype(float))
    bound = saturated >= 0.5
    size = 11 if len(steps) <= _MANY else 4
    all_, known, hidden = (
        rows(x=steps[at], y=beta[at], name=condition.label) for at in (slice(None), ~bound, bound)
    )
    hollow = {"type": "point", "fill": css("paper"), "stroke": css("muted"), "strokeWidth": 0.7}
    return [
        panel.line(all_, width=0.8, opacity=0.5),
        panel.points(known, size=size, dots=True),
        panel.marks(hidden, {**hollow, "size": size}),
    ]


def _gray(panel: Panel, measure: str, steps: np.ndarray, edges: np.ndarray) -> list[Figure]:
    if measure == "beta":
        line = rows(x=steps, y=edges[:, 0], name="behind")
        return [panel.line(line, width=0.8, opacity=0.6, color="muted")]
    band = rows(x=steps, low=edges[:, 0], high=edges[:, 1], name="behind")
    return [panel.band(band, opacity=0.3, color="muted")]


def scale(measure: str, drawn: Sequence[np.ndarray]) -> Axis:
    """One axis for all: logarithmic for losses and wide ranges, else from zero."""
    highs = np.concatenate([found[:, 1] for found in drawn])
    highs = highs[np.isfinite(highs)]
    values = np.concatenate([found.ravel() for found in drawn])
    positive = values[np.isfinite(values) & (values > 0)]
    tops = [float(np.nanmedian(found[:, 1])) for found in drawn if np.isfinite(found).any()]
    if positive.size and (
        measure == "loss_band"
        or charts.is_wide(drawn)
        or max(tops) > _FAR * min(tops)
        or float(highs.max()) > _PEAK * float(np.median(highs))
    ):
        return charts.fitted("", [positive], log=True, quantiles=(1 - _TRIMMED, _TRIMMED))
    return charts.fitted("", [highs], zero=True, quantiles=(0, _TRIMMED))


MOMENTS = (0.0, 0.1, 0.33, 0.66, 1.0)
"""Shares of training at which whole curves are shown."""

_COLUMNS = 3
_MOST = 9


def beta_curves(study: Study) -> Figure | None:
    """Draw beta against the step size at a few moments, one panel per norm.

    Dotted: what a gradient that is gone at that distance gives, ||g_0|| / (k ||d||): 1 / step size
    along the gradient.
    """
    conditions = tracked(study)[:_MOST]
    if not conditions or len(_multipliers(study, conditions[0])) < 2:
        return None
    found = {each.label: _beta_curves(study, each) for each in conditions}
    y = charts.fitted("beta", [[r["y"] for r in data] for data in found.values()], log=True)
    used = {f"at {percent(share, 0)}": Look(color, "circle")
            for share, color in zip(MOMENTS, LEVELS, strict=False)}  # fmt: skip
    used["gradient gone"] = Look("muted", None, DOTTED)
    panels = []
    for place, (condition, data) in enumerate(zip(conditions, found.values(), strict=True)):
        panel = Panel(
            _multiplier_axis(_multipliers(study, condition)),
            replace(y, title="") if place % _COLUMNS else y,
            used, width=WIDE / 3, height=130, title=condition.label,
        )  # fmt: skip
        dots = [row for row in data if row["name"] != "gradient gone"]
        panels.append(panel.draw(panel.line(data, width=1.3), panel.points(dots, size=7)))
    return charts.wrapped(panels, _COLUMNS)


def _beta_curves(study: Study, condition: NormCondition) -> Rows:
    records = study.landscapes(condition)
    k = _multipliers(study, condition)
    steps, curves = medians(records, lambda record: record.beta_curve)
    found: Rows = []
    for share in MOMENTS:
        moment = int(np.argmin(np.abs(steps - share * condition.steps)))
        found += rows(x=k, y=curves[moment], name=f"at {percent(share, 0)}")
    bound = np.median([np.median(r.gradient_norm / r.direction_norm) for r in records.values()])
    return found + rows(x=k, y=bound / k, name="gradient gone")


def _multiplier_axis(k: np.ndarray) -> Axis:
    """Ticks at a few of the multipliers."""
    low, high = float(k[0]), float(k[-1])
    usual = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30) if high > 20 * low else (0.25, 0.5, 1, 2, 4, 8)
    ticks = charts.plain(usual, low, high) or charts.plain((low, high))
    return replace(charts.fitted("multiple of the step", [k], log=True), ticks=ticks)


def relative_change(study: Study) -> Figure | None:
    """Draw the relative change of the gradient against the relative distance.

    Lines: medians over the moments of training and over seeds; bands: quarter to three quarters.
    """
    conditions = tracked(study)
    if not conditions:
        return None
    found: Rows = []
    for condition in conditions:
        records = study.landscapes(condition).values()
        distance = _quantiles([record.relative_distance for record in records])
        low, y, high = _quantiles([record.relative_change for record in records])
        found += rows(x=distance[1], y=y, low=low, high=high, name=condition.label)
    x = [row["x"] for row in found]
    edges = [[row[edge] for row in found] for edge in ("low", "high")]
    circles = {name: Look(look.color, "circle", look.dash)
               for name, look in norm_looks(labels(conditions)).items()}  # fmt: skip
    panel = Panel(
        charts.fitted("distance moved, relative to the weights", [x], log=True),
        charts.fitted("change of the gradient, relative", edges, log=True),
        circles,
    )
    band = panel.band(found, opacity=0.13)
    return panel.draw(band, panel.line(found), panel.points(found, size=9))


def _quantiles(values: list[np.ndarray]) -> np.ndarray:
    """First quartile, median and third quartile over moments and seeds, shape (3, K)."""
    found = np.concatenate(values)
    found = found[np.isfinite(found).all(axis=1)]
    if not found.size:
        return np.full((3, values[0].shape[1]), np.nan)
    return np.asarray(np.quantile(found, [0.25, 0.5, 0.75], axis=0))


def gauge(study: Study) -> Figure | None:
    """Draw learning rate times sharpness over 2, along training, with its line at 1."""
    title = f"learning rate {TIMES} sharpness / 2"
    return _along(study, lambda record: record.gauge, title, limit=1)


def sharpness(study: Study) -> Figure | None:
    """Draw curvature along the step, at its shortest multiple, along training."""
    return _along(study, lambda record: record.sharpness, "sharpness along the step")


def usable(study: Study) -> Figure | None:
    """Draw the largest multiple of the step up to which the batch's loss doesn't rise."""
    return _along(study, lambda record: record.usable, "usable multiple of the step", limit=1)


def _along(
    study: Study,
    value: Callable[[SmoothnessRecord], np.ndarray],
    title: str,
    *,
    limit: float | None = None,
) -> Figure | None:
    """Draw one line per norm along training: the running median of medians over seeds."""
    conditions = tracked(study)
    if not conditions:
        return None
    curves = [
        (each.label, steps, found, running_median(found))
        for each in conditions
        for steps, found in [medians(study.landscapes(each), value)]
    ]
    values = [smooth for *_, smooth in curves]
    wide = charts.is_wide(values)
    axis = charts.fitted(title, values if wide else [*values, [1.1]], log=wide, zero=True)
    steps = charts.step_axis(max(each.steps for each in conditions))
    panel = Panel(steps, axis, line_looks(labels(conditions)))
    limits = [] if limit is None else [panel.rule(y=limit, color="ink", dash=DASHED)]
    return panel.draw(*panel.curves(curves), *limits)


def running_median(values: np.ndarray) -> np.ndarray:
    """A centered median over a tenth of the moments; few of them as they are."""
    half = len(values) // 20
    if half < 1:
        return values
    padded = np.pad(values, half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.asarray(np.ma.median(np.ma.masked_invalid(windows), axis=1).filled(np.nan))


def _multipliers(study: Study, condition: NormCondition) -> np.ndarray:
    return next(iter(study.landscapes(condition).values())).multipliers


PAPER = "arXiv:1805.11604"
_FILE = "santurkar_figure4.json"


@dataclass(frozen=True)
class PaperCurve:
    """One band or line of the figure.

    Attributes:
        share: Place in the training, in [0, 1], shape (T,).
        low: Lower edge of the band, shape (T,); the line itself in the panel of beta.
        high: Upper edge, shape (T,).
    """

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def figure_of(files: RunFiles) -> Mapping[str, Mapping[str, PaperCurve]]:
    """The paper's figure if the run's recipe is of the same experiment; else empty.

    Returns:
        Measure (`loss_band`, `predictiveness`, `beta`) to normalization (`none`, `batch`) to curve.
    """
    is_vgg = str(files.table("model").get("name") or "").startswith("vgg")
    if files.recipe.get("paper") != PAPER or not is_vgg:
        return {}
    return paper_figure4()


def paper_figure4() -> Mapping[str, Mapping[str, PaperCurve]]:
    """The digitized figure; see `figure_of`."""
    text = resources.files("tfticket.studies.norms").joinpath(_FILE).read_text(encoding="utf-8")
    content = json.loads(text)
    return {
        measure: {norm: _curve(points, content["steps"]) for norm, points in curves.items()}
        for measure, curves in content["panels"].items()
    }


def _curve(points: Mapping[str, list[float]], steps: int) -> PaperCurve:
    value = points.get("value")
    return PaperCurve(
        share=np.array(points["step"]) / steps,
        low=np.array(value or points["low"]),
        high=np.array(value or points["high"]),
    )
