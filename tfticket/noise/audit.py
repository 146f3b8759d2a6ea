"""Audits of the labels of a data set, by models that weren't trained on what they predict."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from tfticket import data, models
from tfticket.data import DataSet
from tfticket.errors import DataError
from tfticket.noise import (
    INCV,
    CleanSplit,
    Corruption,
    GeneralizedCrossentropy,
    TransitionMatrix,
    corrupt,
    given_labels,
    instance_dependent,
    read_label_file,
)
from tfticket.noise.incv.learners import predict_rows
from tfticket.noise.incv.rule import CrossValidation, Fold
from tfticket.noise.incv.selection import Cost, Tell
from tfticket.seeds import generator
from tfticket.wording import brief_repr

PathLike = str | os.PathLike[str]

_FOLDS = 5  # for rows of numbers


@dataclass(frozen=True, eq=False)
class LabeledData:
    """A data set whose labels are in question.

    Attributes:
        data: The data set as `data.load_whole` gives it: an id is a place in its `train`.
        given: The labels in question, shape (n,), int64.
        corruption: Given and true labels, where the true ones are known; else None.
    """

    data: DataSet
    given: np.ndarray
    corruption: Corruption | None = None

    __repr__ = brief_repr

    def __len__(self) -> int:
        return len(self.given)

    @property
    def has_rows(self) -> bool:
        """True where the examples are rows of numbers: features, embeddings, a table."""
        x = self.data.train.x
        return x.ndim == 2 and x.dtype.kind == "f"

    @classmethod
    def load(
        cls,
        name: str,
        *,
        labels: PathLike | None = None,
        data_dir: PathLike | None = None,
        limit: int | None = None,
    ) -> LabeledData:
        """Load a data set by name.

        Args:
            name: What `data.load` takes: `digits`, `mnist`, `folder:PATH`, `npz:PATH`, ...
            labels: A file of labels, see `read_label_file`: the ones in question, so that the data
                set's own are the true ones. None asks about the data set's own.
            data_dir: Folder of the data sets.
            limit: Use only the first N examples.

        Raises:
            DataError: when data or labels can't be had, differ in number, or it is a regression.
        """
        whole = data.load_whole(name, data_dir=data_dir, limit=limit)
        if whole.regression:
            raise DataError(f"Labels must be classes to be audited. Received: {name}.")
        own = whole.train.y.astype(np.int64)
        if labels is None:
            return cls(whole, own)
        given = read_label_file(labels, num_classes=whole.num_classes)[:limit]
        if len(given) != len(own):
            raise DataError(
                f"`{labels}` must hold a label for each of the {len(own):,} training examples of "
                f"`{name}`, in their order. Received: {len(given):,}."
            )
        return cls(whole, given, given_labels(own, given, num_classes=whole.num_classes))

    def corrupted(
        self, transition: TransitionMatrix, *, seed: int, exact: bool = False
    ) -> LabeledData:
        """Corrupt the labels by a transition matrix; the present ones are taken for true.

        Args:
            transition: T, over the classes of the data.
            seed: Seed of the noise.
            exact: See `tfticket.noise.corrupt`.

        Raises:
            DataError: when T is about another number of classes.
        """
        if transition.num_classes != self.data.num_classes:
            raise DataError(
                f"The transition matrix must be about the {self.data.num_classes} classes of "
                f"`{self.data.name}`. Received: one about {transition.num_classes}."
            )
        return self._with(corrupt(self.given, transition, seed=seed, exact=exact))

    def corrupted_by_looks(
        self, rate: float, *, seed: int, draw: Callable[..., Corruption] = instance_dependent
    ) -> LabeledData:
        """Corrupt the labels by noise that depends on the example.

        Args:
            rate: Mean flip rate, in [0, 1].
            seed: Seed of the noise.
            draw: `instance_dependent` or `human_like`.
        """
        classes = self.data.num_classes
        return self._with(
            draw(self.data.train.x, self.given, num_classes=classes, rate=rate, seed=seed)
        )

    def _with(self, made: Corruption) -> LabeledData:
        return LabeledData(self.data, made.given, made)

    def inputs(self) -> np.ndarray:
        """Inputs of a network, shape (n, *input_shape)."""
        return self.data.inputs(self.data.train)


_SMALLEST_IMAGE = 4
_SMALLEST_FOR_VGG = 32
_STEPS = 600  # what a small network needs to learn a class and not yet to memorize a label
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 60
_ROBUSTNESS = 0.7  # the q of the paper of generalized cross-entropy
_BATCHES_AN_EPOCH = 10


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
        epochs: Passes over the training data. None makes some hundred steps of them.
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
        return max(1, min(self.batch_size, len(labeled) // _BATCHES_AN_EPOCH))

    def epochs_for(self, labeled: LabeledData) -> int:
        """Passes over the training data."""
        if self.epochs is not None:
            return self.epochs
        steps = max(1, len(labeled) // self.batch_size_for(labeled))
        return min(max(-(-_STEPS // steps), _FEWEST_EPOCHS), _MOST_EPOCHS)

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
            jit_compile=models.jit_choice(model, "auto"),
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
        self._incv = INCV(
            lambda fold_seed: self.network.build(labeled, fold_seed),
            epochs=self.network.epochs_for(labeled),
            folds=folds,
            iterations=iterations,
            batch_size=self.network.batch_size_for(labeled),
            seed=seed,
        )

    @property
    def cost(self) -> Cost:
        """The largest possible cost, before anything is trained."""
        return self._incv.cost(len(self.labeled))

    def run(
        self, *, folder: str | os.PathLike[str] | None = None, tell: Tell | None = None
    ) -> CleanSplit:
        """Train, predict and select.

        Args:
            folder: Folder for the predictions of finished networks, by which a stopped audit is
                resumed; None keeps nothing.
            tell: Called before each training with the number of the network, from 1, and the
                largest possible number of networks.

        Raises:
            TFTicketError: when the labels can't be audited, or `folder` is about others.
        """
        return self._incv.select(
            self.labeled.inputs(), self.labeled.given, folder=folder, tell=tell
        )


class RowAudit:
    """An audit of rows of numbers, by learners that take seconds instead of networks.

        audit = RowAudit(LabeledData.load("npz:features.npz"))
        split = audit.run()
        print(audit.learner, split.estimate.rate)

    Rows are scaled by column. Logistic regression, nearest neighbors and the mean of both predict
    every row in the first iteration; the one by which the given labels are most likely goes on.
    Else it is what `LabelAudit` does with networks.

    Args:
        labeled: The labels in question, of examples that are rows of numbers.
        folds: Number of parts, at least 2; each is predicted by learners trained on the others.
            None is 5, and fewer below 10 examples.
        iterations: Largest number of rounds, at least 1; each trains on what was found clean
            before.
        seed: Random seed.

    Attributes:
        learner: Name of the chosen learner; empty before `run`.

    Raises:
        DataError: when a number is out of range, or examples aren't rows of numbers.
    """

    __repr__ = brief_repr

    def __init__(
        self, labeled: LabeledData, *, folds: int | None = None, iterations: int = 1, seed: int = 0
    ) -> None:
        if folds is None:
            folds = min(_FOLDS, max(2, len(labeled) // 2))
        if folds < 2 or iterations < 1:
            raise DataError(
                "`folds` must be at least 2 and `iterations` at least 1. Received: "
                f"folds={folds}, iterations={iterations}."
            )
        if not labeled.has_rows:
            raise DataError(
                "Examples must be rows of floats to be audited as features. Received: "
                f"{labeled.data.name} of shape {labeled.data.input_shape}, "
                f"{labeled.data.train.x.dtype}. Use `LabelAudit`."
            )
        self.labeled = labeled
        self.folds = folds
        self.iterations = iterations
        self.seed = seed
        self.learner = ""

    def run(self) -> CleanSplit:
        """Train, predict and select.

        Raises:
            DataError: when there are too few examples, or only one label occurs.
            RunError: when no label was predicted.
        """
        x, labels = self.labeled.data.train.x.astype(np.float64), self.labeled.given
        classes = self.labeled.data.num_classes
        validation = CrossValidation(labels, classes, folds=self.folds, seed=self.seed)

        def predict(fold: Fold) -> dict[str, np.ndarray]:
            return predict_rows(
                x,
                labels,
                num_classes=classes,
                train=fold.train,
                held_out=fold.held_out,
                rng=generator(self.seed, "rows", fold.iteration, fold.number),
            )

        split = validation.run(predict, self.iterations)
        self.learner = validation.learner
        return split
