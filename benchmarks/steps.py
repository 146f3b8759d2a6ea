"""Benchmarks of training steps: against peers, and of what masks cost.

- `lenet`: 1000 steps of LeNet-300-100 a run, batches of 60 images, Adam at 0.0012. Ours is plain
  `fit` with `ChunkedFit`, and measures the accuracy too. It, PyTorch,
  tensorflow-model-optimization and open_lth keep 80 % of the weights at zero; the others have no
  masks, which spares them work.
- `masks_*`: the same `fit` with 80 % of the weights pruned, and without masks. The training
  without masks takes part twice: how far the two ratios are apart is what chance does. A goal
  within that distance can't be called met or missed.
- `conv2`, `resnet20`: convolutional networks in the shape of CIFAR-10. PyTorch's masks are ours;
  tf_keras has none. Each round has a new process, since where a process has its memory changes the
  speed of such a training by some percent, and each process trains a few runs before it is timed,
  since its first ones ask the system for memory.

Two copies of one training differ by 2 to 5 % on most machines, by where their arrays lie and by
what else the machine does; ratios nearer to 1 than that say nothing. `benchmarks.peers` says
exactly what the peers do.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.paired import Benchmark, Task
from benchmarks.tasks import ChildTask, FreshChildTask, UnavailableError, need
from benchmarks.workloads import CLASSES, WORKLOADS, Workload, random_masks
from tfticket import data, models
from tfticket.data.dataset import Split
from tfticket.sparsity.binding import MaskBinding
from tfticket.sparsity.mask import Mask

PLAIN = ("no masks", "no masks, a copy")
_INSTALL = "pip install -e '.[bench]'"
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7  # of Keras' Adam


class ChunkedTraining:
    """Plain `fit` with a `Feed` and `ChunkedFit`; each run continues where the last one ended.

    Masks stay on the model from the first run to the last, as they do in a search.

    Args:
        workload: What to train, and how long a run is.
        masked: Prune 80 % of the weights.
        split: Training data.  Default: those of the workload.
        norm: Maker of the normalization layers, for networks that have some.
        **options: Of `compile`.
    """

    def __init__(
        self,
        workload: Workload,
        *,
        masked: bool,
        split: Split | None = None,
        norm: Any = None,
        **options: Any,
    ) -> None:
        self.model = compiled(
            workload, norm=norm, steps_per_execution=workload.chunk_steps, **options
        )
        self.binding: MaskBinding | None = None
        if masked:
            self.binding = MaskBinding(self.model)
            self.binding.set(Mask(random_masks(self.binding.shapes)))
        self.feed = data.Feed(
            Split(*workload.arrays()) if split is None else split,
            batch_size=workload.batch_size,
            seed=0,
            chunk_steps=workload.chunk_steps,
            scale=1 / 255,
        )
        self._callback = data.ChunkedFit(self.feed)
        self._epochs = workload.steps // workload.chunk_steps

    def __call__(self) -> None:
        """Train the steps of a run."""
        self.model.fit(
            **self.feed.fit_arguments(), epochs=self._epochs, callbacks=[self._callback], verbose=0
        )


def keras_defaults(workload: Workload) -> Task:
    """Return a `fit` of NumPy arrays as Keras has it by default: one step a call, no masks."""
    model = compiled(workload, jit_compile="auto")
    x, y = workload.arrays()
    x = x.astype(np.float32) / 255
    assert workload.steps * workload.batch_size == workload.examples

    def fit() -> None:
        model.fit(x, y, batch_size=workload.batch_size, epochs=1, verbose=0)

    return fit


def compiled(workload: Workload, *, norm: Any = None, **options: Any) -> keras.Model:
    """Build a network and compile it with Adam and accuracy; with XLA where recipes use it."""
    with_norm = {} if norm is None else {"norm": norm}
    model = models.build(workload.network, workload.input_shape, CLASSES, seed=0, **with_norm)
    options.setdefault("jit_compile", models.jit_choice(model))
    model.compile(
        keras.optimizers.Adam(workload.learning_rate),
        models.loss_for(model),
        metrics=["accuracy"],
        **options,
    )
    return model


class HandwrittenLenet:
    """LeNet-300-100 trained by hand: no Keras, no metric, no mask.

    One function that XLA compiles trains all steps of a run; weights, Adam and the loss are written
    out. Nobody would want to write trainings like this; it is the bound that ours is held to. Each
    run continues where the last one ended.

    Args:
        workload: What to train, and how long a run is.

    Attributes:
        weights: Kernel and bias of each layer, in the order of Keras.
    """

    def __init__(self, workload: Workload) -> None:
        images, labels = workload.arrays()
        self._x = tf.constant(images.reshape(len(images), -1))
        self._y = tf.constant(labels)
        self._workload = workload
        self._rng = np.random.default_rng(0)
        self.weights = _initial_weights((self._x.shape[1], 300, 100, CLASSES))
        self._means = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]
        self._squares = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]
        self._count = tf.Variable(0.0)
        self._train = tf.function(self._epoch, jit_compile=True, autograph=False)

    def __call__(self) -> None:
        """Train the steps of a run."""
        self._train(tf.constant(self._workload.batches(self._rng))).numpy()

    def _epoch(self, batches: tf.Tensor) -> tf.Tensor:
        def body(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, total + self._step(batches[i])

        steps, start = self._workload.steps, (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda i, _: i < steps, body, start)[1]

    def _step(self, batch: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._loss(batch)
        gradients = tape.gradient(loss, self.weights)
        self._count.assign_add(1.0)
        correction = tf.sqrt(1 - _BETA2**self._count) / (1 - _BETA1**self._count)
        rate = self._workload.learning_rate * correction
        slots = zip(self.weights, gradients, self._means, self._squares, strict=True)
        for weight, gradient, mean, square in slots:
            mean.assign_add((1 - _BETA1) * (gradient - mean))
            square.assign_add((1 - _BETA2) * (gradient * gradient - square))
            weight.assign_sub(rate * mean / (tf.sqrt(square) + _EPSILON))
        return loss

    def _loss(self, batch: tf.Tensor) -> tf.Tensor:
        x = tf.cast(tf.gather(self._x, batch), tf.float32) / 255
        *hidden, kernel, bias = self.weights
        for inner, offset in zip(hidden[::2], hidden[1::2], strict=True):
            x = tf.nn.relu(x @ inner + offset)
        labels = tf.gather(self._y, batch)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x @ kernel + bias)
        return tf.reduce_mean(losses)


def _initial_weights(widths: tuple[int, ...]) -> list[tf.Variable]:
    """Glorot's, and zeros."""
    rng = np.random.default_rng(0)
    weights = []
    for inputs, outputs in itertools.pairwise(widths):
        kernel = rng.normal(0, (2 / (inputs + outputs)) ** 0.5, (inputs, outputs))
        weights += [tf.Variable(kernel.astype("float32")), tf.Variable(tf.zeros(outputs))]
    return weights


def pytorch(network: str, *, fresh: bool = False) -> ChildTask | FreshChildTask:
    """Return the best plain PyTorch loop, in one process or in a new one each time."""
    need("torch", _INSTALL)
    return (FreshChildTask if fresh else ChildTask)("benchmarks.peers.pytorch", network)


def open_lth() -> ChildTask:
    """Return the training of open_lth, in a process of its own."""
    need_open_lth()
    return ChildTask("benchmarks.peers.open_lth", "train")


def need_open_lth() -> None:
    """Raise an `UnavailableError` without a checkout of open_lth or what it needs."""
    need("torch", _INSTALL)
    need("torchvision", _INSTALL)
    if "OPEN_LTH" not in os.environ:
        raise UnavailableError(
            "OPEN_LTH must be the folder of a checkout of "
            "https://github.com/facebookresearch/open_lth."
        )


def _lenet() -> Benchmark:
    workload = WORKLOADS["lenet_300_100"]
    return Benchmark(
        "lenet",
        "1000 steps of LeNet-300-100, 28x28, batches of 60, 80 % masked",
        {
            "fit with ChunkedFit, masks": lambda: ChunkedTraining(workload, masked=True),
            "the same, no masks": lambda: ChunkedTraining(workload, masked=False),
            "hand-written epoch, XLA, no masks": lambda: HandwrittenLenet(workload),
            "PyTorch loop, tensors, masks": lambda: pytorch("lenet_300_100"),
            "tfmot, fit": lambda: ChildTask("benchmarks.peers.legacy_keras", "tfmot"),
            "Keras fit, defaults, no masks": lambda: keras_defaults(workload),
            "open_lth, masks": open_lth,
        },
        rounds=7,
        goals={
            "hand-written epoch, XLA, no masks": 1.15,
            "PyTorch loop, tensors, masks": 1 / 1.4,
            "tfmot, fit": 1 / 2.5,
            "Keras fit, defaults, no masks": 1 / 3,
            "open_lth, masks": 1 / 6,
        },
    )


def _masks(network: str, title: str, *, rounds: int, goal: float) -> Benchmark:
    """Masks against none; the goal is for both ratios."""
    workload = WORKLOADS[network]
    plain = dict.fromkeys(PLAIN, lambda: ChunkedTraining(workload, masked=False))
    return Benchmark(
        f"masks_{network.partition('_')[0]}",
        f"{workload.steps} steps of {title}, batches of {workload.batch_size}, with and without "
        "masks",
        {"80 % masked": lambda: ChunkedTraining(workload, masked=True), **plain},
        rounds=rounds,
        goals=dict.fromkeys(PLAIN, goal),
    )


def _convolutional(network: str, title: str, *, rounds: int) -> Benchmark:
    """Ours against tf_keras and PyTorch."""
    workload = WORKLOADS[network]
    legacy, torch = "tf_keras fit, no masks", "PyTorch loop, tensors, masks"
    return Benchmark(
        network,
        f"{workload.steps} steps of {title}, 32x32x3, batches of {workload.batch_size}",
        {
            "fit with ChunkedFit, masks": lambda: FreshChildTask(
                "benchmarks.ours", "train", network
            ),
            legacy: lambda: FreshChildTask("benchmarks.peers.legacy_keras", network),
            torch: lambda: pytorch(network, fresh=True),
        },
        rounds=rounds,
        warm_up=False,
        goals={legacy: 1.0, torch: 1 / 1.1},
    )


BENCHMARKS = (
    _lenet(),
    _masks("lenet_300_100", "LeNet-300-100, 28x28", rounds=21, goal=1.03),
    _masks("conv2", "Conv-2, 32x32x3", rounds=11, goal=1.01),
    _masks("resnet20", "ResNet-20, 32x32x3", rounds=11, goal=1.01),
    _convolutional("conv2", "Conv-2", rounds=5),
    _convolutional("resnet20", "ResNet-20", rounds=7),
)
