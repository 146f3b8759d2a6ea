"""Saliencies: scores from gradients of one batch, before training. SNIP, GraSP, SynFlow.

Each function takes a built model and returns key to scores, higher = keep, of the shapes of the
prunable variables. The model isn't changed: values are passed to it for one pass
(`keras.StatelessScope`), and weights, moving statistics, seed generators and metrics stay bitwise
as they are. Weights that are pruned already take no part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import MaskError, ModelError
from tfticket.sparsity.constraint import MaskConstraint, masked
from tfticket.sparsity.linearized import linearized_flow
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.scores import WEIGHT_SCORES, WeightScore
from tfticket.state import Also, prunable_variables
from tfticket.wording import brief_repr, named

Saliency = Callable[..., dict[str, np.ndarray]]

_CROSSENTROPIES = (
    keras.losses.CategoricalCrossentropy,
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.BinaryCrossentropy,
)
_CROSSENTROPIES_OF_PROBABILITIES = (
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.binary_crossentropy,
)


def snip(model: keras.Model, x: Any, y: Any, *, skip: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Score weights by |g θ|, with g = ∂L/∂θ: the effect of removing a weight on the loss.

    Source: Lee et al. (2019, arXiv:1810.02340), section 4.1, without the division by the sum, which
    changes no order. As in the authors' code the network runs in inference mode (moving statistics,
    no dropout). L is the loss that `fit` minimizes, so with the model's regularizers if it has any.

    Args:
        model: A built and compiled model.
        x: One batch of inputs, as the model takes them.
        y: Their targets, as the loss takes them.
        skip: Glob patterns of keys to leave out.

    Returns:
        Key to scores, of the shapes of the kernels.

    Raises:
        ModelError: when the model isn't compiled or has nothing to prune.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="out")])
        >>> model.compile(loss="mse")
        >>> snip(model, np.ones((2, 4)), np.ones((2, 3)))["out/kernel"].shape
        (4, 3)
    """
    kernels = prunable_variables(model, skip)
    gradients = loss_gradients(model, x, y, skip=skip)
    return {key: np.abs(kernels[key].numpy() * g) for key, g in gradients.items()}


def loss_gradients(
    model: keras.Model, x: Any, y: Any, *, skip: Iterable[str] = (), also: Also = ()
) -> dict[str, np.ndarray]:
    """Return the gradients of the loss of one batch, in inference mode.

    Args:
        model: A built and compiled model.
        x: One batch of inputs, as the model takes them.
        y: Their targets, as the loss takes them.
        skip: Glob patterns of keys to leave out.
        also: Weights that aren't called `kernel`, see `prunable_variables`.

    Returns:
        Key to gradient, of the shapes of the kernels.
    """
    kernels = prunable_variables(model, skip, also)
    values = {key: tf.identity(kernel.value) for key, kernel in kernels.items()}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(list(values.values()))
        loss = _loss(model, (kernels, values), (x, y), training=False, temperature=1.0)
    gradients = tape.gradient(loss, values, unconnected_gradients="zero")
    return {key: np.asarray(g) for key, g in gradients.items()}


def grasp(
    model: keras.Model, x: Any, y: Any, *, temperature: float = 200.0, skip: Iterable[str] = ()
) -> dict[str, np.ndarray]:
    """Score weights by θ H g: the gradient flow that the network would lose without the weight.

    Source: Wang et al. (2020, arXiv:2002.07376), section 4.1. The paper scores -θ H g and prunes
    the highest; this is the negative, so that higher = keep. As in the authors' code g and H are of
    all kernels, also of those in `skip`, and the network runs in training mode (statistics of the
    batch, dropout).

    Args:
        model: A built and compiled model, with a cross-entropy as its loss.
        x: One batch of inputs.
        y: Their targets.
        temperature: T, by which logits are divided, so that the softmax of an untrained network is
            smooth. 1 for losses without logits.
        skip: Glob patterns of keys to leave out of the result.

    Returns:
        Key to scores, of the shapes of the kernels.

    Raises:
        ModelError: when the model isn't compiled, has nothing to prune, or has another loss than a
            cross-entropy and `temperature` isn't 1.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="out")])
        >>> model.compile(loss="mse")
        >>> scores = grasp(model, np.ones((2, 4)), np.ones((2, 3)), temperature=1.0)
        >>> scores["out/kernel"].shape
        (4, 3)
    """
    kernels = prunable_variables(model)
    values = {key: tf.identity(kernel.value) for key, kernel in kernels.items()}
    with tf.GradientTape(watch_accessed_variables=False) as outer:
        outer.watch(list(values.values()))
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(list(values.values()))
            loss = _loss(model, (kernels, values), (x, y), training=True, temperature=temperature)
        gradients = inner.gradient(loss, values, unconnected_gradients="zero")
        # Hg is the gradient of <g, stop(g)>: no Hessian is ever formed.
        flow = sum(
            tf.reduce_sum(g * tf.stop_gradient(_of_survivors(g, kernels[key])))
            for key, g in gradients.items()
        )
    products = outer.gradient(flow, values, unconnected_gradients="zero")
    wanted = prunable_variables(model, skip)
    return {key: np.asarray(values[key] * products[key]) for key in wanted}


def synflow(
    model: keras.Model, x: Any = None, y: Any = None, *, skip: Iterable[str] = ()
) -> dict[str, np.ndarray]:
    """Score weights by θ ∂R/∂θ on |θ|: the share in all paths through the network, without data.

    R is the sum of the outputs of the network with all parameters and statistics replaced by their
    magnitudes, in inference mode, on one input of ones. Computed in float64: R is a product over
    layers and outgrows float32 in deep networks.

    A softmax or sigmoid at the end would hide the paths, so the activations of the output layers of
    Sequential and Functional models are left out.

    Source: Tanaka et al. (2020, arXiv:2006.05467), algorithm 1, where it is computed anew in each
    of 100 rounds: see `prune_by_saliency`.

    Args:
        model: A built model.
        x: A batch whose shape is used where a subclassed model doesn't know its own.
        y: Not used.
        skip: Glob patterns of keys to leave out.

    Returns:
        Key to scores, of the shapes of the kernels.

    Raises:
        ModelError: when the model has nothing to prune, the shape of its input isn't known, its
            output doesn't depend on the weights, or R exceeds float64.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="out")])
        >>> scores = synflow(model)["out/kernel"]
        >>> bool(np.allclose(scores, np.abs(model.layers[0].kernel)))
        True
    """
    return linearized_flow(model, prunable_variables(model, skip), x)


SALIENCIES: dict[str, tuple[Saliency, int]] = {
    "snip": (snip, 1),
    "grasp": (grasp, 1),
    "synflow": (synflow, 100),
}
"""Name to function and number of pruning rounds in its paper."""


@dataclass(frozen=True, eq=False)
class SaliencyScore:
    """A saliency with its batch and its number of rounds.

    Attributes:
        name: `snip`, `grasp` or `synflow`.
        x: One batch of inputs; not needed for `synflow`.
        y: Their targets, likewise.
        iterations: Rounds of scoring and pruning, at least 1; by default those of the paper.

    Raises:
        MaskError: when the name isn't known or `iterations` is below 1.

    Example:
        >>> SaliencyScore("synflow").iterations
        100
    """

    name: str
    x: Any = None
    y: Any = None
    iterations: int | None = None

    __repr__ = brief_repr

    def __post_init__(self) -> None:
        if self.name not in SALIENCIES:
            raise MaskError(
                f"A saliency must be one of {sorted(SALIENCIES)}. Received: {self.name!r}"
            )
        if self.iterations is None:
            object.__setattr__(self, "iterations", SALIENCIES[self.name][1])
        elif self.iterations < 1:
            raise MaskError(f"`iterations` must be at least 1. Received: {self.iterations}")

    def __call__(self, model: keras.Model) -> dict[str, np.ndarray]:
        """Return the scores of a model."""
        return SALIENCIES[self.name][0](model, self.x, self.y)


def as_score(score: WeightScore | SaliencyScore | str | None) -> WeightScore | SaliencyScore | None:
    """Return a score, or the one that a name stands for; None and `random` are random pruning.

    Raises:
        ValueError: for a name that isn't known.
        TypeError: for anything else.
    """
    if score is None or callable(score):
        return score
    names = {**WEIGHT_SCORES, "synflow": SaliencyScore("synflow"), "random": None}
    also = "a function of initial and final weights, `SaliencyScore('snip', x, y)` or None"
    found: Any = named("score", score, names, SaliencyScore, also=also)
    return found  # type: ignore[no-any-return]


def prune_by_saliency(
    model: keras.Model,
    score: SaliencyScore,
    pruner: Pruner,
    mask: Mask,
    rate: float,
    apply: Callable[[Mask], None],
) -> Mask:
    """Score and prune in rounds, to a density of d^(t/n) after round t of n.

    Source: Tanaka et al. (2020), algorithm 1; with one round, SNIP's and GraSP's single shot.

    Args:
        model: A built model that has the mask; compiled for `snip` and `grasp`.
        score: The saliency, with n as its `iterations`.
        pruner: Rule that turns scores into a mask.
        mask: The current mask.
        rate: Share of the survivors of `mask` to prune in all rounds together, in [0, 1).
        apply: Called with each new mask; sets it on the model and zeroes pruned weights.

    Returns:
        The last mask: a subset of `mask` with the count that one step at `rate` would leave.

    Example:
        >>> from tfticket.sparsity import GlobalPruner, get_mask, set_mask, sparsify
        >>> model = sparsify(keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)]))
        >>> score, mask = SaliencyScore("synflow", iterations=2), get_mask(model)
        >>> apply = lambda mask: set_mask(model, mask)
        >>> prune_by_saliency(model, score, GlobalPruner(), mask, 0.5, apply).kept
        10
    """
    pruned = mask
    rounds = score.iterations or 1
    for number in range(1, rounds + 1):
        so_far = 1.0 - (1.0 - rate) ** (number / rounds)
        pruned = pruner.prune(score(model), pruned, so_far, since=mask)
        apply(pruned)
    return pruned


def _loss(
    model: keras.Model,
    kernels_and_values: tuple[dict[str, keras.Variable], dict[str, Any]],
    batch: tuple[Any, Any],
    *,
    training: bool,
    temperature: float,
) -> Any:
    """Return L of a batch with these values of the kernels; no state is updated."""
    if not model.compiled:
        raise ModelError(
            "The scores of gradients need a loss. Received: the model "
            f"{model.name!r}, which isn't compiled; call `model.compile(loss=...)` first."
        )
    kernels, values = kernels_and_values
    mapping = [(kernels[key], value) for key, value in values.items()]
    x, y = keras.tree.map_structure(keras.ops.convert_to_tensor, batch)
    with keras.StatelessScope(mapping, collect_losses=True):
        outputs = model(x, training=training)
        if temperature != 1.0:
            outputs = _cooled(outputs, model.loss, temperature)
        return model.compute_loss(x, y, outputs)


def _cooled(outputs: Any, loss: Any, temperature: float) -> Any:
    """Divide logits by `temperature`, and return outputs of the kind that the loss takes."""
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    if isinstance(loss, _CROSSENTROPIES):
        from_logits, binary = loss.from_logits, isinstance(loss, keras.losses.BinaryCrossentropy)
    elif loss in _CROSSENTROPIES_OF_PROBABILITIES:
        from_logits, binary = False, loss is keras.losses.binary_crossentropy
    else:
        raise ModelError(
            "A temperature divides the logits of a cross-entropy. Received: "
            f"temperature={temperature} and the loss {loss!r}; pass temperature=1, or compile the "
            "model with one cross-entropy."
        )
    if from_logits:
        return outputs / temperature
    p = keras.ops.clip(outputs, keras.config.epsilon(), 1.0 - keras.config.epsilon())
    if binary:
        return keras.ops.sigmoid((keras.ops.log(p) - keras.ops.log1p(-p)) / temperature)
    return keras.ops.softmax(keras.ops.log(p) / temperature)


def _of_survivors(gradient: Any, kernel: keras.Variable) -> Any:
    """Set the gradient to zero where the kernel is pruned."""
    is_masked = isinstance(kernel.constraint, MaskConstraint)
    return masked(gradient, kernel.constraint.mask) if is_masked else gradient
