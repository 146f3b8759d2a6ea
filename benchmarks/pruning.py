"""Benchmarks of pruning: from weights to masks, level after level.

All contenders get the same weights, as many and of the same shapes as the kernels of ResNet-50, and
take a fifth of what survives, three times in a row: scores, a choice among survivors, boolean
masks. The kernels are normal and alike in scale, so that none loses all of its weights.

- `GlobalPruner`: all weights compete. Counts are exact and ties go by flat index; scores are
  searched for NaN, and each new mask is checked.
- `NumPy, stable argsort`: the plain way to the same masks, bit for bit: pruned weights score
  lowest, everything is sorted, the last ones are kept.
- `NumPy, partition`: the fastest way that we know of without exact counts: everything above a
  threshold. Weights that tie at the threshold all stay, and nothing is checked.
- `TensorFlow, top_k by layer`: what tensorflow-model-optimization does at each update of its masks,
  written anew: `tf.math.top_k` of all magnitudes of a layer, the one at the place of the threshold,
  a comparison. Layers don't compete, so it has an easier task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from benchmarks.paired import Benchmark
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import prune_count
from tfticket.sparsity.pruners import GlobalPruner
from tfticket.sparsity.scores import magnitude, score_weights

Weights = Mapping[str, np.ndarray]
Masks = Mapping[str, np.ndarray]

_RATE = 0.2
_LEVELS = 3
_STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))  # blocks and width, He et al. (2016), table 1


def resnet50_shapes() -> dict[str, tuple[int, ...]]:
    """Return the kernel shapes of ResNet-50 for ImageNet, 25.5 million weights in 54 arrays."""
    shapes: dict[str, tuple[int, ...]] = {"stem": (7, 7, 3, 64)}
    inputs = 64
    for stage, (blocks, width) in enumerate(_STAGES):
        for block in range(blocks):
            name = f"stage_{stage}/block_{block}"
            if block == 0:
                shapes[f"{name}/shortcut"] = (1, 1, inputs, 4 * width)
            shapes[f"{name}/reduce"] = (1, 1, inputs, width)
            shapes[f"{name}/conv"] = (3, 3, width, width)
            shapes[f"{name}/expand"] = (1, 1, width, 4 * width)
            inputs = 4 * width
    return {**shapes, "output": (inputs, 1000)}


def drawn(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Draw normal weights, float32; kernels differ in scale by a few percent."""
    rng = np.random.default_rng(0)
    return {
        key: rng.standard_normal(shape, "float32") * np.float32(rng.uniform(0.95, 1.05))
        for key, shape in shapes.items()
    }


def ours(weights: Weights) -> Masks:
    """Prune by `GlobalPruner`."""
    pruner = GlobalPruner()
    mask = Mask.ones({key: array.shape for key, array in weights.items()})
    for _ in range(_LEVELS):
        mask = pruner.prune(score_weights(magnitude, weights, weights), mask, _RATE)
    return mask


def argsort(weights: Weights) -> Masks:
    """Prune by a stable sort of everything."""
    mask = np.ones(sum(array.size for array in weights.values()), bool)
    for _ in range(_LEVELS):
        scores = np.where(mask, _magnitudes(weights), np.float32(-1))
        survivors = int(np.count_nonzero(mask))
        # Of equal scores the earlier one is kept, so it must come first.
        best = np.argsort(-scores, kind="stable")[: survivors - prune_count(_RATE, survivors)]
        mask = np.zeros(mask.size, bool)
        mask[best] = True
    return _parts(mask, weights)


def partition(weights: Weights) -> Masks:
    """Prune by a threshold of everything."""
    mask = np.ones(sum(array.size for array in weights.values()), bool)
    for _ in range(_LEVELS):
        scores = _magnitudes(weights)
        values = scores[mask]
        gone = prune_count(_RATE, values.size)
        mask &= scores >= np.partition(values, gone)[gone]
    return _parts(mask, weights)


def top_k(weights: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
    """Prune by a threshold in each layer, inside TensorFlow."""
    masks = {key: tf.ones(array.shape, tf.bool) for key, array in weights.items()}
    for _ in range(_LEVELS):
        masks = {key: _above_threshold(weights[key], mask) for key, mask in masks.items()}
    return masks


@tf.function(reduce_retracing=True)
def _above_threshold(weights: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    scores = tf.where(mask, tf.abs(weights), -1.0)
    kept = tf.cast(tf.math.count_nonzero(mask), tf.float32) * (1.0 - _RATE)
    ordered = tf.math.top_k(tf.reshape(scores, [-1]), k=tf.size(scores)).values
    return scores >= ordered[tf.cast(tf.round(kept), tf.int32) - 1]


def _magnitudes(weights: Weights) -> np.ndarray:
    return np.concatenate([np.abs(array).ravel() for array in weights.values()])


def _parts(mask: np.ndarray, weights: Weights) -> Masks:
    parts = np.split(mask, np.cumsum([array.size for array in weights.values()])[:-1])
    return {key: part.reshape(weights[key].shape) for key, part in zip(weights, parts, strict=True)}


def contenders(
    shapes: Mapping[str, tuple[int, ...]],
) -> Mapping[str, Callable[[], Callable[[], None]]]:
    """Return makers of the contenders, ours first; weights are drawn before they are timed."""

    def task(prune: Callable[[Weights], object]) -> Callable[[], None]:
        weights = drawn(shapes)

        def run() -> None:
            prune(weights)

        return run

    def tensors() -> Callable[[], None]:
        weights = {key: tf.constant(array) for key, array in drawn(shapes).items()}

        def run() -> None:
            for mask in top_k(weights).values():
                mask.numpy()

        return run

    return {
        "GlobalPruner": lambda: task(ours),
        "NumPy, stable argsort": lambda: task(argsort),
        "NumPy, partition": lambda: task(partition),
        "TensorFlow, top_k by layer": tensors,
    }


BENCHMARKS = (
    Benchmark(
        "pruning",
        "three levels of pruning 25.5 million weights, in the shapes of ResNet-50",
        contenders(resnet50_shapes()),
        rounds=3,
    ),
)
