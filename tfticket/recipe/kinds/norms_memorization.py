"""What a network of the kind `norms` memorizes of wrong labels, measured while it is trained."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tfticket.data import Feed
from tfticket.noise import Corruption
from tfticket.noise.theory import Memorization, memorization
from tfticket.recipe.norms_experiment import NormsExperiment

MEMORIZATION = "memorization"
"""The split of what is measured of the training labels."""
CLEAN = "clean"
"""The split of what is measured on test data with its true labels."""

Measured = Mapping[str, Mapping[str, float]]
"""Split to measurements by name."""


class MemorizationProbe(keras.callbacks.Callback):
    """Predicts the training and the test data at each evaluation; leaves no trace in training.

    Nothing that is trained or chosen depends on what it finds.

    Args:
        experiment: A recipe with its data.
        corruption: The training labels of the seed.
        first_step: The step that training begins at.
        chunk_steps: Steps between two evaluations.

    Attributes:
        corruption: The training labels of the seed.
        measured: Step to split to measurements by name, of evaluations at which the loss was
            finite.
        seconds: What measuring took, in all.
    """

    def __init__(
        self,
        experiment: NormsExperiment,
        corruption: Corruption,
        *,
        first_step: int,
        chunk_steps: int,
    ) -> None:
        super().__init__()
        self.corruption = corruption
        self._train = experiment.batches(experiment.data.train)
        self._test = experiment.batches(experiment.data.test)
        self._test_labels = experiment.data.test.y
        self._first_step = first_step
        self._chunk_steps = chunk_steps
        self.measured: dict[int, Measured] = {}
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """An epoch of Keras is a chunk of steps."""
        if not math.isfinite((logs or {}).get("loss", math.nan)):
            return
        began = time.perf_counter()
        found = memorization(self._classes(self._train), self.corruption)
        accuracy = np.mean(self._classes(self._test) == self._test_labels)
        step = self._first_step + (epoch + 1) * self._chunk_steps
        self.measured[step] = {
            MEMORIZATION: dataclasses.asdict(found),
            CLEAN: {"accuracy": float(accuracy)},
        }
        self.seconds += time.perf_counter() - began

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Along training, each of shape (evaluations,): `step`, and the measurements by name."""
        names = [f.name for f in dataclasses.fields(Memorization)]
        found = list(self.measured.values())
        return {
            "step": np.array(list(self.measured), dtype=np.int64),
            **{name: np.array([each[MEMORIZATION][name] for each in found]) for name in names},
            "clean_accuracy": np.array([each[CLEAN]["accuracy"] for each in found]),
        }

    def _classes(self, examples: tf.data.Dataset) -> np.ndarray:
        return self.model.predict(examples, verbose=0).argmax(axis=-1)


def memorization_probe(
    experiment: NormsExperiment, seed: int, *, first_step: int, feed: Feed
) -> MemorizationProbe | None:
    """The probe of one training; None where the recipe has no noise.

    Args:
        experiment: A recipe with its data.
        seed: Of the run.
        first_step: The step that training begins at.
        feed: What it is trained on.
    """
    corruption = experiment.corruption(seed)
    if corruption is None:
        return None
    return MemorizationProbe(
        experiment, corruption, first_step=first_step, chunk_steps=feed.chunk_steps
    )


def outcome(
    measured: Mapping[int, Measured], validation: Mapping[int, float], last: int
) -> Measured:
    """What the measurements of one training come to, by the split that it stands in.

    Each is given at the end, as the mean of the last evaluations, as the mean of all of them, which
    tells who memorizes sooner where all memorize in the end, and where the accuracy on validation
    data, whose labels are as wrong, would have stopped: names end in `_at_end`, `_last`, `_mean`
    and `_by_validation`. The best clean accuracy isn't among them: that would be chosen by the test
    data.

    Args:
        measured: Step to split to measurements by name.
        validation: Step to accuracy on the given labels of the validation data.
        last: How many of the last evaluations to take the mean of.
    """
    steps = sorted(measured)
    if not steps:
        return {"test": {}, "summary": {}}
    stop = max(steps, key=lambda step: (validation[step], -step))
    found: dict[str, dict[str, float]] = {}
    for split, into in ((CLEAN, "test"), (MEMORIZATION, "summary")):
        for name in measured[steps[-1]][split]:
            along = {step: measured[step][split][name] for step in steps}
            found.setdefault(into, {}).update(
                {
                    f"{name}_last": float(np.mean([along[step] for step in steps[-last:]])),
                    f"{name}_mean": float(np.mean([along[step] for step in steps])),
                    f"{name}_by_validation": along[stop],
                    f"{name}_at_end": along[steps[-1]],
                }
            )
    return found
