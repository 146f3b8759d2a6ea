"""Audits by networks: each predicts examples that it wasn't trained on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from tfticket import models
from tfticket.noise.audit.labeled import LabeledData
from tfticket.noise.incv.clean_split import CleanSplit
from tfticket.noise.incv.learners import NotLearnedError
from tfticket.noise.incv.rule import usual_batch_size, usual_epochs
from tfticket.noise.incv.selection import INCV, Cost, Tell
from tfticket.noise.losses import GeneralizedCrossentropy
from tfticket.wording import brief_repr

_SMALLEST_IMAGE = 4
_SMALLEST_FOR_VGG = 32
_STILL_GAINING = 0.04  # agreement on held-out labels in the second half of a training
_MOST_DOUBLED = 2
_STABLE = 0.02  # growth of a selection that isn't worth another round of networks
_ROBUSTNESS = 0.7  # the q of the paper of generalized cross-entropy


@dataclass(frozen=True)
class Network:
    """Settings of the networks of an audit; what is left out follows from the data.

    They minimize generalized cross-entropy (Zhang & Sabuncu 2018, arXiv:1805.07836), which
    memorizes wrong labels later than cross-entropy does: what was memorized looks like noise.

    Attributes:
        model: A name of the zoo. None takes `vgg` for images with colors of 32x32 pixels or more,
            `conv4` for other images, and `lenet_300_100` for anything else. Convolutional ones are
            batch-normalized.
        width: Factor of its units and channels, greater than 0. None is a quarter, where they are
            convolutional, and a half.
        epochs: Passes over the training data. None makes some hundred steps of them, more where
            there are many classes, and doubles them while held-out accuracy still gains.
        batch_size: Examples in a step; fewer where there are few.
        learning_rate: Of Adam, from which it falls to 0.
    """

    model: str | None = None
    width: float | None = None
    epochs: int | None = None
    batch_size: int = 128
    learning_rate: float = 2e-3

    def model_for(self, labeled: LabeledData) -> str:
        """The name of the network."""
        if self.model is not None:
            return self.model
        shape = labeled.data.input_shape
        if len(shape) != 3 or min(shape[:2]) < _SMALLEST_IMAGE:
            return "lenet_300_100"
        large = shape[2] > 1 and min(shape[:2]) >= _SMALLEST_FOR_VGG
        return "vgg" if large else "conv4"

    def width_for(self, labeled: LabeledData) -> float:
        """Factor of its units and channels."""
        if self.width is not None:
            return self.width
        return 0.5 if self.model_for(labeled) == "lenet_300_100" else 0.25

    def batch_size_for(self, labeled: LabeledData) -> int:
        """Examples in a step: an epoch has ten of them at least, where there are as many."""
        return usual_batch_size(len(labeled), self.batch_size)

    def epochs_for(self, labeled: LabeledData) -> int:
        """Passes over the training data."""
        if self.epochs is not None:
            return self.epochs
        size = self.batch_size_for(labeled)
        return usual_epochs(len(labeled), labeled.data.num_classes, batch_size=size)

    def build(self, labeled: LabeledData, seed: int) -> keras.Model:
        """Build a new, compiled network.

        Raises:
            ModelError: when there is no such network, or it doesn't fit the data.
        """
        name = self.model_for(labeled)
        model = models.build(
            name,
            labeled.data.input_shape,
            labeled.data.num_classes,
            width=self.width_for(labeled),
            norm=None if name == "lenet_300_100" else "batch",
            seed=seed,
        )
        model.compile(
            optimizer=keras.optimizers.Adam(self.learning_rate),
            loss=GeneralizedCrossentropy(_ROBUSTNESS, from_logits=True),
            jit_compile=False,  # compiling it takes longer than XLA saves in some hundred steps
        )
        return model


class LabelAudit:
    """An audit by networks: each predicts examples that it wasn't trained on.

        audit = LabelAudit(LabeledData.load("digits"))
        print(audit.cost)
        split = audit.run()
        print(split.estimate.rate)

    Args:
        labeled: The labels in question.
        network: Settings of the networks; None derives them from the data.
        folds: Number of parts, at least 2; each is predicted by a network trained on the others.
        iterations: Largest number of rounds; each trains on what was found clean before, see
            `INCV`. One is enough for an estimate.
        seed: Random seed.

    Raises:
        DataError: when a number is out of range.
    """

    __repr__ = brief_repr

    def __init__(
        self,
        labeled: LabeledData,
        network: Network | None = None,
        *,
        folds: int = 2,
        iterations: int = 1,
        seed: int = 0,
    ) -> None:
        self.labeled = labeled
        self.network = network or Network()
        self.folds = folds
        self.iterations = iterations
        self.seed = seed
        self._incv = self._selection(self.network.epochs_for(labeled))

    def _selection(self, epochs: int) -> INCV:
        return INCV(
            lambda seed: self.network.build(self.labeled, seed),
            epochs=epochs,
            folds=self.folds,
            iterations=self.iterations,
            batch_size=self.network.batch_size_for(self.labeled),
            stable=_STABLE,
            seed=self.seed,
        )

    @property
    def cost(self) -> Cost:
        """The largest possible cost, before anything is trained."""
        return self._incv.cost(len(self.labeled))

    @property
    def description(self) -> str:
        """The networks and their cost in a sentence or two."""
        network, labeled = self.network, self.labeled
        return (
            f"{network.model_for(labeled)}, width {network.width_for(labeled):g}, "
            f"{self._incv.epochs} epochs, batches of {network.batch_size_for(labeled)}. "
            f"At most {self.cost.fits} networks, {self.cost.steps:,} steps: "
            f"{self.cost.epochs:.1f} passes over {len(labeled):,} examples."
        )

    def run(
        self,
        *,
        folder: str | os.PathLike[str] | None = None,
        tell: Tell | None = None,
        say: Callable[[str], None] | None = None,
    ) -> CleanSplit:
        """Train, predict and select.

        Where the epochs follow from the data, the first network says whether they suffice: when it
        still gains in the second half of its training, or hasn't learned what nearest neighbors
        see, all are trained for twice as many, and again at most once.

        Args:
            folder: Folder for the predictions of finished networks, by which a stopped audit is
                resumed; None keeps nothing.
            tell: Called before each training with the number of the network, from 1, and the
                largest possible number of networks.
            say: Called with a sentence when networks are trained for longer.

        Raises:
            TFTicketError: when the labels can't be audited, networks haven't learned, or `folder`
                is about others.
        """
        inputs, doubled = self.labeled.inputs(), 0
        root = None if folder is None else Path(folder)
        while True:
            may_double = self.network.epochs is None and doubled < _MOST_DOUBLED
            try:
                return self._incv.select(
                    inputs,
                    self.labeled.given,
                    folder=root if root is None or not doubled else root / f"doubled_{doubled}",
                    tell=tell,
                    watch=_stop_if_gaining if may_double else None,
                    margins=True,
                )
            except _StillGainingError as gaining:
                reason = str(gaining)
            except NotLearnedError as error:
                if not may_double:
                    raise
                reason = str(error).partition(":")[0] + "."
            doubled += 1
            self._incv = self._selection(2 * self._incv.epochs)
            if say is not None:
                say(f"{reason} Trained for {self._incv.epochs} epochs instead.")


class _StillGainingError(Exception):
    """Networks get better until the end of their training."""


def _stop_if_gaining(half: float, end: float) -> None:
    if end - half > _STILL_GAINING:
        raise _StillGainingError(
            f"Held-out agreement still rises, from {100 * half:.0f} % to {100 * end:.0f} % in the "
            "second half of the training."
        )
