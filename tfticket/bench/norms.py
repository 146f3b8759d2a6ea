"""Benchmarks of normalization and of measuring it."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfticket import data, models
from tfticket.bench.paired import Benchmark, Task
from tfticket.bench.workloads import CLASSES, WORKLOADS
from tfticket.data.dataset import Split
from tfticket.norms.landscape import LandscapeTracker
from tfticket.norms.layers import FusedBatchNorm, GroupNorm

_STEPS = 16_000
_CHUNK = 100
_PASSES = 20


def tracked_fit(*, tracked: bool) -> Task:
    """A `fit` of half a minute or so, with a tracker at its default budget or without."""
    digits = data.load("digits")
    model = models.build("conv2", digits.input_shape, digits.num_classes, width=0.5)
    model.compile("sgd", models.loss_for(model), steps_per_execution=_CHUNK, jit_compile=False)
    feed = data.Feed(digits.train, batch_size=60, seed=0, chunk_steps=_CHUNK, scale=digits.scale)

    def fit() -> None:
        callbacks = [LandscapeTracker(verbose=0)] if tracked else []
        model.fit(**feed.fit_arguments(), epochs=_STEPS // _CHUNK, callbacks=callbacks, verbose=0)

    return fit


def batch_norm_fit(kind: type[keras.layers.BatchNormalization]) -> Task:
    """A `fit` of a ResNet-20 with batch normalization of a class; all else is the same."""
    work = WORKLOADS["resnet20"]
    model = models.build(
        work.network,
        work.input_shape,
        CLASSES,
        seed=0,
        norm=lambda name, channels: kind(momentum=0.9, epsilon=1e-5, name=name),
    )
    model.compile(
        keras.optimizers.Adam(work.learning_rate),
        models.loss_for(model),
        metrics=["accuracy"],
        steps_per_execution=work.chunk_steps,
        jit_compile=False,
    )
    feed = data.Feed(
        Split(*work.arrays()),
        batch_size=work.batch_size,
        seed=0,
        chunk_steps=work.chunk_steps,
        scale=1 / 255,
    )
    training = data.ChunkedFit(feed)
    epochs = work.steps // work.chunk_steps

    def fit() -> None:
        model.fit(**feed.fit_arguments(), epochs=epochs, callbacks=[training], verbose=0)

    return fit


def group_norm(layer: keras.Layer) -> Task:
    """Forward and backward through 32 groups of 2 channels, 16x16 pixels, 64 images."""
    rng = np.random.default_rng(0)
    x, upstream = (tf.constant(rng.normal(size=(64, 16, 16, 64)).astype("float32")) for _ in "xy")
    layer.build(x.shape)

    @tf.function
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
        wanted = [x, *(v.value for v in layer.trainable_variables)]
        return tape.gradient(outputs, wanted, output_gradients=upstream)

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
