"""The largest eigenvalues of a symmetric matrix of which only products are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfticket.norms.landscape.probe import inner


def lanczos(
    product: Callable[[tf.Tensor], tf.Tensor],
    start: tf.Tensor,
    k: int,
    tolerance: tf.Tensor,
    limit: tf.Tensor,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the k largest Ritz values, their unit vectors, the bound, and the number of products.

    Every new vector is made orthogonal to all before it, twice, so that rounding brings no
    eigenvalue back. It ends when the residuals beta_j |s_ji| of the k largest Ritz values are at
    most `tolerance` times the largest |Ritz value|, or after `limit` products. Where a subspace is
    invariant before there are k values, a new random vector goes on. Call it in a `tf.function`.

    Args:
        product: Function of a vector of shape (n,), linear and symmetric.
        start: First vector, shape (n,); zero where vectors must stay zero.
        k: Number of eigenvalues.
        tolerance: Relative bound of the residuals.
        limit: Largest number of products, from k to the number of free weights.
        seed: Random seed of the vectors that go on.
    """
    kind = start.dtype
    rounding = 10 * np.finfo(kind.as_numpy_dtype).eps
    free = tf.cast(tf.not_equal(start, 0), kind)

    def orthogonal(vector: tf.Tensor, basis: tf.Tensor) -> tf.Tensor:
        for _ in range(2):
            vector -= tf.linalg.matvec(basis, tf.linalg.matvec(basis, vector), transpose_a=True)
        return vector

    def ritz(alphas: tf.Tensor, betas: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        steps = tf.size(alphas)
        above = tf.linalg.diag(betas[: steps - 1], k=1, num_rows=steps, num_cols=steps)
        matrix = tf.linalg.diag(alphas) + above + tf.transpose(above)
        # Of a training that diverged; the decomposition would end it with an error.
        finite = tf.reduce_all(tf.math.is_finite(matrix))
        values, vectors = tf.linalg.eigh(tf.where(finite, matrix, tf.zeros_like(matrix)))
        values = tf.where(finite, values, np.nan * tf.ones_like(values))
        return values[::-1], vectors[:, ::-1]

    def body(v: Any, basis: Any, alphas: Any, betas: Any, _: Any) -> tuple[Any, ...]:
        basis = tf.concat([basis, v[None]], 0)
        w = product(v)
        alphas = tf.concat([alphas, tf.cast(inner([v], [w]), tf.float64)[None]], 0)
        w = orthogonal(w, basis)
        length = tf.norm(w)
        values, s = ritz(alphas, betas)
        scale = tf.reduce_max(tf.abs(values))
        beta = tf.cast(length, tf.float64)
        ended = beta <= rounding * scale
        beta = tf.where(ended, tf.zeros_like(beta), beta)
        close = tf.reduce_all(beta * tf.abs(s[-1, :k]) <= tolerance * scale)
        enough = (close | ~tf.math.is_finite(scale)) & (tf.size(alphas) >= k)
        random = tf.random.stateless_normal(v.shape, [seed, tf.size(alphas)], dtype=kind)
        fresh = orthogonal(free * random, basis)
        following = tf.where(ended, fresh / tf.norm(fresh), tf.math.divide_no_nan(w, length))
        return following, basis, alphas, tf.concat([betas, beta[None]], 0), enough

    none = tf.zeros(0, tf.float64)
    empty = tf.zeros((0, start.shape[0]), kind)
    _, basis, alphas, betas, _ = tf.while_loop(
        lambda v, basis, alphas, betas, enough: (tf.size(alphas) < limit) & ~enough,
        body,
        (start / tf.norm(start), empty, none, none, tf.constant(False)),
        shape_invariants=(
            start.shape,
            tf.TensorShape([None, start.shape[0]]),
            tf.TensorShape([None]),
            tf.TensorShape([None]),
            tf.TensorShape([]),
        ),
        parallel_iterations=1,
    )
    values, s = ritz(alphas, betas)
    vectors = tf.matmul(tf.cast(s[:, :k], kind), basis, transpose_a=True)
    vectors /= tf.norm(vectors, axis=1, keepdims=True)
    return values[:k], vectors, tolerance * tf.reduce_max(tf.abs(values)), tf.size(alphas)
