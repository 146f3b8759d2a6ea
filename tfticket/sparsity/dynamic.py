"""`SparseTraining`: train a sparse network from the start, without a search for its mask."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import MaskError
from tfticket.internals import slots_of
from tfticket.seeds import generator
from tfticket.sparsity.binding import MaskBinding, MaskedFit
from tfticket.sparsity.convert import require_mask
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import as_pruner
from tfticket.sparsity.ranking import keep_highest
from tfticket.sparsity.scores import random_scores
from tfticket.sparsity.structure import Unstructured
from tfticket.state import innermost_optimizer
from tfticket.wording import brief

Method = Literal["rigl", "set", "static"]

_TRAINED = 0.75  # share of the training in which connections change, as in the paper


class SparseTraining(MaskedFit):
    """Callback that trains a network with a constant number of weights in each layer.

    A random mask is drawn when `fit` begins. From then on, every so many steps, each layer drops
    its weights of smallest magnitude and grows as many others from zero: by `rigl` those whose
    gradients on the last batch are largest, by `set` random ones. A `static` mask stays. What is
    dropped may be grown again at once; it keeps its value then.

    The share that is dropped falls with the cosine from `fraction` to 0 at step `until`. Of grown
    weights the optimizer remembers nothing. Steps are those of the optimizer; with
    `steps_per_execution` above 1 connections change at the end of the execution that the step falls
    into, by the gradients of that step. A second `fit` with the callback goes on with its mask.
    Afterwards a plain model is as it was, with zeros in it; `sparsify(model, training.mask)` makes
    a copy that keeps them.

    Sources: Evci et al. (2020, arXiv:1911.11134), "Rigging the Lottery", algorithm 1; Mocanu et al.
    (2018, arXiv:1707.04780) for `set`, here with the same schedule.

    Args:
        sparsity: Share of weights that aren't trained, in (0, 1).
        method: `rigl`, `set` or `static`.
        pruner: Densities of the layers: `erk` as in the paper, `layerwise` for the same in all,
            `global` for a random share of all weights together. Or a pruner of single weights.
        every: Steps between two changes, at least 1.
        fraction: Share of a layer's weights that the first change drops, in (0, 1).
        until: Step of the optimizer from which on the mask stays; by default three quarters of the
            first `fit`.
        mask: Weights to begin with, such as those that SNIP keeps, instead of random ones.
        skip: Glob patterns of keys to leave dense.
        seed: Of the random mask, and of what `set` grows.

    Attributes:
        mask: The weights that are trained, as soon as `fit` has begun.
        changes: Number of changes so far.

    Raises:
        ValueError: for a number out of its range, a name that isn't known, or an `until` that must
            be given, since Keras doesn't know how many steps an epoch has.
        TypeError: for a setting of another type.
        MaskError: when the mask doesn't fit, or a layer would be left empty.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
        >>> model.compile("sgd", "mse")
        >>> training = SparseTraining(0.8, every=2)
        >>> x, y = np.ones((16, 4)), np.ones((16, 5))
        >>> history = model.fit(x, y, batch_size=1, callbacks=[training], verbose=0)
        >>> training.mask.kept, int(np.count_nonzero(model.layers[0].kernel)) <= 4
        (4, True)
    """

    def __init__(
        self,
        sparsity: float,
        *,
        method: Method = "rigl",
        pruner: Pruner | str = "erk",
        every: int = 100,
        fraction: float = 0.3,
        until: int | None = None,
        mask: Mask | None = None,
        skip: Iterable[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_mask(mask)
        if not 0.0 < sparsity < 1.0:
            raise ValueError(f"`sparsity` must be in (0, 1). Received: {sparsity}")
        if every < 1 or not 0.0 < fraction < 1.0 or (until is not None and until < 0):
            raise ValueError(
                "`every` must be at least 1, `fraction` in (0, 1) and `until` at least 0. "
                f"Received: every={every}, fraction={fraction}, until={until}"
            )
        self.sparsity = sparsity
        if method not in get_args(Method):
            raise ValueError(
                f"`method` must be one of {get_args(Method)}. Received: {brief(method)}"
            )
        self.method = method
        self.pruner = as_pruner(pruner)
        if not isinstance(self.pruner.structure, Unstructured):
            raise MaskError(
                "Sparse training drops and grows single weights. Received: a pruner of "
                f"{self.pruner.structure}. Use one without a structure."
            )
        self.every = every
        self.fraction = fraction
        self.until = until
        self.skip = tuple(skip)
        self.seed = seed
        self.mask: Mask | None = mask
        self.changes = 0
        self._begun = False
        self._until = self._due = 0
        self._gradients: dict[str, tf.Variable] = {}

    def __repr__(self) -> str:
        return f"SparseTraining({self.sparsity}, method={self.method!r}, every={self.every})"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Draw the mask, or go on with that of the `fit` before."""
        self._release()  # of a `fit` that was interrupted
        watch = self._watch if self.method == "rigl" else None
        self._binding = binding = MaskBinding(self.model, self.skip, watch=watch)
        try:
            dense = Mask.ones(binding.shapes)
            if self.mask is None:
                scores = random_scores(binding.shapes, generator(self.seed, "sparse", "mask"))
                self.mask = self.pruner.prune(scores, dense, self.sparsity)
            if not self._begun:
                self._until = self._last_change()
            binding.set(self.mask)
        except BaseException:
            self._release()
            raise
        self._begun = True
        self._due = self._step() // self.every

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Drop and grow weights when that is due."""
        due = self._step() // self.every
        if self.method != "static" and due > self._due and due * self.every < self._until:
            self._change(due * self.every)
        self._due = due

    def _change(self, step: int) -> None:
        assert self._binding is not None
        assert self.mask is not None
        rng = generator(self.seed, "sparse", "grow", step)
        share = self.fraction / 2 * (1 + math.cos(math.pi * step / self._until))
        kernels, optimizer = self._binding.kernels, innermost_optimizer(self.model)
        grown = {}
        for key, kept in self.mask.items():
            kernel = kernels[key].numpy()
            if key in self._gradients:
                growth = np.abs(self._gradients[key].numpy())
            elif self.method == "rigl":  # nothing depends on it
                growth = np.zeros(kept.shape, np.float32)
            else:
                growth = rng.random(kept.shape)
            grown[key] = drop_and_grow(np.abs(kernel), kept, growth, share)
        changed = Mask(grown)
        self._binding.set(changed)
        for key, kept in changed.items():
            old = keras.ops.convert_to_tensor(self.mask[key] | ~kept)
            for slot in slots_of(optimizer, kernels[key]):
                slot.assign(keras.ops.where(old, slot, keras.ops.zeros_like(slot)))
        self.mask = changed
        self.changes += 1

    def _watch(self, gradients: Mapping[str, Any]) -> None:
        """Keep the gradients of the step that a change follows, in the graph."""
        for key, gradient in gradients.items():
            if key not in self._gradients:
                with tf.init_scope():
                    self._gradients[key] = tf.Variable(tf.zeros(gradient.shape), trainable=False)
        # `iterations` counts this step only after the update.
        step = tf.cast(innermost_optimizer(self.model).iterations.value, tf.int64) + 1

        def keep() -> None:
            for key, gradient in gradients.items():
                self._gradients[key].assign(tf.cast(gradient, tf.float32))

        tf.cond(step % self.every == 0, keep, lambda: None)

    def _step(self) -> int:
        made: int = int(innermost_optimizer(self.model).iterations)
        return made

    def _last_change(self) -> int:
        if self.until is not None or self.method == "static":
            return self.until or 0
        steps = self.params.get("steps")
        if steps is None:
            raise ValueError(
                "`until` must be given where the number of steps of an epoch isn't known: the step "
                "at which connections stop to change, as in "
                f"SparseTraining({self.sparsity}, until=10_000)."
            )
        total: int = steps * self.params["epochs"]
        return self._step() + round(_TRAINED * total)

    def _release(self) -> None:
        super()._release()
        self._gradients = {}


def drop_and_grow(
    magnitudes: np.ndarray, mask: np.ndarray, growth: np.ndarray, share: float
) -> np.ndarray:
    """Drop the smallest kept weights of a layer, and grow as many of the others.

    Source: Evci et al. (2020), algorithm 1, where `growth` is |g|.

    Args:
        magnitudes: |w|, any shape.
        mask: Boolean, of that shape, True = kept.
        growth: Scores of that shape; of what isn't kept, the highest are grown.
        share: Of the kept weights, in [0, 1), that are dropped; rounded down.

    Returns:
        Boolean, of that shape, with as many kept.

    Example:
        >>> kept, growth = np.array([True, True, False, False]), np.array([9.0, 0.0, 1.0, 2.0])
        >>> drop_and_grow(np.array([3.0, 1.0, 0.0, 0.0]), kept, growth, 0.5).tolist()
        [True, False, False, True]
    """
    kept = int(np.count_nonzero(mask))
    dropped = int(share * kept)
    survivors = keep_highest(magnitudes, mask, kept - dropped)
    grown: np.ndarray = survivors | keep_highest(growth, ~survivors, dropped)
    return grown
