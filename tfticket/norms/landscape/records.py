"""Records of what the loss and its gradient do along training: arrays, and what follows from them.

`SmoothnessRecord` holds the measurements of Santurkar, Tsipras, Ilyas & Madry, "How Does Batch
Normalization Help Optimization?" (arXiv:1805.11604), section 3.2 and appendix A.2.2. At a step of
training with weights theta, batch B and d = -(learning rate) * g(theta), for multipliers k on a
grid,

    L_k = L(theta + k d; B)          g_k = gradient of L at theta + k d, same B

    loss band                 [min_k L_k, max_k L_k]
    gradient predictiveness   [min_k, max_k] of ||g_k - g_0||_2
    effective beta            max_k ||g_k - g_0||_2 / (k ||d||_2)

where all trainable weights are one flat vector. `ShiftRecord` holds internal covariate shift,
definition 2.1 of the paper. With the weights W_1..W_k before a step on the batch B and W'_1..W'_k
after it,

    G_i  = dL/dW_i (W_1, ..., W_k; B)
    G'_i = dL/dW_i (W'_1, ..., W'_{i-1}, W_i, W_{i+1}, ..., W_k; B)

    l2 = ||G_i - G'_i||_2 (ideally 0)        cosine = <G_i, G'_i> / (||G_i|| ||G'_i||) (ideally 1)

Nothing here needs TensorFlow: a record is made by a tracker or read from a file, and studied
anywhere.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import lines
from tfticket.display.words import plural
from tfticket.errors import TicketError
from tfticket.files import load_arrays, write_arrays
from tfticket.metrics import Row

Floats = npt.NDArray[np.float64]

_SATURATED_SLOPE = -0.5
_TINY = 1e-30  # a gradient shorter than this has no direction
_ROUNDING = 2.0**-22  # relative distances below this are lost in the weights' own float32


@dataclass(frozen=True, eq=False, repr=False)
class Record(Displayable):
    """Abstract base: the measurements of one training at T moments.

    Attributes:
        step: Optimizer steps made before the measurement, shape (T,), int64.
    """

    KIND: ClassVar[str]  # in files
    NAME: ClassVar[str]  # in messages
    SPLIT: ClassVar[str]  # in the table of metrics
    NAN_ROWS: ClassVar[bool]  # whether that holds NaN
    AXIS: ClassVar[str]  # the field that all moments share, shape (n,)
    TABLES: ClassVar[tuple[str, ...]]  # fields of shape (T, n); all others have shape (T,)

    step: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        moments, count = len(self.step), len(getattr(self, self.AXIS))
        for name, array in self.to_arrays().items():
            shape = (moments, count) if name in self.TABLES else (moments,)
            if name != self.AXIS and array.shape != shape:
                raise ValueError(
                    f"`{name}` must have the shape {shape}, from {moments} steps and {count} "
                    f"{self.AXIS}. Received: {array.shape}."
                )

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._when()}, {len(getattr(self, self.AXIS))} {self.AXIS})"

    def _when(self) -> str:
        """Number and range of the moments."""
        if not len(self):
            return "no moments"
        return f"{plural(len(self), 'moment')}, steps {self.step[0]} to {self.step[-1]}"

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each moment: its step, and all columns of the table of metrics."""
        columns = {name: values.tolist() for name, values in self.columns().items()}
        return [
            {"step": step, **{name: values[moment] for name, values in columns.items()}}
            for moment, step in enumerate(self.step.tolist())
        ]

    @classmethod
    def joined(cls, moments: Sequence[Self], axis: npt.NDArray[Any]) -> Self:
        """Join records in their order; there may be none.

        Args:
            moments: Records that share an axis.
            axis: The multipliers or the layers, shape (n,).
        """
        arrays: dict[str, npt.NDArray[Any]] = {cls.AXIS: axis}
        for name in (field.name for field in fields(cls) if field.name != cls.AXIS):
            none = np.empty((0, len(axis)) if name in cls.TABLES else (0,))
            none = none.astype(np.int64) if name == "step" else none
            arrays[name] = np.concatenate([none, *(getattr(one, name) for one in moments)])
        return cls(**arrays)

    @abc.abstractmethod
    def columns(self) -> dict[str, Floats]:
        """Return the columns of the table of metrics by name, each of shape (T,)."""

    def rows(self, *, seed: int, branch: str, steps_per_epoch: float, level: int = 0) -> list[Row]:
        """Return the record as rows of the table of metrics.

        Args:
            seed: Seed of the training.
            branch: Branch of the training.
            steps_per_epoch: To turn steps into epochs.
            level: Pruning level of the network, 0 for dense.
        """
        columns = self.columns()
        return [
            Row(seed, branch, level, step, step / steps_per_epoch, self.SPLIT, name, float(value))
            for moment, step in enumerate(self.step.tolist())
            for name, value in ((name, column[moment]) for name, column in columns.items())
            if self.NAN_ROWS or np.isfinite(value)
        ]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Build a record from what `to_arrays` returned.

        Raises:
            TicketError: when a field is missing.
        """
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise TicketError(f"A {cls.NAME} must have all of its fields. Missing: {missing}.")
        return cls(**{field.name: np.asarray(arrays[field.name]) for field in fields(cls)})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one `.npz`, whole or not at all."""
        return write_arrays(path, kind=self.KIND, header={}, arrays=self.to_arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            TicketError: when the file is missing, damaged, or holds something else.
        """
        return load_arrays(
            path, lambda _, arrays: cls.from_arrays(arrays), kind=cls.KIND, holds=f"a {cls.NAME}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class SmoothnessRecord(Record):
    """Loss and gradient along the direction of a step: T moments, K points each.

    Attributes:
        step: Optimizer steps made before the measurement, shape (T,), int64.
        learning_rate: Of that step, shape (T,).
        multipliers: k, rising, above 0, shape (K,). 1 is where the step itself leads.
        loss: L_0, with regularization, shape (T,).
        losses: L_k, shape (T, K).
        weight_norm: ||theta||_2, shape (T,).
        gradient_norm: ||g_0||_2, shape (T,).
        direction_norm: ||d||_2, shape (T,).
        slope: <g_0, d>, shape (T,): negative where the step descends.
        gradient_norms: ||g_k||_2, shape (T, K).
        gradient_change: ||g_k - g_0||_2, shape (T, K).
        curvature: <g_k - g_0, d> / (k ||d||^2), shape (T, K): the mean curvature on the way.

    Example:
        >>> one, points = np.ones(1), np.ones((1, 2))
        >>> record = SmoothnessRecord(
        ...     step=np.array([0]), learning_rate=one, multipliers=np.array([0.5, 1.0]), loss=one,
        ...     losses=points, weight_norm=one, gradient_norm=one, direction_norm=0.1 * one,
        ...     slope=-one, gradient_norms=points, gradient_change=points, curvature=points,
        ... )
        >>> record.effective_beta, record.saturated
        (array([20.]), array([ True]))
    """

    KIND = "smoothness"
    NAME = "record of smoothness"
    SPLIT = "landscape"
    NAN_ROWS = True
    AXIS = "multipliers"
    TABLES = ("losses", "gradient_norms", "gradient_change", "curvature")

    learning_rate: Floats
    multipliers: Floats
    loss: Floats
    losses: Floats
    weight_norm: Floats
    gradient_norm: Floats
    direction_norm: Floats
    slope: Floats
    gradient_norms: Floats
    gradient_change: Floats
    curvature: Floats

    @property
    def distance(self) -> Floats:
        """Distance of each point from theta: k ||d||, shape (T, K)."""
        return self.direction_norm[:, None] * self.multipliers

    @property
    def loss_band(self) -> Floats:
        """Lowest and highest loss along the direction, shape (T, 2)."""
        return _band(self.losses)

    @property
    def gradient_predictiveness(self) -> Floats:
        """Smallest and largest change of the gradient along the direction, shape (T, 2)."""
        return _band(self.gradient_change)

    @property
    def beta_curve(self) -> Floats:
        """Change of the gradient over the distance moved, shape (T, K).

        NaN where float32 weights are too coarse for the distance: that would be noise.
        """
        resolved = self.relative_distance > _ROUNDING
        return np.where(resolved, _ratio(self.gradient_change, self.distance), np.nan)

    @property
    def effective_beta(self) -> Floats:
        """The largest of `beta_curve`, shape (T,): a lower bound of the local smoothness."""
        return _max(self.beta_curve)

    @property
    def beta_at(self) -> Floats:
        """The multiplier at which `effective_beta` is attained, shape (T,)."""
        return self.multipliers[self._argmax]

    @property
    def saturated(self) -> npt.NDArray[np.bool_]:
        """True where `effective_beta` depends on the grid and not the landscape, shape (T,).

        Beta is at most (1 + c) / distance when no gradient is longer than c times g_0. Where the
        gradient has turned before the first point already, beta is that bound, whatever the
        curvature: 1 / (0.5 * 0.1) = 20 in most of the paper's figure 4(c). The sign of it: the
        maximum is at the smallest multiplier, and beta falls there like 1 / k (in logarithms, a
        slope below -0.5). With a single multiplier it is always False.
        """
        if len(self.multipliers) < 2:
            return np.zeros(len(self), bool)
        curve, k = self.beta_curve, self.multipliers
        with np.errstate(divide="ignore", invalid="ignore"):
            slope: Floats = np.log(curve[:, 1] / curve[:, 0]) / np.log(k[1] / k[0])
        steep: npt.NDArray[np.bool_] = slope < _SATURATED_SLOPE
        steep &= self._argmax == 0
        return steep

    @property
    def relative_distance(self) -> Floats:
        """Distance over the length of the weights, k ||d|| / ||theta||, shape (T, K).

        Behind a normalization L(c W) = L(W), so that gradients scale with 1/c and curvature with
        1/c^2: what is measured in units of the weights and of the gradient doesn't depend on c.
        """
        return _ratio(self.distance, self.weight_norm[:, None])

    @property
    def relative_change(self) -> Floats:
        """||g_k - g_0|| / ||g_0||, shape (T, K)."""
        return _ratio(self.gradient_change, self.gradient_norm[:, None])

    @property
    def relative_beta(self) -> Floats:
        """The largest relative change over relative distance, shape (T,); without a unit."""
        return self.effective_beta * _ratio(self.weight_norm, self.gradient_norm)

    @property
    def sharpness(self) -> Floats:
        """Curvature along the direction, d'Hd / d'd, at the smallest multiplier, shape (T,).

        With d along the gradient of the batch this is its batch sharpness (Andreyev & Beneventano,
        arXiv:2412.20553). As a finite difference it includes the kinks of ReLUs that the step
        crosses, which Hessian-vector products don't see.
        """
        return self.curvature[:, 0]

    @property
    def gauge(self) -> Floats:
        """Share of the first-order decrease that curvature takes back, shape (T,).

        (d'Hd / 2) / (-<g_0, d>): above 1 the full step doesn't lower the loss, to second order.
        Along the gradient it is learning rate * sharpness / 2.
        """
        return _ratio(self.sharpness * self.direction_norm**2 / 2, -self.slope)

    @property
    def usable(self) -> Floats:
        """The largest multiplier up to which no point has more loss than L_0; 0 if none, (T,)."""
        lower = np.cumprod(self.losses <= self.loss[:, None], axis=1).sum(axis=1)
        reached: Floats = np.concatenate([[0.0], self.multipliers])[lower]
        return reached

    @property
    def _argmax(self) -> npt.NDArray[np.int64]:
        curve = self.beta_curve
        largest: npt.NDArray[np.int64] = np.argmax(np.where(np.isnan(curve), -np.inf, curve), 1)
        return largest

    def summary(self) -> str:
        """Return the medians over the moments in a sentence."""
        if not len(self):
            return "Smoothness was measured at no moment."
        saturated = int(self.saturated.sum())
        where = f" (saturated at {saturated})" if saturated else ""
        return (
            f"Smoothness at {self._when()}: effective beta {_median(self.effective_beta):.3g}"
            f"{where}, largest change of the gradient "
            f"{_median(self.gradient_predictiveness[:, 1]):.3g}, largest loss of the band "
            f"{_median(self.loss_band[:, 1]):.3g} (medians)."
        )

    def _figure(self) -> Figure | None:
        if not len(self):
            return None
        low, high = self.loss_band.T
        series = {"largest": high, "at the step": self.loss, "smallest": low}
        found = {name: (self.step.tolist(), values.tolist()) for name, values in series.items()}
        return lines(found, "step", "loss along the gradient")

    def columns(self) -> dict[str, Floats]:
        """See `Record`."""
        return {
            "learning_rate": self.learning_rate,
            "loss": self.loss,
            "loss_min": self.loss_band[:, 0],
            "loss_max": self.loss_band[:, 1],
            "gradient_norm": self.gradient_norm,
            "weight_norm": self.weight_norm,
            "predictiveness_min": self.gradient_predictiveness[:, 0],
            "predictiveness_max": self.gradient_predictiveness[:, 1],
            "beta": self.effective_beta,
            "beta_at": self.beta_at,
            "saturated": self.saturated.astype(np.float64),
            "relative_beta": self.relative_beta,
            "sharpness": self.sharpness,
            "gauge": self.gauge,
            "usable": self.usable,
        }


@dataclass(frozen=True, eq=False, repr=False)
class ShiftRecord(Record):
    """Internal covariate shift: T moments, L layers.

    Attributes:
        step: Optimizer steps made before the measurement, shape (T,), int64.
        layers: Names of the layers, shape (L,), strings.
        l2: ||G_i - G'_i||_2, shape (T, L).
        cosine: Cosine of the angle between G_i and G'_i, shape (T, L); NaN where one is zero.
        gradient_norm: ||G_i||_2, shape (T, L).

    Example:
        >>> ones = np.ones((1, 2))
        >>> record = ShiftRecord(np.array([0]), np.array(["conv1", "conv2"]), ones, ones, ones)
        >>> [row.name for row in record.rows(seed=0, branch="dense", steps_per_epoch=10)]
        ['l2/conv1', 'cosine/conv1', 'l2/conv2', 'cosine/conv2']
    """

    KIND = "shift"
    NAME = "record of shift"
    SPLIT = "shift"
    NAN_ROWS = False
    AXIS = "layers"
    TABLES = ("l2", "cosine", "gradient_norm")

    layers: npt.NDArray[np.str_]
    l2: Floats
    cosine: Floats
    gradient_norm: Floats

    def summary(self) -> str:
        """Return the medians over moments and layers in a sentence."""
        if not len(self):
            return "Covariate shift was measured at no moment."
        return (
            f"Internal covariate shift of {plural(len(self.layers), 'layer')} at {self._when()}: "
            f"cosine {_median(self.cosine):.3f}, distance {_median(self.l2):.3g} (medians)."
        )

    def _figure(self) -> Figure | None:
        found = {
            str(layer): (self.step.tolist(), self.cosine[:, place].tolist())
            for place, layer in enumerate(self.layers)
            if np.isfinite(self.cosine[:, place]).any()
        }
        return lines(found, "step", "cosine of the gradients before and after") if found else None

    def columns(self) -> dict[str, Floats]:
        """See `Record`."""
        return {
            f"{name}/{layer}": values[:, place]
            for place, layer in enumerate(self.layers)
            for name, values in (("l2", self.l2), ("cosine", self.cosine))
        }


def _median(values: Floats) -> float:
    """The median of the numbers among values; NaN where there is none."""
    found = values[np.isfinite(values)]
    return float(np.median(found)) if found.size else float("nan")


def _band(values: Floats) -> Floats:
    if values.shape[1] == 0:
        return np.empty((0, 2))
    return np.stack([values.min(axis=1), values.max(axis=1)], axis=1)


def _max(values: Floats) -> Floats:
    """The largest in each row, of those that are numbers; NaN where none is."""
    largest = np.where(np.isnan(values), -np.inf, values).max(axis=1)
    return np.where(np.isneginf(largest), np.nan, largest)


def _ratio(above: Floats, below: Floats) -> Floats:
    """A quotient; NaN where there is next to nothing to divide by."""
    enough = np.abs(below) > _TINY
    return np.where(enough, above / np.where(enough, below, 1.0), np.nan)
