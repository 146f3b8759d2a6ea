"""Curvature of the training loss at the weights of a model: the Hessian, without building it.

With H the Hessian of the loss L of a batch over all trainable weights theta, one flat vector, and g
its gradient,

    sharpness            the largest eigenvalue of H                       Lanczos
    trace                the sum of all eigenvalues                        Hutch++
    critical sharpness   2 / eta_c, eta_c the smallest eta with            forward passes alone
                         L(theta - eta g) > L(theta)
    batch sharpness      mean over mini-batches B of                       one product for each
                         g_B' H_B g_B / g_B' g_B

Gradient descent with the learning rate eta is stable up to a sharpness of 2 / eta (Cohen et al.
2021, arXiv:2103.00065); for mini-batches, what is held there is batch sharpness (Andreyev &
Beneventano 2024, arXiv:2412.20553). On a quadratic, critical sharpness is g'Hg / g'g (Kalra et al.
2026, arXiv:2601.16979).

The loss is that of `fit`, in training mode and with regularization, as a `Probe` sees it: dropout
has the masks of the coming step, statistics are those of the batch, pruned weights stay out, and
the model isn't changed. Kinks count for nothing: the second derivative of a ReLU is 0. Where a
gradient is stopped, or straight through a rounding, H is that of another function, as symmetric as
any: `Eigenvalues.mismatch` compares with how the gradient really changes.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfticket import seeds
from tfticket.errors import DataError, ModelError
from tfticket.norms.landscape.lanczos import lanczos
from tfticket.norms.landscape.lineage import chosen
from tfticket.norms.landscape.probe import Probe, inner, norm, unpruned
from tfticket.norms.landscape.second_order import differentiable_twice
from tfticket.state import innermost_optimizer, variable_owners
from tfticket.wording import brief_repr

Direction = Literal["gradient", "update"]
Places = tuple[int, ...]

TOLERANCE = 1e-3  # of residuals, relative
CRITICAL = 0.02  # of critical sharpness, relative
MAX_PRODUCTS = 100
_STEP = 1e-3
_DOUBLINGS = 30  # of a learning rate, up and down, before critical sharpness is given up


@dataclass(frozen=True)
class Eigenvalues:
    """The largest eigenvalues of a Hessian.

    Attributes:
        values: lambda_i, falling, shape (k,).
        residuals: ||H v_i - lambda_i v_i|| of the unit eigenvectors v_i, by one more product each,
            shape (k,). An eigenvalue of a symmetric H is no further away than that.
        bound: The residual that was asked for: tolerance * the largest |Ritz value|.
        products: Number of Hessian-vector products, those for residuals included.
        mismatch: ||(g(theta + t v_1) - g(theta - t v_1)) / 2t - H v_1|| / ||H v_1||, for t a
            thousandth of ||theta||: kinks that are crossed on the way, and what differentiation
            doesn't see. Above 0.1 or so, the change of the gradient isn't H.

    Example:
        >>> found = Eigenvalues(np.array([2.0]), np.array([1e-5]), 2e-3, 8, mismatch=0.0)
        >>> found.converged
        array([ True])
    """

    values: npt.NDArray[np.float64]
    residuals: npt.NDArray[np.float64]
    bound: float
    products: int
    mismatch: float

    __repr__ = brief_repr

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """True where the residual is within its bound, up to 1 % for rounding, shape (k,)."""
        return self.residuals <= 1.01 * self.bound


class Sampled(NamedTuple):
    """The mean of independent samples.

    Attributes:
        mean: Their mean.
        error: Its standard error; 0 where nothing was left to sample, NaN for a single sample.
        samples: Their number.

    Example:
        >>> Sampled(mean=2.5, error=0.1, samples=16).mean
        2.5
    """

    mean: float
    error: float
    samples: int


class Curvature(Probe):
    """The measurements of curvature of one model, each compiled at its first use.

    The first derivative is computed once and kept for all products of a call. A product is a
    backward pass through it: about two gradients, in about three times the memory of one.

    Args:
        model: As for `Probe`.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__(model)
        compiled = functools.partial(tf.function, autograph=False)  # as Keras compiles its steps
        self._lanczos = compiled(self._traced_lanczos)
        self._products = compiled(self._traced_products)
        self._curved = compiled(self._traced_curvature)
        self._directed = compiled(self._traced_direction)
        self._along = compiled(self._traced_loss)

    def eigenvalues(
        self, batch: Any, k: int, of: Places | None, tolerance: float, limit: int, seed: int
    ) -> tuple[Eigenvalues, float, float]:
        """Return the largest eigenvalues, the loss, and the norm of the gradient."""
        of = tuple(range(len(self.variables))) if of is None else of
        free = self._free(of)
        count = int(free.sum())
        if not 1 <= k <= count:
            raise ModelError(
                f"`k` must be at least 1 and at most the number of weights. Received: k={k} for "
                f"{count:,} weights of {self.model.name!r} that aren't pruned."
            )
        limit = min(limit, count)
        if limit < k:
            raise ValueError(
                f"`max_products` must be at least `k`. Received: max_products={limit}, k={k}"
            )
        start = free * seeds.generator(seed, "lanczos").normal(size=free.size)
        fresh = tf.constant(seeds.sub_seed(seed, "lanczos"))
        rule = tf.constant(tolerance, tf.float64), tf.constant(limit), fresh
        found = _asked(self._lanczos, batch, start, of, k, *rule)
        values, residuals, bound, products, mismatch, loss, norm = (one.numpy() for one in found)
        made = Eigenvalues(
            values.astype(np.float64),
            residuals.astype(np.float64),
            float(bound),
            int(products),
            float(mismatch),
        )
        return made, float(loss), float(norm)

    def trace(self, batch: Any, products: int, seed: int) -> Sampled:
        """Estimate the trace by Hutch++, algorithm 1 of arXiv:2010.09649."""
        if products < 3:
            raise ValueError(
                "A trace needs at least 3 products: a third each for the sketch, its part of the "
                f"trace, and the samples of the rest. Received: {products}"
            )
        of = tuple(range(len(self.variables)))
        free = self._free(of)
        draws = seeds.generator(seed, "trace").choice(
            [-1.0, 1.0], size=(2, products // 3, free.size)
        )
        s, g = draws * free

        def times(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
            return np.asarray(_asked(self._products, batch, vectors, of).numpy(), np.float64)

        q = np.linalg.qr(times(s).T)[0].T  # rows: an orthonormal basis of the sketch
        g = g - (g @ q.T) @ q
        samples = np.sum(g * times(g), axis=1)
        known = float(np.sum(q * times(q)))
        return _mean(known + samples)

    def critical(self, batch: Any, direction: Direction, tolerance: float) -> float:
        """Search the smallest step at which the loss rises, by doubling and then bisection."""
        optimizer = innermost_optimizer(self.model)
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        d = self._directed(batch, direction == "update", tf.constant(rate, tf.float64))

        def loss(k: float) -> float:
            return float(self._along(batch, d, tf.constant(k, tf.float64)).numpy())

        here = loss(0.0)
        if not np.isfinite(here):
            return float("nan")

        def rises(k: float) -> bool:
            return not loss(k) <= here  # what isn't a number has risen

        low, high = 0.0, 1.0
        if rises(high):
            for _ in range(_DOUBLINGS):
                low = high / 2
                if not rises(low):
                    break
                high = low
            if not loss(low) < here:
                return float("inf")
        else:
            for _ in range(_DOUBLINGS):
                low, high = high, 2 * high
                if rises(high):
                    break
            else:
                return 0.0
        while high - low > tolerance * high:
            middle = (low + high) / 2
            low, high = (low, middle) if rises(middle) else (middle, high)
        return 4 / ((low + high) * rate)

    def batch_sharpness(self, batch: Any, size: int, batches: int, seed: int) -> Sampled:
        """Average the curvature along the gradients of mini-batches, drawn without replacement."""
        arrays = keras.tree.map_structure(np.asarray, batch)
        examples = len(keras.tree.flatten(arrays)[0])
        check_mini_batch(size, examples)
        found = []
        for number in range(batches):
            stream = seeds.generator(seed, "batch sharpness", number)
            rows = stream.choice(examples, size, replace=False)
            part = keras.tree.map_structure(operator.itemgetter(rows), arrays)
            found.append(float(_asked(self._curved, part).numpy()))
        return _mean(np.array(found)[np.isfinite(found)])

    def _free(self, of: Places) -> npt.NDArray[np.float64]:
        """1 for each weight that isn't pruned, as one flat vector."""
        ones = [tf.ones(self.variables[p].shape) for p in of]
        parts = [unpruned(self.variables[p], one) for p, one in zip(of, ones, strict=True)]
        return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)

    def _linearized(
        self, batch: Any, of: Places
    ) -> tuple[tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        """Return loss, flat gradient, and the function of the Hessian-vector product."""
        weights = self.weights()
        watched = [weights[place] for place in of]
        shapes = [one.shape for one in watched]
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(watched)
            loss, gradients = self.gradient(weights, batch, of=of)
            flat = _flat(gradients)

        def product(vector: tf.Tensor) -> tf.Tensor:
            made = tape.gradient(
                gradients,
                watched,
                output_gradients=_parts(vector, shapes),
                unconnected_gradients="zero",
            )
            return _flat(
                unpruned(self.variables[place], tf.convert_to_tensor(part))
                for place, part in zip(of, made, strict=True)
            )

        return loss, flat, product

    def _traced_products(self, batch: Any, vectors: tf.Tensor, of: Places) -> tf.Tensor:
        """Return H V for the rows of V, shape (m, n)."""
        with differentiable_twice(self.model):
            _, flat, product = self._linearized(batch, of)
            # One product after the other: side by side, each would need its own memory.
            return tf.map_fn(product, tf.cast(vectors, flat.dtype), parallel_iterations=1)

    def _traced_curvature(self, batch: Any) -> tf.Tensor:
        """Return g'Hg / g'g, NaN where there is no gradient."""
        with differentiable_twice(self.model):
            _, g, product = self._linearized(batch, tuple(range(len(self.variables))))
            return inner([g], [product(g)]) / inner([g], [g])

    def _traced_direction(self, batch: Any, update: bool, rate: tf.Tensor) -> list[tf.Tensor]:
        """Return the step of the learning rate, along the gradient or the optimizer's update."""
        weights = self.weights()
        if update:
            after = self.after_step(batch)
            return [new - old for new, old in zip(after, weights, strict=True)]
        return [-tf.cast(rate, g.dtype) * g for g in self.gradient(weights, batch)[1]]

    def _traced_loss(self, batch: Any, d: list[tf.Tensor], k: tf.Tensor) -> tf.Tensor:
        """Return the loss at theta + k d."""
        moved = [w + tf.cast(k, w.dtype) * e for w, e in zip(self.weights(), d, strict=True)]
        return self.loss(moved, batch)

    def _traced_lanczos(
        self,
        batch: Any,
        start: tf.Tensor,
        of: Places,
        k: int,
        *rule: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        with differentiable_twice(self.model):
            loss, flat, product = self._linearized(batch, of)
            start = tf.cast(start, flat.dtype)
            _, vectors, bound, made = lanczos(product, start, k, *rule)
            images = tf.map_fn(product, vectors, parallel_iterations=1)
            values = tf.reduce_sum(images * vectors, axis=1)  # Rayleigh quotients
            residuals = tf.norm(images - values[:, None] * vectors, axis=1)
            change = self._change(batch, of, vectors[0])
            mismatch = tf.norm(change - images[0]) / tf.norm(images[0])
        return values, residuals, bound, made + k, mismatch, loss, tf.norm(flat)

    def _change(self, batch: Any, of: Places, v: tf.Tensor) -> tf.Tensor:
        """Return the change of the gradient along v by a central difference."""
        weights = self.weights()
        shapes = [weights[place].shape for place in of]
        parts = _parts(v, shapes)
        length = _STEP * tf.cast(norm(weights), v.dtype)

        def at(distance: tf.Tensor) -> tf.Tensor:
            moved = list(weights)
            for place, part in zip(of, parts, strict=True):
                moved[place] += distance * part
            return _flat(self.gradient(moved, batch, of=of)[1])

        return (at(length) - at(-length)) / (2 * length)


def blocks(model: keras.Model, layers: Sequence[str]) -> dict[str, Places]:
    """Map names of layers to the places of their weights in `model.trainable_variables`.

    Args:
        model: Any built model.
        layers: Glob patterns of names: the names of the layers on the way, joined by `/`.

    Raises:
        ModelError: when a pattern fits no layer with trainable weights.
    """
    place_of = {id(variable): place for place, variable in enumerate(model.trainable_variables)}
    found: dict[str, list[int]] = {}
    for key, (_, variable) in variable_owners(model).items():
        if id(variable) in place_of:
            found.setdefault(key.rpartition("/")[0], []).append(place_of[id(variable)])
    return {
        name: tuple(found[name])
        for name in chosen(list(found), layers, "a layer with trainable weights")
    }


def check_mini_batch(size: int, examples: int) -> None:
    """Raise a `DataError` when mini-batches of a size can't be drawn."""
    if not 1 <= size <= examples:
        raise DataError(
            f"Mini-batches of {size} examples can't be drawn from {examples:,}: `batch_size` must "
            "be at least 1 and at most the number of examples. Give more examples, or the "
            "`batch_size` that training has."
        )


def _asked(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except LookupError as error:
        raise ModelError(
            "The loss can't be differentiated twice: an operation of the model has no second "
            f"derivative. {str(error).strip().splitlines()[-1]} Curvature needs layers that have "
            "one; `LandscapeTracker` needs gradients only."
        ) from error


def _parts(vector: tf.Tensor, shapes: Sequence[tf.TensorShape]) -> list[tf.Tensor]:
    parts = tf.split(vector, [shape.num_elements() for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


def _flat(tensors: Iterable[tf.Tensor]) -> tf.Tensor:
    return tf.concat([tf.reshape(one, (-1,)) for one in tensors], 0)


def _mean(samples: npt.NDArray[np.float64]) -> Sampled:
    count = len(samples)
    if not count:
        return Sampled(np.nan, np.nan, 0)
    error = float(np.std(samples, ddof=1) / np.sqrt(count)) if count > 1 else np.nan
    return Sampled(float(np.mean(samples)), error, count)
