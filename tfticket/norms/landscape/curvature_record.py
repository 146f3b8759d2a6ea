"""The record of curvature along training: arrays, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfticket.display.charts import Figure
from tfticket.display.plots import lines
from tfticket.norms.landscape.records import Floats, Record

WHOLE = "model"
"""Name of the block of all weights."""


@dataclass(frozen=True, eq=False, repr=False)
class CurvatureRecord(Record):
    """Eigenvalues of the Hessian and other measures of curvature: T moments, n eigenvalues.

    What was not measured is NaN. Definitions are in `tfticket.norms.landscape.curvature`.

    Attributes:
        step: Optimizer steps made before the measurement, shape (T,), int64.
        names: Whose eigenvalues they are, and which: `model/1` is the largest of all weights,
            `conv1/2` the second of the weights of a layer, shape (n,), strings.
        eigenvalues: Falling within each block, shape (T, n).
        residuals: ||H v - lambda v|| of each, shape (T, n).
        bounds: The residual at which Lanczos stops: tolerance * largest |Ritz value|, shape (T, n).
        mismatch: Relative difference of H v_1 and the change of the gradient along v_1, by block,
            shape (T, n).
        products: Hessian-vector products that were made for all of them, shape (T,).
        learning_rate: Of the coming step, shape (T,).
        loss: Of the batch, with regularization, shape (T,).
        gradient_norm: ||g||_2, shape (T,).
        critical_sharpness: Shape (T,).
        trace: Shape (T,).
        trace_error: Its standard error, shape (T,).
        batch_sharpness: Shape (T,).
        batch_sharpness_error: Its standard error, shape (T,).

    Example:
        >>> one = np.ones((1, 1))
        >>> record = CurvatureRecord(
        ...     step=np.array([0]), names=np.array(["model/1"]), eigenvalues=10 * one,
        ...     residuals=0.001 * one, bounds=0.01 * one, mismatch=0.001 * one, products=one[0],
        ...     learning_rate=0.1 * one[0], loss=one[0], gradient_norm=one[0],
        ...     critical_sharpness=8 * one[0], trace=15 * one[0], trace_error=one[0],
        ...     batch_sharpness=12 * one[0], batch_sharpness_error=one[0],
        ... )
        >>> record.sharpness, record.edge, record.converged
        (array([10.]), array([20.]), array([[ True]]))
    """

    KIND = "curvature"
    NAME = "record of curvature"
    SPLIT = "curvature"
    NAN_ROWS = False
    AXIS = "names"
    TABLES = ("eigenvalues", "residuals", "bounds", "mismatch")

    names: npt.NDArray[np.str_]
    eigenvalues: Floats
    residuals: Floats
    bounds: Floats
    mismatch: Floats
    products: Floats
    learning_rate: Floats
    loss: Floats
    gradient_norm: Floats
    critical_sharpness: Floats
    trace: Floats
    trace_error: Floats
    batch_sharpness: Floats
    batch_sharpness_error: Floats

    @property
    def sharpness(self) -> Floats:
        """The largest eigenvalue of the Hessian over all weights, shape (T,)."""
        return self.eigenvalues[:, 0]

    @property
    def edge(self) -> Floats:
        """2 / learning rate: the sharpness up to which gradient descent is stable, shape (T,)."""
        return 2 / self.learning_rate

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """True where the residual is within its bound, up to 1 % for rounding, shape (T, n)."""
        return self.residuals <= 1.01 * self.bounds

    def summary(self) -> str:
        """Return the range of the sharpness in a sentence."""
        if not len(self):
            return "Curvature was measured at no moment."
        apart = int((~self.converged[:, 0]).sum())
        where = f" (not converged at {apart})" if apart else ""
        return (
            f"Curvature at {self._when()}: sharpness {self.sharpness.min():.3g} to "
            f"{self.sharpness.max():.3g}{where}, at last {self.sharpness[-1]:.3g}, where "
            f"2 / learning rate is {self.edge[-1]:.3g}."
        )

    def _figure(self) -> Figure | None:
        if not len(self):
            return None
        series = {
            "largest eigenvalue": self.sharpness,
            "critical sharpness": self.critical_sharpness,
            "batch sharpness": self.batch_sharpness,
            "2 / learning rate": self.edge,
        }
        found = {
            name: (self.step[fine].tolist(), values[fine].tolist())
            for name, values in series.items()
            if (fine := np.isfinite(values)).any()
        }
        return lines(found, "step", "curvature")

    def columns(self) -> dict[str, Floats]:
        """See `Record`."""
        alone = ("learning_rate", "loss", "gradient_norm", "critical_sharpness", "trace",
                 "trace_error", "batch_sharpness", "batch_sharpness_error")  # fmt: skip
        return {
            **{f"eigenvalue/{name}": self.eigenvalues[:, n] for n, name in enumerate(self.names)},
            **{f"residual/{name}": self.residuals[:, n] for n, name in enumerate(self.names)},
            **{name: getattr(self, name) for name in alone},
        }
