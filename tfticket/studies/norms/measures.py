"""One number a training: how smooth its landscape was, how far its layers shifted, how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from tfticket.norms.landscape import CurvatureRecord, SmoothnessRecord
from tfticket.norms.landscape.records import ShiftRecord
from tfticket.report.expectation import POINTS, POINTS_LOST, TIMES, Unit
from tfticket.studies.norms.names import quantity
from tfticket.studies.norms.networks import Network, NormCondition


@dataclass(frozen=True)
class Measure:
    """Comparison of two networks by a measure.

    Attributes:
        title: What it is, in a few words.
        unit: `TIMES`: by a ratio, the other over this one, so that above 1 speaks for this one;
            else by a difference, this one minus the other.
    """

    title: str
    unit: Unit

    @property
    def ratio(self) -> bool:
        """True if networks are compared by a ratio."""
        return self.unit is TIMES


MEASURES = MappingProxyType(
    {
        "loss_band": Measure("loss band", TIMES),
        "loss_width": Measure("loss band in units of the loss", TIMES),
        "predictiveness": Measure("gradient-predictiveness band", TIMES),
        "predictiveness_median": Measure("typical gradient-predictiveness band", TIMES),
        "beta": Measure("effective beta", TIMES),
        "relative_beta": Measure("relative beta", TIMES),
        "accuracy": Measure("test accuracy", POINTS),
        "accuracy_drop": Measure("change of test accuracy in small batches", POINTS_LOST),
        "shift_cosine": Measure("cosine of the shift", Unit(quantity, neutral=0.0)),
    }
)
"""Name to measure: networks are compared by these, and expectations are about them."""

SMOOTHNESS = tuple(name for name, measure in MEASURES.items() if measure.ratio)
"""Those about the landscape."""

STATISTICS = {
    "accuracy": "moving statistics",
    "accuracy_precise": "statistics taken again",
    "accuracy_evalnorm": "EvalNorm",
    "accuracy_batch": "the test batch's own",
}
"""Measure to where the normalization's statistics come from when it is tested."""

MOVING = frozenset(
    {"batch", "batch_renorm", "frozen_batch", "sync_batch", "l1_batch", "l2_batch", "linf_batch",
     "noisy_batch"}
)  # fmt: skip
"""Kinds of normalization that keep moving statistics for tests."""

MEMORIZATION = (
    *(f"{name}_{when}" for name in ("memorized", "recovered", "right_accuracy")
      for when in ("last", "at_end", "mean", "by_validation")),
    "accuracy",
    *(f"accuracy_{when}" for when in ("last", "mean", "by_validation")),
)  # fmt: skip
"""Memory of wrong labels: shares of training examples, accuracy on clean test data.

`last` is the mean of the last evaluations, `mean` that of all, `by_validation` where the accuracy
on validation data with wrong labels would have stopped.
"""

_COST = ("seconds", "landscape_seconds", "shift_seconds", "curvature_seconds",
         "memorization_seconds")  # fmt: skip
_RESULTS = {"accuracy_at_end": "accuracy", "loss_at_end": "loss"} | {
    name: name for name in (*STATISTICS, *MEMORIZATION, "density", "noise_rate", *_COST)
}


def smoothness(record: SmoothnessRecord, *, until: float) -> dict[str, float]:
    """Summarize a record of smoothness.

    Moments at which a loss or gradient isn't finite are left out of the means.

    Args:
        record: The record.
        until: The last step to look at.

    Returns:
        `loss_band` (mean of log10(highest / lowest loss)), `loss_width` (mean of their difference),
        `predictiveness` (mean of largest minus smallest change of the gradient); the medians
        `predictiveness_median`, `beta`, `relative_beta`, `sharpness`, `gauge` and `usable`; and the
        shares of moments at which beta is saturated (`saturated`) and the gauge above 1
        (`above_one`), in [0, 1]. NaN where nothing finite is left.
    """
    early = record.step <= until
    low, high = record.loss_band[early].T
    small, large = record.gradient_predictiveness[early].T
    positive = (low > 0) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        gauge = _finite(record.gauge[early])
        return {
            "loss_band": _mean(np.log10(high[positive] / low[positive])),
            "loss_width": _mean(_finite(high - low)),
            "predictiveness": _mean(_finite(large - small)),
            "predictiveness_median": _median(large - small),
            "beta": _median(record.effective_beta[early]),
            "relative_beta": _median(record.relative_beta[early]),
            "sharpness": _median(record.sharpness[early]),
            "gauge": _median(gauge),
            "above_one": _mean(gauge > 1),
            "usable": _median(record.usable[early]),
            "saturated": _mean(record.saturated[early]),
        }


def shift(record: ShiftRecord, *, until: float) -> dict[str, float]:
    """Summarize a record of shift: medians over moments and layers.

    Args:
        record: The record.
        until: The last step to look at.

    Returns:
        `shift_cosine`, in [-1, 1], and `shift_l2`.
    """
    early = record.step <= until
    return {"shift_cosine": _median(record.cosine[early]), "shift_l2": _median(record.l2[early])}


def measure(network: Network, *, until: float, accuracy_at: int | None = None) -> dict[str, float]:
    """Take all measures of one training, by name; what wasn't measured or isn't finite is absent.

    A network that diverged has no accuracy, no loss and no memory at its end.

    Args:
        network: The training.
        until: The last step that measures of smoothness and shift look at.
        accuracy_at: Where given, the accuracy is that of `accuracy_after` this step.
    """
    found = {_RESULTS[n]: value for n, value in network.results.items() if n in _RESULTS}
    if network.diverged:
        ends = {*STATISTICS, *MEMORIZATION, "loss"}
        found = {name: value for name, value in found.items() if name not in ends}
    if network.landscape is not None:
        found |= smoothness(network.landscape, until=until)
    if network.shift is not None:
        found |= shift(network.shift, until=until)
    if accuracy_at is not None:
        found["accuracy"] = accuracy_after(network, accuracy_at)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def accuracy_after(network: Network, step: int) -> float:
    """Validation accuracy at the last evaluation up to a step; NaN if there is none.

    Where validation labels are wrong, that of the clean test data.
    """
    clean = network.curves.get(("clean", "accuracy"))
    curve = network.curves.get(("validation", "accuracy")) if clean is None else clean
    if curve is None or network.diverged or not (curve.steps <= step).any():
        return np.nan
    return float(curve.values[curve.steps <= step][-1])


def _finite(values: np.ndarray) -> np.ndarray:
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan


def _median(values: np.ndarray) -> float:
    found = _finite(values)
    return float(np.median(found)) if found.size else np.nan


R = TypeVar("R", SmoothnessRecord, ShiftRecord, CurvatureRecord)


def labels(conditions: Sequence[NormCondition]) -> list[str]:
    """The normalizations of conditions, each once."""
    return list(dict.fromkeys(each.label for each in conditions))


def medians(
    records: Mapping[int, R], value: Callable[[R], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The median over seeds along training.

    Args:
        records: Seed to record, at least one.
        value: What to take of each, shape (T,) or (T, n).

    Returns:
        The steps of the longest record, shape (T,), and the medians there over the seeds that have
        a finite value there: shape (T,) or (T, n), NaN where none has.
    """
    longest = max(records.values(), key=lambda record: len(record.step))
    steps = longest.step
    stack = np.stack([_at(steps, record.step, value(record)) for record in records.values()])
    return steps, np.ma.median(np.ma.masked_invalid(stack), axis=0).filled(np.nan)


def _at(steps: np.ndarray, own: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values at other steps; NaN after the last of one's own."""
    columns = values.reshape(len(own), -1).T
    found = np.stack([np.interp(steps, own, column, right=np.nan) for column in columns], axis=1)
    return found.reshape(len(steps), *values.shape[1:])
