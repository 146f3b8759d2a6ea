"""What the loss and its gradient do along the direction of a step: numbers, and what follows.

The measurements are those of Santurkar, Tsipras, Ilyas & Madry, "How Does Batch Normalization Help
Optimization?" (arXiv:1805.11604), section 3.2 and appendix A.2.2. At a step of training with
weights theta, batch B and d = -(learning rate) * g(theta), for multipliers k on a grid,

    L_k = L(theta + k d; B)          g_k = gradient of L at theta + k d, same B

    loss band                 [min_k L_k, max_k L_k]
    gradient predictiveness   [min_k, max_k] of ||g_k - g_0||_2
    effective beta            max_k ||g_k - g_0||_2 / (k ||d||_2)

All trainable weights are one flat vector. Nothing here needs TensorFlow: a record can be made by
`LandscapeTracker`, read from a file, and studied anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from tfticket.errors import TicketError
from tfticket.files import load_arrays, write_arrays
from tfticket.metrics import Row

SPLIT = "landscape"
_KIND = "smoothness"
_SATURATED_SLOPE = -0.5
_TINY = 1e-30  # a gradient shorter than this has no direction
_ROUNDING = 2.0**-22  # relative distances below this are lost in the weights' own float32


@dataclass(frozen=True, eq=False)
class SmoothnessRecord:
    """The measurements of one training: T moments, K points along the direction of each.

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
    """

    step: np.ndarray
    learning_rate: np.ndarray
    multipliers: np.ndarray
    loss: np.ndarray
    losses: np.ndarray
    weight_norm: np.ndarray
    gradient_norm: np.ndarray
    direction_norm: np.ndarray
    slope: np.ndarray
    gradient_norms: np.ndarray
    gradient_change: np.ndarray
    curvature: np.ndarray

    def __post_init__(self) -> None:
        points = {"losses", "gradient_norms", "gradient_change", "curvature"}
        moments, count = len(self.step), len(self.multipliers)
        for name, array in self.to_arrays().items():
            shape = (moments, count) if name in points else (moments,)
            if name != "multipliers" and array.shape != shape:
                raise ValueError(
                    f"`{name}` must have the shape {shape}, from {moments} steps and {count} "
                    f"multipliers. Received: {array.shape}."
                )

    def __len__(self) -> int:
        return len(self.step)

    @property
    def distance(self) -> np.ndarray:
        """How far each point is from theta: k ||d||, shape (T, K)."""
        return self.direction_norm[:, None] * self.multipliers

    @property
    def loss_band(self) -> np.ndarray:
        """Lowest and highest loss along the direction, shape (T, 2)."""
        return _band(self.losses)

    @property
    def gradient_predictiveness(self) -> np.ndarray:
        """Smallest and largest change of the gradient along the direction, shape (T, 2)."""
        return _band(self.gradient_change)

    @property
    def beta_curve(self) -> np.ndarray:
        """Change of the gradient over the distance moved, shape (T, K).

        NaN where float32 weights are too coarse for the distance: that would be noise.
        """
        resolved = self.relative_distance > _ROUNDING
        return np.where(resolved, _ratio(self.gradient_change, self.distance), np.nan)

    @property
    def effective_beta(self) -> np.ndarray:
        """The largest of `beta_curve`, shape (T,): a lower bound of the local smoothness."""
        return _max(self.beta_curve)

    @property
    def beta_at(self) -> np.ndarray:
        """The multiplier at which `effective_beta` is attained, shape (T,)."""
        return self.multipliers[self._argmax]

    @property
    def saturated(self) -> np.ndarray:
        """Where `effective_beta` tells the grid and not the landscape, shape (T,), bool.

        Beta can't pass (1 + c) / distance when no gradient is longer than c times g_0. Where the
        gradient has turned before the first point already, beta is that bound, whatever the
        curvature: 1 / (0.5 * 0.1) = 20 in most of the paper's figure 4(c). It is recognized by the
        maximum at the smallest multiplier with beta falling there like 1 / k (in logarithms, a
        slope below -0.5). A grid of one multiplier can't tell, and says False.
        """
        if len(self.multipliers) < 2:
            return np.zeros(len(self), bool)
        curve, k = self.beta_curve, self.multipliers
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.log(curve[:, 1] / curve[:, 0]) / np.log(k[1] / k[0])
        return (self._argmax == 0) & (slope < _SATURATED_SLOPE)

    @property
    def relative_distance(self) -> np.ndarray:
        """Distance over the length of the weights, k ||d|| / ||theta||, shape (T, K).

        Behind a normalization L(c W) = L(W), so that gradients scale with 1/c and curvature with
        1/c^2: what is measured in units of the weights and of the gradient doesn't depend on c.
        """
        return _ratio(self.distance, self.weight_norm[:, None])

    @property
    def relative_change(self) -> np.ndarray:
        """||g_k - g_0|| / ||g_0||, shape (T, K)."""
        return _ratio(self.gradient_change, self.gradient_norm[:, None])

    @property
    def relative_beta(self) -> np.ndarray:
        """The largest relative change over relative distance, shape (T,); without a unit."""
        return self.effective_beta * _ratio(self.weight_norm, self.gradient_norm)

    @property
    def sharpness(self) -> np.ndarray:
        """Curvature along the direction, d'Hd / d'd, at the smallest multiplier, shape (T,).

        With d along the gradient of the batch this is its batch sharpness (Andreyev & Beneventano,
        arXiv:2412.20553). It is a finite difference: across the kinks of a ReLU it is what a step
        meets, while products with the Hessian see none of them.
        """
        return self.curvature[:, 0]

    @property
    def gauge(self) -> np.ndarray:
        """Share of the first-order gain that curvature takes away again, shape (T,).

        (d'Hd / 2) / (-<g_0, d>): above 1 the full step doesn't lower the loss, as far as a
        parabola tells. Along the gradient it is learning rate * sharpness / 2.
        """
        return _ratio(self.sharpness * self.direction_norm**2 / 2, -self.slope)

    @property
    def usable(self) -> np.ndarray:
        """The largest multiplier up to which no point has more loss than L_0; 0 if none, (T,)."""
        lower = np.cumprod(self.losses <= self.loss[:, None], axis=1).sum(axis=1)
        return np.concatenate([[0.0], self.multipliers])[lower]

    @property
    def _argmax(self) -> np.ndarray:
        curve = self.beta_curve
        return np.argmax(np.where(np.isnan(curve), -np.inf, curve), axis=1)

    def rows(self, *, seed: int, branch: str, steps_per_epoch: float, level: int = 0) -> list[Row]:
        """The record in the common table, under the split `landscape`."""
        columns = {
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
            "saturated": self.saturated,
            "relative_beta": self.relative_beta,
            "sharpness": self.sharpness,
            "gauge": self.gauge,
            "usable": self.usable,
        }
        return [
            Row(seed, branch, level, step, step / steps_per_epoch, SPLIT, name, float(value))
            for index, step in enumerate(self.step.tolist())
            for name, value in ((name, column[index]) for name, column in columns.items())
        ]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> SmoothnessRecord:
        """The record that `to_arrays` took apart.

        Raises:
            TicketError: when a field is missing.
        """
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise TicketError(
                f"A record of smoothness must have all of its fields. Missing: {missing}."
            )
        return cls(**{field.name: np.asarray(arrays[field.name]) for field in fields(cls)})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes one `.npz`, whole or not at all."""
        return write_arrays(path, kind=_KIND, header={}, arrays=self.to_arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SmoothnessRecord:
        """Reads what `save` wrote; raises `TicketError` when it is missing or damaged."""
        return load_arrays(
            path,
            lambda _, arrays: cls.from_arrays(arrays),
            kind=_KIND,
            holds="a record of smoothness",
        )


def _band(values: np.ndarray) -> np.ndarray:
    if values.shape[1] == 0:
        return np.empty((0, 2))
    return np.stack([values.min(axis=1), values.max(axis=1)], axis=1)


def _max(values: np.ndarray) -> np.ndarray:
    """The largest in each row, of those that are numbers; NaN where none is."""
    largest = np.where(np.isnan(values), -np.inf, values).max(axis=1)
    return np.where(np.isneginf(largest), np.nan, largest)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """A quotient; NaN where there is next to nothing to divide by."""
    enough = np.abs(below) > _TINY
    return np.where(enough, above / np.where(enough, below, 1.0), np.nan)
