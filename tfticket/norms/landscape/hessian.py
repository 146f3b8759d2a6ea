"""Curvature of the training loss of a model at its weights, on data in memory: one call each.

Definitions and sources are in `tfticket.norms.landscape.curvature`.
"""

from __future__ import annotations

from typing import Any

import keras

from tfticket.errors import DataError
from tfticket.internals import build_by_batch
from tfticket.norms.landscape.curvature import (
    CRITICAL,
    MAX_PRODUCTS,
    TOLERANCE,
    Curvature,
    Direction,
    Eigenvalues,
    Sampled,
    blocks,
)


def hessian_eigenvalues(
    model: keras.Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    k: int = 1,
    layer: str | None = None,
    tolerance: float = TOLERANCE,
    max_products: int = MAX_PRODUCTS,
    seed: int = 0,
) -> Eigenvalues:
    """Compute the k largest eigenvalues of the Hessian of the training loss on one batch.

    By Lanczos with full reorthogonalization: it ends when the residuals of all k are at most
    `tolerance` times the largest |Ritz value|, or after `max_products` products of about two
    gradients each; `Eigenvalues.converged` tells which. An eigenvalue that several vectors have may
    be found once. All data are one batch, in memory at once. To follow a training, use
    `CurvatureTracker`, which compiles once.

    Args:
        model: Compiled and built, with weights of float32 or float64.
        x: Inputs, as for `fit`.
        y: Targets, as for `fit`.
        sample_weight: Weights of the examples.
        k: Number of eigenvalues, at least 1.
        layer: Glob pattern of names of layers: the Hessian over their weights alone, all others
            fixed. None for all weights.
        tolerance: Relative bound of the residuals, above 0; float32 resolves about 1e-6.
        max_products: Largest number of Hessian-vector products before those for the residuals.
        seed: Random seed of the first vector.

    Raises:
        ModelError: when the model can't be probed, `layer` fits none, there are fewer than k
            weights, or an operation has no second derivative.
        DataError: when arrays have different lengths.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.compile("sgd", "mse")  # L = mean of (w x - y)^2, H = 2 mean of x x'
        >>> x = np.array([[1.0, 0.0], [0.0, 3.0]])
        >>> hessian_eigenvalues(model, x, np.zeros((2, 1)), k=2).values.round(4)
        array([9., 1.])
    """
    curvature, batch = _measurable(model, x, y, sample_weight)
    of = None if layer is None else tuple(sorted(sum(blocks(model, [layer]).values(), ())))
    return curvature.eigenvalues(batch, k, of, tolerance, max_products, seed)[0]


def hessian_trace(
    model: keras.Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    products: int = 30,
    seed: int = 0,
) -> Sampled:
    """Estimate the trace of the Hessian of the training loss on one batch.

    By Hutch++ (Meyer et al. 2020, arXiv:2010.09649, algorithm 1): a third of the products find a
    subspace, a third give its trace exactly, and a third sample the rest, whose standard error is
    that of the estimate.

    Args:
        model: As for `hessian_eigenvalues`.
        x: Inputs, as for `fit`.
        y: Targets, as for `fit`.
        sample_weight: Weights of the examples.
        products: Number of Hessian-vector products, at least 3.
        seed: Random seed.

    Raises:
        ModelError: as for `hessian_eigenvalues`.
        DataError: when arrays have different lengths.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.compile("sgd", "mse")
        >>> x = np.array([[1.0, 0.0], [0.0, 3.0]])
        >>> round(hessian_trace(model, x, np.zeros((2, 1)), products=6).mean, 4)
        10.0
    """
    curvature, batch = _measurable(model, x, y, sample_weight)
    return curvature.trace(batch, products, seed)


def critical_sharpness(
    model: keras.Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    direction: Direction = "gradient",
    tolerance: float = CRITICAL,
) -> float:
    """Compute 2 / eta_c, where eta_c is the smallest learning rate at which the loss rises.

    One step is taken in thought along the gradient, or along the update of the optimizer, and its
    length is doubled or halved, then bisected: one gradient and about ten forward passes. On a
    quadratic along the gradient it is g'Hg / g'g.

    Source: Kalra et al. (2026, arXiv:2601.16979). The smallest rate is that of the doubling grid: a
    loss that rises and falls again between two of its points isn't seen to rise.

    Args:
        model: As for `hessian_eigenvalues`.
        x: Inputs, as for `fit`.
        y: Targets, as for `fit`.
        sample_weight: Weights of the examples.
        direction: `gradient`, or `update` for the step that the model's optimizer would make.
        tolerance: Relative width of the interval that the search ends with, in (0, 1).

    Returns:
        2 / eta_c: 0 when the loss doesn't rise up to 2^30 times the learning rate, infinity when it
        rises at once.

    Raises:
        ModelError: when the model can't be probed.
        DataError: when arrays have different lengths.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.compile("sgd", "mse")  # L = 4 w^2, so H = 8
        >>> sharpness = critical_sharpness(model, np.array([[2.0]]), np.zeros((1, 1)))
        >>> bool(abs(sharpness - 8) < 0.1)
        True
    """
    curvature, batch = _measurable(model, x, y, sample_weight)
    return curvature.critical(batch, direction, tolerance)


def batch_sharpness(
    model: keras.Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int,
    batches: int = 16,
    seed: int = 0,
) -> Sampled:
    """Estimate the mean curvature of mini-batches along their own gradients, g'Hg / g'g.

    Source: Andreyev & Beneventano (2024, arXiv:2412.20553): SGD holds it at 2 / learning rate.

    Args:
        model: As for `hessian_eigenvalues`.
        x: Inputs to draw mini-batches from, as for `fit`.
        y: Targets, as for `fit`.
        sample_weight: Weights of the examples.
        batch_size: Examples of a mini-batch, drawn without replacement.
        batches: Number of mini-batches, drawn independently. One without a gradient has no
            direction and is left out.
        seed: Random seed.

    Raises:
        ModelError: as for `hessian_eigenvalues`.
        DataError: when there are fewer than `batch_size` examples, or arrays have different
            lengths.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.compile("sgd", "mse")
        >>> x, y = np.array([[1.0], [3.0]]), np.zeros((2, 1))  # H of each example: 2 and 18
        >>> round(batch_sharpness(model, x, y, batch_size=2, batches=2).mean, 4)
        10.0
    """
    curvature, batch = _measurable(model, x, y, sample_weight)
    return curvature.batch_sharpness(batch, batch_size, batches, seed)


def _measurable(
    model: keras.Model, x: Any, y: Any, sample_weight: Any
) -> tuple[Curvature, tuple[Any, ...]]:
    curvature = Curvature(model)
    batch = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
    batch = batch if isinstance(batch, tuple) else (batch,)
    lengths = sorted({len(array) for array in keras.tree.flatten(batch)})
    if len(lengths) > 1:
        raise DataError(
            f"Inputs, targets and weights have {lengths} examples; they must have equally many."
        )
    build_by_batch(model, batch)
    return curvature, batch
