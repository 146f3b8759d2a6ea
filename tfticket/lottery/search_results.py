"""The results of one search as a sentence, a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfticket.display import charts, palette
from tfticket.display.charts import Figure, Panel, density_axis, rows
from tfticket.display.palette import DASHED, DOTTED, Look
from tfticket.display.words import percent, plural
from tfticket.lottery.metric import is_accuracy

if TYPE_CHECKING:  # pages take `branch_looks`, and are made without TensorFlow
    from tfticket.lottery.trial import TrialResult

_USUAL = {
    "ticket": Look("blue", "circle"),
    "reinit": Look("orange", "square", DASHED),
    "shuffle": Look("green", "triangle-up", palette.DASH_DOT),
    "random": Look("purple", "triangle-down", DOTTED),
    "oneshot": Look("amber", "diamond", palette.LONG),
}
_OTHERS = (
    Look("sky", palette.PLUS, palette.FINE),
    Look("muted", palette.SAW, (1, 1)),
    Look("ink", palette.STAR, DASHED),
)


def branch_looks(branches: Sequence[str]) -> dict[str, Look]:
    """The looks of branches: fixed for the usual ones, the same within a run else."""
    return palette.looks(branches, _USUAL, _OTHERS)


def result_rows(results: Sequence[TrialResult]) -> list[dict[str, Any]]:
    """A row for each finished network: level, branch, density, and its metrics at both steps."""
    return [
        {
            "level": result.trial.level,
            "branch": result.trial.branch,
            "density": result.density,
            "early_stop_step": result.early_stop_step,
            **{f"{name}_at_early_stop": value for name, value in result.at_early_stop.items()},
            **{f"{name}_at_end": value for name, value in result.at_end.items()},
            "measured_on": result.measured_on,
            "seconds": round(result.seconds, 3),
        }
        for result in results
    ]


def result_sentence(results: Sequence[TrialResult], pending: int) -> str:
    """Say how accurate the dense network and the sparsest ticket are, and what is left to train."""
    from tfticket.lottery.trial import TICKET  # imports Keras, as pages don't

    to_train = f"{plural(pending, 'network')} left to train." if pending else ""
    tickets = [result for result in results if result.trial.branch == TICKET]
    if not tickets:
        return " ".join(["No ticket was trained by this search.", to_train]).strip()
    name = _metric(tickets)
    sparsest = percent(tickets[-1].density)
    said = f"{plural(len(tickets), 'network')} trained, dense to {sparsest} of the weights"
    if name:
        values = [_value(result, name) for result in (tickets[0], tickets[-1])]
        shown = [percent(v, 2) if is_accuracy(name) else f"{v:.4g}" for v in values]
        said += f": {tickets[0].measured_on} {name} {shown[0]} to {shown[1]}"
    return " ".join([f"{said}. One seed can't tell that from luck.", to_train]).strip()


def result_figure(results: Sequence[TrialResult]) -> Figure | None:
    """Draw the metric of each finished network against its density, dense at the left."""
    name = _metric(results)
    if not name:
        return None
    scale, unit = (100, " (%)") if is_accuracy(name) else (1, "")
    branches = list(dict.fromkeys(result.trial.branch for result in results))
    data = [
        row
        for branch in branches
        for found in [[result for result in results if result.trial.branch == branch]]
        for row in rows(
            x=[100 * result.density for result in found],
            y=[scale * _value(result, name) for result in found],
            name=branch,
        )
    ]
    axis = charts.fitted(f"{results[0].measured_on} {name}{unit}", [[row["y"] for row in data]])
    densities = (result.density for result in results)
    panel = Panel(density_axis(densities), axis, branch_looks(branches))
    return panel.draw(panel.line(data), panel.points(data))


def _metric(results: Sequence[TrialResult]) -> str:
    """The accuracy, or else the first metric; empty where nothing was evaluated."""
    shared = set.intersection(*(set(_metrics(result)) for result in results)) if results else set()
    names = [name for name in _metrics(results[0]) if name in shared] if shared else []
    return next((name for name in names if is_accuracy(name)), names[-1] if names else "")


def _metrics(result: TrialResult) -> dict[str, float]:
    return dict(result.at_early_stop or result.at_end)


def _value(result: TrialResult, name: str) -> float:
    return _metrics(result)[name]
