"""Callback that measures curvature along a running `fit`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfticket.norms.landscape.curvature import (
    CRITICAL,
    MAX_PRODUCTS,
    TOLERANCE,
    Curvature,
    Direction,
    Eigenvalues,
    Places,
    Sampled,
    blocks,
    check_mini_batch,
)
from tfticket.norms.landscape.curvature_record import WHOLE, CurvatureRecord
from tfticket.norms.landscape.observer import Observer, When
from tfticket.scalars import Log
from tfticket.state import innermost_optimizer

_NONE = Sampled(np.nan, np.nan, 0)


class CurvatureTracker(Observer[CurvatureRecord]):
    """Callback that measures the sharpness of the loss: the largest eigenvalues of its Hessian.

    Beside them stand critical sharpness and, on request, trace and batch sharpness; they are
    defined in `tfticket.norms.landscape.curvature`, and each has a function of its own for a model
    at rest, such as `hessian_eigenvalues`. Training stays bit-identical, which `assert_no_trace`
    proves. A measurement costs about two gradients for each of its products, some 10 to 30 for
    k = 1: give a fixed `batch`, hundreds to thousands of examples, and measure rarely.

    Args:
        when: An interval in steps, a `StepSchedule`, or None for as often as `budget` allows.
        k: Number of eigenvalues, at least 1.
        layers: Glob patterns of layers whose own blocks of the Hessian are measured too.
        direction: Of critical sharpness: `gradient`, or `update` for the step that the model's
            optimizer is about to make.
        trace_products: Hessian-vector products for the trace, at least 3; 0 for no trace.
        batch_size: Examples of the mini-batches of batch sharpness; None for no batch sharpness.
        batches: Number of mini-batches, drawn anew for each measurement.
        tolerance: Lanczos stops when residuals are at most this share of the largest |Ritz value|.
        max_products: Lanczos stops after so many products; `record.converged` tells.
        seed: Random seed of Lanczos, trace and mini-batches.
        batch: `train` for the batch of the step, or a batch of your own: (x, y) or
            (x, y, sample_weight) as arrays.
        budget: Largest share of the time of `fit`, in (0, 1), where `when` is None.
        on_record: Called with a record of one moment after each measurement.
        log_dir: Folder for TensorBoard, or None.
        log: Called with the row of a moment, name to value, and `step=`, as `wandb.log` and
            `mlflow.log_metrics` are.
        verbose: 0 is silent, 1 prints the cost when `fit` ends, 2 each measurement as well.

    Raises:
        ValueError: for an argument out of its range.
        ModelError: when `fit` begins with a model that can't be probed, or a pattern fits no layer.
        DataError: when the batch has fewer than `batch_size` examples.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.compile(keras.optimizers.SGD(0.1), "mse")
        >>> x, y = np.array([[1.0, 0.0], [0.0, 3.0]]), np.zeros((2, 1))
        >>> tracker = CurvatureTracker(2, batch=(x, y), batch_size=1, verbose=0)
        >>> _ = model.fit(x, y, batch_size=2, epochs=4, callbacks=[tracker], verbose=0)
        >>> tracker.record.step, tracker.record.sharpness.round(4), tracker.record.edge.round(4)
        (array([0, 2]), array([9., 9.]), array([20., 20.]))
    """

    def __init__(
        self,
        when: When = None,
        *,
        k: int = 1,
        layers: Sequence[str] = (),
        direction: Direction = "gradient",
        trace_products: int = 0,
        batch_size: int | None = None,
        batches: int = 8,
        tolerance: float = TOLERANCE,
        max_products: int = MAX_PRODUCTS,
        seed: int = 0,
        batch: Any = "train",
        budget: float = 0.05,
        on_record: Callable[[CurvatureRecord], None] | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        log: Log | None = None,
        verbose: int = 1,
    ) -> None:
        super().__init__(
            when,
            batch=batch,
            budget=budget,
            on_record=on_record,
            log_dir=log_dir,
            log=log,
            verbose=verbose,
        )
        if not 1 <= k <= max_products or not tolerance > 0 or batches < 1:
            raise ValueError(
                "`k` must be in [1, max_products], `tolerance` above 0 and `batches` at least 1. "
                f"Received: k={k}, max_products={max_products}, tolerance={tolerance}, "
                f"batches={batches}"
            )
        if direction not in ("gradient", "update"):
            raise ValueError(
                f"`direction` must be 'gradient' or 'update'. Received: direction={direction!r}"
            )
        if trace_products and trace_products < 3:
            raise ValueError(
                f"`trace_products` must be 0 or at least 3. Received: {trace_products}"
            )
        if batch_size is not None and not isinstance(batch, str):
            check_mini_batch(batch_size, len(keras.tree.flatten(batch)[0]))
        self.k = k
        self.layers = tuple(layers)
        self.direction: Direction = direction
        self.trace_products = trace_products
        self.batch_size = batch_size
        self.batches = batches
        self.tolerance = tolerance
        self.max_products = max_products
        self.seed = seed
        self._names = np.array([], str)

    @property
    def record(self) -> CurvatureRecord:
        """All measurements of the last `fit`."""
        return CurvatureRecord.joined(self._moments, self._names)

    def measurement(self) -> Callable[..., dict[str, Any]]:
        """See `Observer`."""
        curvature, k = Curvature(self.model), self.k
        parts = {WHOLE: None, **(blocks(self.model, self.layers) if self.layers else {})}
        self._names = np.array([f"{name}/{place + 1}" for name in parts for place in range(k)])

        def eigenvalues(batch: Any, of: Places | None) -> tuple[Eigenvalues, float, float]:
            rule = self.tolerance, self.max_products, self.seed
            return curvature.eigenvalues(batch, k, of, *rule)

        def measured(step: int, batch: Any) -> dict[str, Any]:
            found = [eigenvalues(batch, of) for of in parts.values()]
            every = [one for one, _, _ in found]
            trace = sharp = _NONE
            if self.trace_products:
                trace = curvature.trace(batch, self.trace_products, self.seed)
            if self.batch_size is not None:
                draw = self.seed + step
                sharp = curvature.batch_sharpness(batch, self.batch_size, self.batches, draw)
            rate = keras.ops.convert_to_numpy(innermost_optimizer(self.model).learning_rate)
            return {
                "eigenvalues": np.concatenate([one.values for one in every]),
                "residuals": np.concatenate([one.residuals for one in every]),
                "bounds": np.repeat([one.bound for one in every], k),
                "mismatch": np.repeat([one.mismatch for one in every], k),
                "products": sum(one.products for one in every),
                "learning_rate": rate,
                "loss": found[0][1],
                "gradient_norm": found[0][2],
                "critical_sharpness": curvature.critical(batch, self.direction, CRITICAL),
                "trace": trace.mean,
                "trace_error": trace.error,
                "batch_sharpness": sharp.mean,
                "batch_sharpness_error": sharp.error,
            }

        return measured

    def measure(self, step: int, batch: Any) -> CurvatureRecord:
        """See `Observer`."""
        assert self._evaluate is not None
        found = self._evaluate(step, batch)
        return CurvatureRecord(
            step=np.array([step], np.int64),
            names=self._names,
            **{name: np.array([value], np.float64) for name, value in found.items()},
        )

    def described(self, moment: CurvatureRecord) -> str:
        """See `Observer`."""
        return (
            f"sharpness {moment.sharpness[0]:.3g}, critical {moment.critical_sharpness[0]:.3g}, "
            f"2 / learning rate {moment.edge[0]:.3g}"
        )
