"""One-shot pruning of trained networks, layer by layer, by what a batch feeds into each layer.

A layer's outputs are linear in its weights, so what pruning does to them follows from the second
moments H of its inputs alone: `wanda` scores weights by them, `prune_one_shot` also corrects those
that are left.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, get_args

import keras
import numpy as np
import scipy.linalg

from tfticket.errors import DataError, ModelError
from tfticket.internals import around_calls
from tfticket.layer_kinds import CONVOLUTIONS, DEPTHWISE
from tfticket.sparsity.convert import get_mask, set_mask, sparsify
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import as_pruner
from tfticket.state import prunable_variables, variable_owners
from tfticket.wording import brief

Method = Literal["surgeon", "wanda", "magnitude"]

_BATCH = 32  # examples that pass at once: a convolution's patches are many times its inputs
_ROUNDS = 8  # more prune better, and cost as much again
_STEPS = 200  # of conjugate gradients, at most
_ENOUGH = 1e-7  # residual that is left, relative
_ROUGHLY = 1e-3  # the same between rounds, where corrected weights are only ranked
_TINY = 1e-300


def wanda(
    model: keras.Model, x: Any, y: Any = None, *, skip: Iterable[str] = ()
) -> dict[str, np.ndarray]:
    """Score weights by |w| ‖x‖: magnitude times the norm of the input that a weight multiplies.

    Source: Sun et al. (2023, arXiv:2306.11695), equation 1. There weights compete within each
    output; here they compete as the pruner says.

    Args:
        model: A built model of dense and convolutional layers.
        x: Inputs, as the model takes them; some hundred examples.
        y: Not used.
        skip: Glob patterns of keys to leave out.

    Returns:
        Key to scores, of the shapes of the kernels.

    Raises:
        ModelError: for a kernel of another kind of layer, or nothing to prune.
        DataError: when there is no example, or inputs of a layer aren't finite.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="out")])
        >>> model.set_weights([np.array([[3.0], [1.0]]), np.zeros(1)])
        >>> wanda(model, np.array([[0.0, 3.0], [0.0, 4.0]]))["out/kernel"].tolist()
        [[0.0], [5.0]]
    """
    layers = _input_moments(model, x, skip, diagonal=True)
    return {key: layer.wanda() for key, layer in layers.items()}


def prune_one_shot(
    model: keras.Model,
    x: Any,
    sparsity: float,
    *,
    method: Method = "surgeon",
    pruner: Pruner | str = "layerwise",
    skip: Iterable[str] = (),
    damping: float = 0.01,
) -> keras.Model:
    """Prune a trained model in one shot, without training it again.

    `surgeon` is the layerwise optimal brain surgeon: it prunes what changes a layer's outputs least
    when all other weights make up for it, w² / (2 [H⁻¹]_qq), in 8 rounds, and after each sets the
    weights that are left to the least squares solution for the outputs that the layer had. `wanda`
    and `magnitude` change no other weight. Inputs of a layer are those in the dense network, and H
    is that of all of them in each round.

    Moving statistics of batch normalization aren't changed. `tfticket.statistics.recalibrate`
    measures them again, which helps at high sparsity.

    Sources: Dong et al. (2017, arXiv:1705.07565), equations 5 and 6, for single layers; Frantar &
    Alistarh (2022, arXiv:2208.11580), section 4, for several weights at once.

    Args:
        model: A built model of dense and convolutional layers; it isn't changed.
        x: Inputs, as the model takes them: some hundred examples, more than a layer has inputs.
        sparsity: Share of the weights to prune, in (0, 1).
        method: `surgeon`, `wanda` or `magnitude`.
        pruner: Scope, as a pruner or by name: `layerwise`, `erk`, `global`.
        skip: Glob patterns of keys to leave dense.
        damping: Added to the diagonal of H, as a share of its mean, so that inputs that are always
            zero or follow from others do no harm; above 0. It pulls weights toward what they were.

    Returns:
        A copy with `Masked` layers; `strip` makes it plain Keras.

    Raises:
        ValueError: for a number out of its range, or a method that isn't known.
        ModelError: for a kernel of another kind of layer, or a subclassed model.
        MaskError: when a layer would be left empty.
        DataError: when there is no example, or inputs of a layer aren't finite.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="out")])
        >>> model.set_weights([np.array([[1.0], [0.9], [0.5]]), np.zeros(1)])
        >>> x = np.random.default_rng(0).normal(size=(100, 3))
        >>> x[:, 1] = x[:, 0]  # the second input is the first
        >>> kernel = prune_one_shot(model, x, 1 / 3).get_layer("out").kernel.numpy()
        >>> np.allclose(kernel.ravel(), [1.9, 0.0, 0.5], atol=0.05)
        True
    """
    if not 0.0 < sparsity < 1.0 or damping <= 0:
        raise ValueError(
            "`sparsity` must be in (0, 1) and `damping` above 0. Received: "
            f"sparsity={sparsity}, damping={damping}"
        )
    if method not in get_args(Method):
        raise ValueError(f"`method` must be one of {get_args(Method)}. Received: {brief(method)}")
    rule = as_pruner(pruner)
    sparse = sparsify(model, skip=skip)
    layers = _input_moments(sparse, x, skip, damping, diagonal=method != "surgeon")
    dense = mask = get_mask(sparse)
    rounds = _ROUNDS if method == "surgeon" else 1
    for number in range(1, rounds + 1):
        scores = {key: getattr(layer, method)() for key, layer in layers.items()}
        so_far = 1.0 - (1.0 - sparsity) ** (number / rounds)
        mask = rule.prune(scores, mask, so_far, since=dense)
        if method == "surgeon":
            for key, layer in layers.items():
                layer.correct(mask[key], _ENOUGH if number == rounds else _ROUGHLY)
    for layer in layers.values():
        layer.kernel.assign(layer.weights)
    set_mask(sparse, mask)
    return sparse


class _Layer:
    """A kernel as matrices of shape (inputs, units), one for each group of a convolution.

    Args:
        kernel: The variable.
        moments: H of the inputs of each group, shape (groups, inputs, inputs). Its diagonal,
            shape (groups, inputs), is enough for all methods but the surgeon.
        depthwise: Whether each channel is a group.
        damping: Share of its mean that the surgeon adds to the diagonal.
    """

    def __init__(
        self, kernel: keras.Variable, moments: np.ndarray, depthwise: bool, damping: float
    ) -> None:
        self.kernel = kernel
        self._moments = moments
        self._squares = moments
        if moments.ndim == 3:
            self._squares = np.diagonal(moments, axis1=1, axis2=2).copy()
            room = self._squares.mean(axis=1, keepdims=True)
            place = np.arange(moments.shape[-1])
            moments[:, place, place] += damping * np.where(room > 0, room, 1.0)
        self._depthwise = depthwise
        self._matrices = self._split(np.asarray(kernel.numpy(), np.float64))
        self._products: np.ndarray | None = None  # H W of the dense kernel
        self._inverse: np.ndarray | None = None  # diagonals of the inverse of H

    @property
    def weights(self) -> np.ndarray:
        """The kernel as it is now, in float64."""
        return self._join(self._matrices)

    def magnitude(self) -> np.ndarray:
        """Score weights by |w|."""
        return np.asarray(np.abs(self.weights))

    def wanda(self) -> np.ndarray:
        """Score weights by |w| times the norm of their input."""
        return self._join(np.abs(self._matrices) * np.sqrt(self._squares)[:, :, None])

    def surgeon(self) -> np.ndarray:
        """Score weights by the squared error of the outputs without them, all others corrected."""
        if self._inverse is None:
            self._inverse = np.stack([np.diagonal(scipy.linalg.inv(h)) for h in self._moments])
        used = self._squares > 0  # else the error is that of damping alone
        return self._join(self._matrices**2 * (used / (2 * self._inverse))[:, :, None])

    def correct(self, mask: np.ndarray, tolerance: float = _ENOUGH) -> None:
        """Set the kept weights to the least squares solution for the outputs that were.

        By conjugate gradients for all units at once: a solution for each unit would invert a part
        of H of its own. Beginning with the weights as they are, they never get worse.
        """
        if self._products is None:
            self._products = self._moments @ self._matrices
        kept = self._split(mask)
        scale = np.diagonal(self._moments, axis1=1, axis2=2)[:, :, None]
        enough = tolerance * np.linalg.norm(self._products, axis=1)
        found = self._matrices * kept
        rest = (self._products - self._moments @ found) * kept
        way = scaled = rest / scale
        for _ in range(_STEPS):
            if (np.linalg.norm(rest, axis=1) <= enough).all():
                break
            ahead = (self._moments @ way) * kept
            before = (rest * scaled).sum(axis=1, keepdims=True)
            length = before / np.maximum((way * ahead).sum(axis=1, keepdims=True), _TINY)
            found += length * way
            rest -= length * ahead
            scaled = rest / scale
            after = (rest * scaled).sum(axis=1, keepdims=True)
            way = scaled + after / np.maximum(before, _TINY) * way
        self._matrices = found

    def _split(self, kernel: np.ndarray) -> np.ndarray:
        """Reshape to (groups, inputs, units)."""
        groups, inputs = self._squares.shape
        if self._depthwise:
            return np.moveaxis(kernel, -2, 0).reshape(groups, inputs, -1)
        flat = kernel.reshape(inputs, groups, -1)  # units of a group stand together
        return np.moveaxis(flat, 1, 0)

    def _join(self, matrices: np.ndarray) -> np.ndarray:
        """Reshape to the shape of the kernel."""
        shape = tuple(self.kernel.shape)
        if self._depthwise:
            moved = (shape[-2], *shape[:-2], shape[-1])
            return np.moveaxis(matrices.reshape(moved), 0, -2)
        return np.moveaxis(matrices, 0, 1).reshape(shape)


def _input_moments(
    model: keras.Model, x: Any, skip: Iterable[str], damping: float = 0.0, *, diagonal: bool = False
) -> dict[str, _Layer]:
    """Measure H, the sum of x xᵀ over examples and places, of the inputs of each kernel.

    Args:
        model: A built model.
        x: Inputs.
        skip: Glob patterns of keys to leave out.
        damping: See `_Layer`.
        diagonal: Measure the diagonal of H alone.
    """
    kernels = prunable_variables(model, tuple(skip))
    owners = variable_owners(model)
    features = {key: _features(key, owners[key][0]) for key in kernels}
    sums: dict[str, Any] = dict.fromkeys(kernels, 0.0)
    formula = "gni,gni->gi" if diagonal else "gni,gnj->gij"

    key_of = {id(owners[key][0]): key for key in kernels}

    def add(layer: Any, call: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        key = key_of[id(layer)]
        rows = features[key](keras.ops.cast(inputs, "float32"))
        sums[key] += np.asarray(keras.ops.einsum(formula, rows, rows), np.float64)
        return call(inputs, *args, **kwargs)

    with around_calls((owners[key][0] for key in kernels), add):
        for batch in _batches(x):
            model(batch, training=False)
    layers = {}
    for key, kernel in kernels.items():
        if np.ndim(sums[key]) == 0:
            raise DataError(f"No example reaches `{key}`, so its inputs can't be measured.")
        if not np.isfinite(sums[key]).all():
            raise DataError(f"The inputs of `{key}` aren't all finite; look for NaN in `x`.")
        layers[key] = _Layer(kernel, sums[key], isinstance(owners[key][0], DEPTHWISE), damping)
    return layers


def _features(key: str, layer: keras.Layer) -> Callable[[Any], Any]:
    """Return the function from a layer's inputs to the numbers that its weights multiply.

    Its result has the shape (groups, examples times places, inputs), in the kernel's order.
    """
    if isinstance(layer, keras.layers.Dense):
        return lambda inputs: keras.ops.reshape(inputs, (1, -1, inputs.shape[-1]))
    if not isinstance(layer, (*CONVOLUTIONS, *DEPTHWISE)):
        raise ModelError(
            "The inputs of a weight are known for dense and convolutional layers. Received: "
            f"`{key}` of a {type(layer).__name__}; leave it dense by `skip`."
        )
    return functools.partial(_patches, layer)


def _patches(layer: Any, inputs: Any) -> Any:
    """Cut inputs into patches, by a convolution with the identity in place of the kernel."""
    ops = keras.ops
    if layer.data_format == "channels_first":
        inputs = ops.moveaxis(inputs, 1, -1)
    depthwise = isinstance(layer, DEPTHWISE)
    groups = inputs.shape[-1] if depthwise else layer.groups
    channels = inputs.shape[-1] // groups
    size = tuple(layer.kernel_size)
    many = int(np.prod(size)) * channels
    identity = ops.reshape(ops.eye(many, dtype=inputs.dtype), (*size, channels, many))
    padding = layer.padding
    if padding == "causal":
        reach = layer.dilation_rate[0] * (size[0] - 1)
        inputs, padding = ops.pad(inputs, ((0, 0), (reach, 0), (0, 0))), "valid"
    parts = [
        ops.conv(
            part,
            identity,
            strides=layer.strides,
            padding=padding,
            dilation_rate=layer.dilation_rate,
            data_format="channels_last",
        )
        for part in ops.split(inputs, groups, axis=-1)
    ]
    return ops.stack([ops.reshape(part, (-1, many)) for part in parts])


def _batches(x: Any) -> Iterator[Any]:
    """Cut inputs into batches."""
    x = keras.tree.map_structure(np.asarray, x)
    many = len(keras.tree.flatten(x)[0])
    for start in range(0, many, _BATCH):
        yield keras.tree.map_structure(lambda part: part[start : start + _BATCH], x)  # noqa: B023
