"""Benchmarks of `MarginAudit`: what it costs to record margins while a network is trained.

Both contenders are the same plain `fit` of NumPy arrays, with the same initial weights, in the same
order, and trace the training step once a run; only ours is audited. In a long training tracing
counts for less.
"""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.paired import Benchmark, Task
from tfticket import models
from tfticket.noise import MarginAudit

_EXAMPLES = 12_800
_BATCH = 128


def fit(
    network: str, shape: tuple[int, ...], classes: int, *, epochs: int, examples: int, audited: bool
) -> Task:
    """Return a plain `fit` of a network of the zoo on random images, audited or not."""
    rng = np.random.default_rng(0)
    x = rng.random((examples, *shape), "float32")
    y = rng.integers(0, classes, examples)
    model = models.build(network, shape, classes, seed=0)
    model.compile(
        keras.optimizers.Adam(), models.loss_for(model), metrics=["accuracy"], jit_compile=False
    )
    labels = {"given": y, "id": np.arange(examples)} if audited else y

    def run() -> None:
        callbacks = [MarginAudit(examples)] if audited else []
        model.make_train_function(force=True)
        model.fit(x, labels, batch_size=_BATCH, epochs=epochs, callbacks=callbacks, verbose=0)

    return run


def _benchmark(
    name: str,
    title: str,
    network: str,
    shape: tuple[int, ...],
    *,
    classes: int = 10,
    epochs: int,
    examples: int = _EXAMPLES,
) -> Benchmark:
    def maker(audited: bool) -> Task:
        return fit(network, shape, classes, epochs=epochs, examples=examples, audited=audited)

    return Benchmark(
        name,
        f"fit with a MarginAudit, {title}, batches of {_BATCH}",
        {"with MarginAudit": lambda: maker(True), "without": lambda: maker(False)},
        rounds=5,
        goals={"without": 1.1},
    )


BENCHMARKS = (
    _benchmark("margins", "LeNet-300-100, 28x28", "lenet_300_100", (28, 28, 1), epochs=20),
    _benchmark("margins_conv", "Conv-2, 28x28", "conv2", (28, 28, 1), epochs=1, examples=2560),
    _benchmark(
        "margins_classes",
        "LeNet-300-100, 28x28, 1,000 classes",
        "lenet_300_100",
        (28, 28, 1),
        classes=1000,
        epochs=10,
    ),
)
