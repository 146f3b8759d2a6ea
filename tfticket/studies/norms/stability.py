"""Curvature along training against the edge of stability, and what of smoothness moves with it.

Gradient descent with the learning rate eta is stable up to a sharpness of 2 / eta (Cohen et al.
2021, arXiv:2103.00065).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import stats

from tfticket.display import charts
from tfticket.display.charts import NARROW, WIDE, Axis, Figure, Panel
from tfticket.display.palette import DASHED, LEVELS, Look
from tfticket.norms.landscape import CurvatureRecord, SmoothnessRecord
from tfticket.studies.norms.measures import medians
from tfticket.studies.norms.networks import Network, NormCondition, Study

EDGES = {
    "edge_sharpness": "sharpness",
    "edge_critical": "critical sharpness",
    "edge_batch": "batch sharpness",
}
"""Measure to heading: in units of 2 / eta, medians over the second half of training."""

RANKS = {
    "rank_loss_band": "loss band",
    "rank_predictiveness": "gradient predictiveness",
    "rank_beta": "effective beta",
}
"""Measure to heading: Spearman correlation with the sharpness along one training, in [-1, 1]."""

_CURVES: dict[str, Callable[[CurvatureRecord], np.ndarray]] = {
    "largest eigenvalue": lambda record: record.sharpness,
    "critical sharpness": lambda record: record.critical_sharpness,
    "batch sharpness": lambda record: record.batch_sharpness,
}
_LOOKS = {
    "largest eigenvalue": Look("blue"),
    "critical sharpness": Look("orange"),
    "batch sharpness": Look("green"),
}
_FEWEST = 5  # moments that a rank correlation is taken over


def edges(record: CurvatureRecord) -> dict[str, float]:
    """Return the measures of `EDGES` of one training; NaN where nothing is finite."""
    late = record.step >= record.step[-1] / 2 if len(record) else np.zeros(0, bool)
    found = {}
    for name, curve in zip(EDGES, _CURVES.values(), strict=True):
        shares = (curve(record) / record.edge)[late]
        finite = shares[np.isfinite(shares)]
        found[name] = float(np.median(finite)) if finite.size else np.nan
    return found


def ranks(record: CurvatureRecord, landscape: SmoothnessRecord) -> dict[str, float]:
    """Return the measures of `RANKS` of one training, over the steps that both measured."""
    _, own, others = np.intersect1d(record.step, landscape.step, return_indices=True)
    low, high = landscape.loss_band.T
    small, large = landscape.gradient_predictiveness.T
    measured = (high - low, large - small, landscape.effective_beta)
    found = {}
    for name, values in zip(RANKS, measured, strict=True):
        pairs = np.stack([record.sharpness[own], values[others]])
        pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
        varies = pairs.shape[1] >= _FEWEST and (np.ptp(pairs, axis=1) > 0).all()
        found[name] = float(stats.spearmanr(*pairs).statistic) if varies else np.nan
    return found


def curved(network: Network) -> dict[str, float]:
    """Return what was measured of the curvature of a training; what isn't finite is absent."""
    record, landscape = network.curvature, network.landscape
    if record is None:
        return {}
    found = edges(record) | ({} if landscape is None else ranks(record, landscape))
    return {name: value for name, value in found.items() if np.isfinite(value)}


def figure(study: Study) -> Figure | None:
    """Draw curvature and 2 / eta: columns are norms, rows learning rates, the last row the loss."""
    conditions = [each for each in study.conditions if study.curvatures(each)]
    if not conditions:
        return None
    cells = {(each.learning_rate, each.label): each for each in conditions}
    rates = sorted({rate for rate, _ in cells})
    norms = list(dict.fromkeys(each.label for each in conditions))
    width = WIDE / len(norms) if len(norms) > 1 else NARROW
    last = max(each.steps for each in conditions)
    grid = []
    for rate in rates:
        found = {norm: _curves(study, cells[rate, norm]) for norm in norms if (rate, norm) in cells}
        drawn = [smooth for curves in found.values() for *_, smooth in curves]
        axis = charts.fitted("curvature", [*drawn, [2 / rate]], log=True)
        grid.append([
            _panel(found.get(norm), axis if norm == norms[0] else replace(axis, title=""),
                   Axis("", (0, last), labels=False), f"{norm}, learning rate {rate:g}", width,
                   edge=2 / rate)
            for norm in norms
        ])  # fmt: skip
    looks = {f"learning rate {rate:g}": Look(LEVELS[n]) for n, rate in enumerate(rates)}
    losses = {
        norm: [
            (name, *_median(study, cells[rate, norm], lambda record: record.loss))
            for name, rate in zip(looks, rates, strict=True)
            if (rate, norm) in cells
        ]
        for norm in norms
    }
    axis = charts.fitted("loss", [v for found in losses.values() for *_, v in found], log=True)
    grid.append([
        _panel(losses[norm], axis if norm == norms[0] else replace(axis, title=""),
               Axis("iteration", (0, last)), norm, width, looks=looks)
        for norm in norms
    ])  # fmt: skip
    return charts.below(*(charts.beside(*row) for row in grid))


_Curves = list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]


def _curves(study: Study, condition: NormCondition) -> _Curves:
    return [(name, *_median(study, condition, curve)) for name, curve in _CURVES.items()]


def _median(
    study: Study, condition: NormCondition, curve: Callable[[CurvatureRecord], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    steps, values = medians(study.curvatures(condition), curve)
    return steps, values, values


def _panel(
    curves: _Curves | None, y: Axis, x: Axis, title: str, width: float, *,
    looks: dict[str, Look] = _LOOKS, edge: float | None = None,
) -> Figure:  # fmt: skip
    if curves is None:
        return charts.blank(width, 115)
    panel = Panel(x, y, looks, width=width, height=115, title=title)
    rule = [] if edge is None else [panel.rule(y=edge, color="ink", dash=DASHED)]
    return panel.draw(*panel.curves(curves), *rule)
