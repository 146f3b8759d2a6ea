"""Benchmarks of normalization and of measuring it."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.paired import Benchmark, Task
from benchmarks.steps import ChunkedTraining
from benchmarks.workloads import WORKLOADS
from tfticket import data, models
from tfticket.norms.landscape import LandscapeTracker
from tfticket.norms.layers import FusedBatchNorm, GroupNorm

_STEPS = 16_000
_CHUNK = 100
_PASSES = 20


def tracked_fit(*, tracked: bool) -> Task:
    """Return a `fit` of about half a minute, with a tracker at its default budget or without."""
    digits = data.load("digits")
    model = models.build("conv2", digits.input_shape, digits.num_classes, width=0.5)
    model.compile("sgd", models.loss_for(model), steps_per_execution=_CHUNK, jit_compile=False)
    feed = data.Feed(digits.train, batch_size=60, seed=0, chunk_steps=_CHUNK, scale=digits.scale)

    def fit() -> None:
        callbacks = [LandscapeTracker(verbose=0)] if tracked else []
        model.fit(**feed.fit_arguments(), epochs=_STEPS // _CHUNK, callbacks=callbacks, verbose=0)

    return fit


def batch_norm_fit(kind: type[keras.layers.BatchNormalization]) -> Task:
    """Return a `fit` of a ResNet-20 with this class of batch normalization."""

    def norm(name: str, channels: int) -> keras.Layer:
        return kind(momentum=0.9, epsilon=1e-5, name=name)

    return ChunkedTraining(WORKLOADS["resnet20"], masked=False, norm=norm, jit_compile=False)


def group_norm(layer: keras.Layer) -> Task:
    """Return passes forward and backward: 32 groups of 2 channels, 16x16 pixels, 64 images."""
    rng = np.random.default_rng(0)
    x, upstream = (tf.constant(rng.normal(size=(64, 16, 16, 64)).astype("float32")) for _ in "xy")
    layer.build(x.shape)

    @tf.function
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
        wanted = [x, *(v.value for v in layer.trainable_variables)]
        gradients: list[tf.Tensor] = tape.gradient(outputs, wanted, output_gradients=upstream)
        return gradients

    def passes() -> None:
        for _ in range(_PASSES):
            step()[0].numpy()

    return passes


BENCHMARKS = (
    Benchmark(
        "tracker",
        "fit with a LandscapeTracker at its default budget",
        {
            "with LandscapeTracker()": lambda: tracked_fit(tracked=True),
            "without": lambda: tracked_fit(tracked=False),
        },
        rounds=3,
    ),
    Benchmark(
        "batch_norm",
        "fit of a ResNet-20 with batch normalization by the fused kernel",
        {
            "tfticket FusedBatchNorm": lambda: batch_norm_fit(FusedBatchNorm),
            "keras BatchNormalization": lambda: batch_norm_fit(keras.layers.BatchNormalization),
        },
        rounds=5,
    ),
    Benchmark(
        "group_norm",
        "group normalization, forward and backward",
        {
            "tfticket GroupNorm": lambda: group_norm(GroupNorm(groups=32)),
            "keras GroupNormalization": lambda: group_norm(
                keras.layers.GroupNormalization(groups=32)
            ),
        },
        rounds=9,
        goals={"keras GroupNormalization": 1 / 3},
    ),
)
