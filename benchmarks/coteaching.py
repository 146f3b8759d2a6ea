"""Benchmarks of co-teaching: what it costs beyond training its two networks.

All contenders but PyTorch train the same two networks, from the same weights, on the same batches
and in the same order, by `fit` with `ChunkedFit`, with the same optimizer, loss, metric and steps
in an execution, compiled with XLA where recipes do it. Batches come from a `Feed` of images in
memory, which is as cheap as batches get:

- `CoTeaching`: one `fit` and one feed for both networks. Beyond their two steps it selects, counts
  what was selected, and measures the accuracy of the ensemble. The forget rate ramps to 0.4.
- `two plain fits`: a Keras model each, one after the other. Each has a feed and a `fit` of its own,
  and only one of them holds the activations of a step at any time.
- `two plain steps in one function`: one `fit` and one feed, whose step is Keras' own step of the
  first and of the second network. No pair of networks can be trained at the same time with less,
  and the peer pays for nothing that ours doesn't: the goals of co-teaching are about it.
- `CoTeaching, reduced batches`: selects in a forward pass in inference mode, then trains on the
  selected examples alone. Here the forget rate is 0.5 from the first step on, of all contenders.
- `PyTorch, the official way` and `tuned`: see `benchmarks.peers.torch_coteaching`.

Ours and the last hold the activations of both networks, as co-teaching must: nothing is selected
before both have made their forward pass.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from benchmarks.paired import Benchmark, Task
from benchmarks.tasks import ChildTask, need
from tfticket import data, models
from tfticket.data.dataset import Split
from tfticket.noise.coteaching.model import Batches, CoTeaching

_EXAMPLES = 2560
_CLASSES = 10


@dataclass(frozen=True)
class Setting:
    """A kind of network, and how long two of them are trained.

    Attributes:
        network: Name of a network of the zoo.
        input_shape: Shape of one image.
        options: Of the network.
        chunk_steps: Steps in an execution.
        chunks: Executions in a run.
        batch_size: Images in a batch.
    """

    network: str
    input_shape: tuple[int, ...]
    options: Mapping[str, Any]
    chunk_steps: int
    chunks: int
    batch_size: int = 128

    def build(self, seed: int) -> keras.Model:
        """Build a network from its seed."""
        return models.build(
            self.network, self.input_shape, _CLASSES, seed=seed, **dict(self.options)
        )

    @property
    def jit(self) -> bool:
        """Compile the step with XLA, as recipes do for networks without convolutions."""
        return models.jit_choice(self.build(0))

    def feed(self) -> data.Feed:
        """Return batches of random bytes, the same each time."""
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, (_EXAMPLES, *self.input_shape), "uint8")
        y = rng.integers(0, _CLASSES, _EXAMPLES, "int32")
        return data.Feed(
            Split(x, y),
            batch_size=self.batch_size,
            seed=0,
            chunk_steps=self.chunk_steps,
            scale=1 / 255,
        )


class TwoPlainSteps(keras.Model):
    """Two compiled models, trained by Keras' own steps in one function.

    Args:
        first: Any compiled model.
        second: Another compiled model.
    """

    def __init__(self, first: keras.Model, second: keras.Model) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.built = True

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train both on the same batch."""
        logs = self.first.train_step(data)
        other = self.second.train_step(data)
        return {**logs, **{f"second_{name}": value for name, value in other.items()}}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Metrics of both."""
        return [*self.first.metrics, *self.second.metrics]


@dataclass(frozen=True)
class Training:
    """A task: models that are trained further for some chunks at each call.

    Attributes:
        setting: The data, and how long a run is.
        fitted: The models that `fit` is called on, each with its `ChunkedFit`.
    """

    setting: Setting
    fitted: tuple[tuple[keras.Model, data.ChunkedFit], ...]

    @classmethod
    def of(cls, setting: Setting, *fitted: keras.Model) -> Training:
        """Give each model a feed of its own."""
        return cls(setting, tuple((model, data.ChunkedFit(setting.feed())) for model in fitted))

    def __call__(self) -> None:
        """Train each in turn."""
        for model, chunked in self.fitted:
            model.fit(
                **chunked.feed.fit_arguments(),
                epochs=self.setting.chunks,
                callbacks=[chunked],
                verbose=0,
            )


def coteaching(
    setting: Setting, *, forget_rate: float = 0.4, gradual: int = 10, batch: Batches = "whole"
) -> Training:
    """Return our training."""
    pair = CoTeaching(
        setting.build(0),
        setting.build(1),
        forget_rate=forget_rate,
        gradual=gradual,
        batch=batch,
        steps_per_epoch=_EXAMPLES // setting.batch_size,
    )
    return Training.of(setting, _compiled(pair, setting))


def plain_fits(setting: Setting) -> Training:
    """Return the training of two plain Keras models, one after the other."""
    return Training.of(setting, *(_compiled(setting.build(seed), setting) for seed in (0, 1)))


def plain_steps(setting: Setting) -> Training:
    """Return the training of two plain Keras models in one function."""
    both = TwoPlainSteps(*(_compiled(setting.build(seed), setting) for seed in (0, 1)))
    both.compile(steps_per_execution=setting.chunk_steps, jit_compile=setting.jit)
    return Training.of(setting, both)


def linear_fit(setting: Setting) -> Task:
    """Return the training of a linear model: what any training needs of Keras and TensorFlow."""
    layers = [keras.Input(setting.input_shape), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(_CLASSES)])
    return Training.of(setting, _compiled(model, setting))


def contenders(setting: Setting) -> Mapping[str, Callable[[], Training]]:
    """Return makers of the contenders, ours first."""
    return {
        "CoTeaching": lambda: coteaching(setting),
        "two plain steps in one function": lambda: plain_steps(setting),
        "two plain fits": lambda: plain_fits(setting),
    }


def reduced_contenders(setting: Setting) -> Mapping[str, Callable[[], Training]]:
    """Return makers of contenders that drop half of each batch from the first step on."""
    ours = functools.partial(coteaching, setting, forget_rate=0.5, gradual=0)
    return {
        "CoTeaching, reduced batches": lambda: ours(batch="reduced"),
        "CoTeaching": ours,
        "two plain steps in one function": lambda: plain_steps(setting),
    }


def pytorch_contenders(setting: Setting) -> Mapping[str, Callable[[], Task]]:
    """Return makers of contenders with PyTorch, for a conv4 of half width with batch norm."""
    return {
        "CoTeaching": lambda: coteaching(setting),
        "PyTorch, the official way": lambda: pytorch("official", setting),
        "PyTorch, tuned": lambda: pytorch("tuned", setting),
    }


def pytorch(style: str, setting: Setting) -> ChildTask:
    """Return co-teaching in PyTorch, in a process of its own: `official` or `tuned`."""
    need("torch", "pip install -e '.[bench]'")
    steps = setting.chunks * setting.chunk_steps
    numbers = (str(number) for number in (_EXAMPLES, setting.batch_size, steps))
    return ChildTask("benchmarks.peers.torch_coteaching", style, *numbers)


def _compiled(model: keras.Model, setting: Setting) -> keras.Model:
    model.compile(
        keras.optimizers.Adam(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=setting.chunk_steps,
        jit_compile=setting.jit,
    )
    return model


_AT_MOST = {"two plain steps in one function": 1.03}
_CONV4 = Setting("conv4", (32, 32, 3), {"width": 0.5, "norm": "batch"}, chunk_steps=10, chunks=2)
_LENET = Setting("lenet_300_100", (28, 28, 1), {}, chunk_steps=100, chunks=4)

BENCHMARKS = (
    Benchmark(
        "coteaching",
        "a step of co-teaching, two conv4 of half width with batch norm, 32x32x3, batches of 128",
        contenders(_CONV4),
        rounds=9,
        goals=_AT_MOST,
        before_memory=lambda: linear_fit(_CONV4),
    ),
    Benchmark(
        "coteaching_dense",
        "a step of co-teaching, two LeNet-300-100, 28x28, batches of 128",
        contenders(_LENET),
        rounds=15,
        goals=_AT_MOST,
        before_memory=lambda: linear_fit(_LENET),
    ),
    Benchmark(
        "coteaching_reduced",
        "co-teaching at a forget rate of 0.5, two conv4 of half width with batch norm, 32x32x3",
        reduced_contenders(_CONV4),
        rounds=9,
        goals={"CoTeaching": 0.8},
    ),
    Benchmark(
        "coteaching_torch",
        "a step of co-teaching, two conv4 of half width with batch norm, 32x32x3, and PyTorch",
        pytorch_contenders(_CONV4),
        rounds=9,
        goals={"PyTorch, the official way": 1 / 1.2},
    ),
)
