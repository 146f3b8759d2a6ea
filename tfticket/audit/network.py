"""The networks that labels are looked at with."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from tfticket import models
from tfticket.audit.subject import Subject
from tfticket.noisy import GeneralizedCrossentropy

_SMALLEST_IMAGE = 4
_SMALLEST_FOR_VGG = 32
_STEPS = 600  # what a small network needs to learn a class and not yet to memorize a label
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 60
_ROBUSTNESS = 0.7  # the q of the paper of generalized cross-entropy
_BATCHES_AN_EPOCH = 10


@dataclass(frozen=True)
class Network:
    """How networks are made and trained; what is left out follows from the data.

    They minimize generalized cross-entropy (Zhang & Sabuncu 2018, arXiv:1805.07836), which
    memorizes wrong labels later than cross-entropy does: what was memorized looks like noise.

    Attributes:
        model: A name of the zoo. None takes `vgg` for images with colors of 32x32 pixels or more,
            `conv4` for other images, and `lenet_300_100` for anything else. Convolutional ones are
            batch-normalized.
        width: Factor of its units and channels, greater than 0. None is a quarter, where they are
            convolutional, and a half.
        epochs: Passes over the training data. None makes some hundred steps of them.
        batch_size: Examples in a step; fewer where there are few.
        learning_rate: Of Adam, from which it falls to 0.
    """

    model: str | None = None
    width: float | None = None
    epochs: int | None = None
    batch_size: int = 128
    learning_rate: float = 2e-3

    def model_for(self, subject: Subject) -> str:
        """The name of the network."""
        if self.model is not None:
            return self.model
        shape = subject.data.input_shape
        if len(shape) != 3 or min(shape[:2]) < _SMALLEST_IMAGE:
            return "lenet_300_100"
        large = shape[2] > 1 and min(shape[:2]) >= _SMALLEST_FOR_VGG
        return "vgg" if large else "conv4"

    def width_for(self, subject: Subject) -> float:
        """Factor of its units and channels."""
        if self.width is not None:
            return self.width
        return 0.5 if self.model_for(subject) == "lenet_300_100" else 0.25

    def batch_size_for(self, subject: Subject) -> int:
        """Examples in a step: an epoch has ten of them at least, where there are as many."""
        return max(1, min(self.batch_size, len(subject) // _BATCHES_AN_EPOCH))

    def epochs_for(self, subject: Subject) -> int:
        """Passes over the training data."""
        if self.epochs is not None:
            return self.epochs
        steps = max(1, len(subject) // self.batch_size_for(subject))
        return min(max(-(-_STEPS // steps), _FEWEST_EPOCHS), _MOST_EPOCHS)

    def build(self, subject: Subject, seed: int) -> keras.Model:
        """A new, compiled network.

        Raises:
            ModelError: when there is no such network, or it doesn't fit the data.
        """
        name = self.model_for(subject)
        model = models.build(
            name,
            subject.data.input_shape,
            subject.data.num_classes,
            width=self.width_for(subject),
            norm=None if name == "lenet_300_100" else "batch",
            seed=seed,
        )
        model.compile(
            optimizer=keras.optimizers.Adam(self.learning_rate),
            loss=GeneralizedCrossentropy(_ROBUSTNESS, from_logits=True),
            jit_compile=models.jit_choice(model, "auto"),
        )
        return model
