"""Scores of gradients, from one batch, before any training: SNIP, GraSP, SynFlow.

Each function takes a built model and returns key to score, higher = keep, of the shapes of the
prunable variables. All of them look without touching: they compute on values that are handed to the
model for one pass (`keras.StatelessScope`), so that weights, moving statistics, seed generators and
metrics are bitwise as before. Weights that are pruned already take no part.
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
from tfticket.state import prunable_variables

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
    """|g θ|, with g = ∂L/∂θ: how much the loss would notice the weight's absence.

    Source: Lee et al. (2019, arXiv:1810.02340), section 4.1, without the division by the sum, which
    changes no order. As in the authors' code the network runs in inference mode (moving statistics,
    no dropout). L is the loss that `fit` minimizes, so with the model's regularizers if it has any.

    Args:
        model: A built and compiled model.
        x: One batch of inputs, as the model takes them.
        y: Their targets, as the loss takes them.
        skip: Glob patterns of keys to leave out.

    Raises:
        ModelError: when the model isn't compiled or has nothing to prune.
    """
    kernels = prunable_variables(model, skip)
    values = {key: tf.identity(kernel.value) for key, kernel in kernels.items()}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(list(values.values()))
        loss = _loss(model, (kernels, values), (x, y), training=False, temperature=1.0)
    gradients = tape.gradient(loss, values, unconnected_gradients="zero")
    return {key: np.abs(values[key] * g) for key, g in gradients.items()}


def grasp(
    model: keras.Model, x: Any, y: Any, *, temperature: float = 200.0, skip: Iterable[str] = ()
) -> dict[str, np.ndarray]:
    """θ H g: how much the gradient flow through the network would lose with the weight.

    Source: Wang et al. (2020, arXiv:2002.07376), section 4.1. The paper scores -θ H g and prunes
    the highest; ours is the negative of it, for higher = keep. As in the authors' code g and H are
    of all kernels, also of those in `skip`, and the network runs in training mode (statistics of
    the batch, dropout).

    Args:
        model: A built and compiled model, with a cross-entropy as its loss.
        x: One batch of inputs.
        y: Their targets.
        temperature: T, by which logits are divided, so that the softmax of a network that knows
            nothing yet is smooth. 1 for losses without logits.
        skip: Glob patterns of keys to leave out of the result.

    Raises:
        ModelError: when the model isn't compiled, has nothing to prune, or has a loss that a
            temperature makes no sense for.
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
    """θ ∂R/∂θ on |θ|: the weight's share in all paths through the network, without any data.

    R is the sum of the outputs of the network with all parameters and statistics replaced by their
    magnitudes, in inference mode, on one input of ones. Computed in float64: R is a product over
    layers and outgrows float32 in deep networks.

    A softmax or sigmoid at the end would hide the paths, so the activations of the output layers of
    Sequential and Functional models are left out.

    Source: Tanaka et al. (2020, arXiv:2006.05467), algorithm 1, where it is computed anew in each
    of 100 rounds: see `prune_by_saliency`.

    Args:
        model: A built model.
        x: Read for its shape only, and only where a subclassed model doesn't know its own.
        y: Not used.
        skip: Glob patterns of keys to leave out.

    Raises:
        ModelError: when the model has nothing to prune, the shape of its input isn't known, its
            output doesn't depend on the weights, or R is too large even so.
    """
    return linearized_flow(model, prunable_variables(model, skip), x)


SALIENCIES: dict[str, tuple[Saliency, int]] = {
    "snip": (snip, 1),
    "grasp": (grasp, 1),
    "synflow": (synflow, 100),
}
"""Name to function and the number of rounds that its paper prunes in."""


@dataclass(frozen=True, eq=False)
class SaliencyScore:
    """Which score, on which batch, in how many rounds.

    Attributes:
        name: `snip`, `grasp` or `synflow`.
        x: One batch of inputs; None will do for `synflow`.
        y: Their targets, likewise.
        iterations: Rounds of scoring and pruning, at least 1; the paper's number when None.

    Raises:
        MaskError: when the name isn't known or `iterations` is below 1.
    """

    name: str
    x: Any = None
    y: Any = None
    iterations: int | None = None

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
        """The scores of the model as it is."""
        return SALIENCIES[self.name][0](model, self.x, self.y)


def prune_by_saliency(
    model: keras.Model,
    score: SaliencyScore,
    pruner: Pruner,
    mask: Mask,
    rate: float,
    apply: Callable[[Mask], None],
) -> Mask:
    """Scores and prunes in rounds, to a density of d^(t/n) after round t of n.

    Source: Tanaka et al. (2020), algorithm 1; with one round, SNIP's and GraSP's single shot.

    Args:
        model: A built model that has the mask; compiled for `snip` and `grasp`.
        score: What to score by, and n.
        pruner: Who competes with whom.
        mask: The mask so far.
        rate: Share of the survivors of `mask` to prune in all rounds together, in [0, 1).
        apply: Called with each new mask; sets it on the model and zeroes what it prunes.

    Returns:
        The last mask: a subset of `mask` with the count that one step at `rate` would leave.
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
    """L of a batch with these values of the kernels; what the pass would update is dropped."""
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
    """The outputs for logits divided by `temperature`, of the kind that the loss takes."""
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
    """The gradient, zero where the kernel is pruned: there is no weight that could follow it."""
    is_masked = isinstance(kernel.constraint, MaskConstraint)
    return masked(gradient, kernel.constraint.mask) if is_masked else gradient
