"""Trainings by `fit` in this process: ours, with and without masks, and that of Keras alone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfticket import data, models
from tfticket.bench.paired import Task
from tfticket.bench.workloads import CLASSES, Workload, random_masks
from tfticket.data.dataset import Split
from tfticket.sparsity.binding import MaskBinding
from tfticket.sparsity.mask import Mask


class ChunkedTraining:
    """Ours: plain `fit` with a `Feed` and `ChunkedFit`. Each run goes on where the last one ended.

    The masks stay on the model from the first run to the last, as they do in a search.

    Args:
        workload: What is trained, and how long.
        masked: Whether 80 % of the weights are pruned.
    """

    def __init__(self, workload: Workload, *, masked: bool) -> None:
        self.model = compiled(workload, steps_per_execution=workload.chunk_steps)
        self.binding: MaskBinding | None = None
        if masked:
            self.binding = MaskBinding(self.model)
            self.binding.set(Mask(random_masks(self.binding.shapes)))
        self.feed = data.Feed(
            Split(*workload.arrays()),
            batch_size=workload.batch_size,
            seed=0,
            chunk_steps=workload.chunk_steps,
            scale=1 / 255,
        )
        self._callback = data.ChunkedFit(self.feed)
        self._epochs = workload.steps // workload.chunk_steps

    def __call__(self) -> None:
        """Trains the steps of a run."""
        self.model.fit(
            **self.feed.fit_arguments(),
            epochs=self._epochs,
            callbacks=[self._callback],
            verbose=0,
        )


def keras_defaults(workload: Workload) -> Task:
    """`fit` of NumPy arrays as Keras has it by default: one step a call, no XLA, no masks."""
    model = compiled(workload, jit_compile="auto")
    x, y = workload.arrays()
    x = x.astype(np.float32) / 255
    assert workload.steps * workload.batch_size == workload.examples

    def fit() -> None:
        model.fit(x, y, batch_size=workload.batch_size, epochs=1, verbose=0)

    return fit


def compiled(workload: Workload, **options: Any) -> keras.Model:
    """The network, compiled with Adam and accuracy; with XLA where recipes do it by default."""
    model = models.build(workload.network, workload.input_shape, CLASSES, seed=0)
    options.setdefault("jit_compile", models.jit_choice(model))
    model.compile(
        keras.optimizers.Adam(workload.learning_rate),
        models.loss_for(model),
        metrics=["accuracy"],
        **options,
    )
    return model
