"""Iterative noisy cross-validation with networks: the examples whose label is probably right."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfticket.errors import DataError, RunError
from tfticket.files import read_arrays, remove_leftovers, write_arrays
from tfticket.noise.incv.clean_split import CleanSplit
from tfticket.noise.incv.learners import check_learned
from tfticket.noise.incv.networks import (
    Build,
    Watch,
    check_inputs,
    check_loss,
    class_count,
    fresh_model,
    predict_held_out,
)
from tfticket.noise.incv.rule import STABLE, CrossValidation, Fold, Predict
from tfticket.noise.labels.given import NO_CLASS, checked_labels
from tfticket.seeds import sub_seed
from tfticket.wording import brief_repr

Tell = Callable[[int, int], None]
"""Is called with the number of the network that is trained next, from 1, and the largest number."""

_HASHED_AT_ONCE = 4096


@dataclass(frozen=True)
class Cost:
    """The largest possible cost of a selection; one that becomes stable takes less.

    Attributes:
        fits: Networks to train.
        epochs: Passes over all examples that these make together.
        steps: Optimizer steps.
    """

    fits: int
    epochs: float
    steps: int


class INCV:
    """Iterative noisy cross-validation, which selects clean examples where labels are partly wrong.

    In each iteration the candidates are dealt to folds. A new network, trained on the selected
    examples and on the candidates of the other folds, predicts each fold. Candidates whose label is
    predicted are selected; those that fit their label least are removed, as many as the estimated
    rate says. The networks of the next iteration are trained on cleaner labels.

    Source: Chen, Liao, Chen & Zhang, "Understanding and Utilizing Deep Neural Networks Trained with
    Noisy Labels" (ICML 2019, arXiv:1905.05040), algorithm 2. Differences: the rate and the type of
    the noise are estimated, on all folds (`estimate_noise`), and none of them is given; each fold
    has its own model, optimizer and seed; the weights of the last epoch are used, not those of the
    epoch with the best accuracy on the very fold that is then selected from; a selection that no
    longer grows ends.

    Args:
        build: Seed to a new, compiled Keras model with one output of class scores, probabilities or
            logits, and a loss that takes integer labels.
        epochs: Epochs of each network. Few epochs serve better than many: what is memorized is
            predicted, right or wrong. The paper trains 50 on CIFAR-10.
        folds: At least 2, the paper's number. More folds train more on more.
        iterations: At most so many, at least 1; the paper's number is 4.
        batch_size: Examples in a step.
        decay: Whether a constant learning rate falls to 0 along half a cosine in each training,
            however long that is, so that the last weights are good ones; a schedule stays as it is.
        stable: The selection is stable when an iteration adds less than this share to it, in
            [0, 1).
        seed: Seed of the run.

    Raises:
        DataError: when a number is out of range.
    """

    __repr__ = brief_repr

    def __init__(
        self,
        build: Build,
        *,
        epochs: int,
        folds: int = 2,
        iterations: int = 4,
        batch_size: int = 128,
        decay: bool = True,
        stable: float = STABLE,
        seed: int = 0,
    ) -> None:
        counts = {"epochs": epochs, "iterations": iterations, "batch_size": batch_size}
        if min(counts.values()) < 1 or folds < 2 or not 0 <= stable < 1:
            raise DataError(
                "`folds` must be at least 2, `epochs`, `iterations` and `batch_size` at least 1, "
                f"and `stable` in [0, 1). Received: {counts}, folds={folds}, stable={stable}."
            )
        self.build = build
        self.epochs = epochs
        self.folds = folds
        self.iterations = iterations
        self.batch_size = batch_size
        self.decay = decay
        self.stable = stable
        self.seed = seed

    def cost(self, count: int) -> Cost:
        """Compute the largest possible cost for `count` examples, before anything is trained."""
        sizes = [count - count // self.folds] * self.folds
        sizes += [count] * self.folds * (self.iterations - 1)
        batches = sum(-(-size // min(self.batch_size, max(size, 1))) for size in sizes)
        return Cost(
            fits=len(sizes),
            epochs=self.epochs * sum(sizes) / max(count, 1),
            steps=self.epochs * batches,
        )

    def select(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        folder: str | os.PathLike[str] | None = None,
        tell: Tell | None = None,
        watch: Watch | None = None,
        margins: bool = False,
    ) -> CleanSplit:
        """Select clean examples.

        Args:
            x: Inputs, shape (n, ...), as the model takes them.
            y: Given labels, integers of shape (n,); -1 for examples without a label, which are
                predicted only.
            folder: Folder of finished folds. When it holds some of the same selection, they aren't
                trained again, and the result is bit-identical.
            tell: Called before each training with the number of the network, from 1, and the
                largest possible number of networks.
            watch: Called after the first network was trained, see `Watch`.
            margins: Whether the networks of the first iteration record the logit margins of the
                examples that they are trained on, at nearly no cost; see `MarginAudit`.

        Returns:
            Clean, candidate and removed ids, with votes, out-of-sample probabilities and the
            estimated noise. The clean ids are never empty.

        Raises:
            DataError: when x and y don't fit the model or each other, there are fewer examples than
                folds, or fewer than two labels occur.
            ModelError: when `build` doesn't give models as it must, or these haven't learned what
                nearest neighbors of the inputs see.
            RunError: when `folder` belongs to another selection, or no label was predicted.
        """
        seen: list[np.ndarray] | None = [] if margins else None
        validation, predict, check = self._prepare(x, y, tell, folder, watch, seen, clear=True)
        split = validation.run(predict, self.iterations, check)
        if not seen or len(seen) < self.folds:
            return split
        known = np.isfinite(seen).any(axis=0)
        means = np.full(len(split), np.nan, np.float32)
        means[known] = np.nanmean(np.array(seen)[:, known], axis=0)
        return replace(split, margins=means)

    def train_fold(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        folder: str | os.PathLike[str],
        iteration: int,
        fold: int,
        tell: Tell | None = None,
    ) -> None:
        """Train one network of a selection, for `select` to find in the folder.

        The folds of an iteration don't depend on one another, so they can be trained in as many
        processes. Nothing is trained when the selection was stable before this iteration.

        Args:
            x: As for `select`.
            y: As for `select`.
            folder: Folder of finished folds; those of earlier iterations are there.
            iteration: From 0.
            fold: From 0.
            tell: As for `select`.

        Raises:
            DataError: as `select`.
            ModelError: as `select`.
            RunError: as `select`.
        """
        # Not cleared: another process may be about to write there.
        validation, predict, check = self._prepare(x, y, tell, folder, None, None, clear=False)
        if all(validation.iterate(predict, check) for _ in range(iteration)):
            predict(validation.fold(fold))

    def _prepare(
        self,
        x: ArrayLike,
        y: ArrayLike,
        tell: Tell | None,
        folder: str | os.PathLike[str] | None,
        watch: Watch | None,
        seen: list[np.ndarray] | None,
        *,
        clear: bool,
    ) -> tuple[CrossValidation, Predict, Callable[[np.ndarray, np.ndarray], None]]:
        """The iterations to do, what predicts a fold, and what checks the first predictions."""
        probe = fresh_model(self.build, sub_seed(self.seed, "incv", "probe"))
        num_classes = class_count(probe)
        check_loss(probe, num_classes)
        labels = checked_labels(y, num_classes, name="y", least=NO_CLASS)
        inputs = np.asarray(x)
        check_inputs(inputs, labels, model=probe)
        validation = CrossValidation(
            labels, num_classes, folds=self.folds, stable=self.stable, seed=self.seed
        )
        store = FoldStore.open(folder, self._fingerprint(probe, inputs, labels), clear=clear)
        tensor = tf.convert_to_tensor(inputs)

        def predict(fold: Fold) -> dict[str, np.ndarray]:
            probabilities = store.load(fold.iteration, fold.number)
            own: np.ndarray | None = None
            if seen is not None and fold.iteration == 0:
                own = store.margins(fold.number)
            if probabilities is None:
                if tell is not None:
                    number = fold.iteration * self.folds + fold.number + 1
                    tell(number, self.iterations * self.folds)
                first = fold.iteration == fold.number == 0
                if seen is not None and fold.iteration == 0:
                    own = np.full(len(labels), np.nan, np.float32)
                probabilities = predict_held_out(
                    self.build,
                    tensor,
                    labels,
                    train=fold.train,
                    held_out=fold.held_out,
                    epochs=self.epochs,
                    batch_size=self.batch_size,
                    decay=self.decay,
                    seed=sub_seed(self.seed, "incv", fold.iteration, fold.number),
                    watch=watch if first else None,
                    margins=own,
                )
                store.save(fold.iteration, fold.number, probabilities, margins=own)
            if seen is not None and own is not None:
                seen.append(own)
            return {"network": probabilities}

        def check(probabilities: np.ndarray, folds: np.ndarray) -> None:
            predicted = probabilities.argmax(axis=1)
            known = labels != NO_CLASS
            seen = inputs if known.all() else inputs[known]
            check_learned(seen, labels[known], predicted=predicted, folds=folds, seed=self.seed)

        return validation, predict, check

    def _fingerprint(self, probe: keras.Model, x: np.ndarray, labels: np.ndarray) -> str:
        """Hash of all that decides what a fold gives; the number of iterations doesn't."""
        sha = hashlib.sha256()
        settings: dict[str, Any] = {
            "epochs": self.epochs,
            "folds": self.folds,
            "batch_size": self.batch_size,
            "decay": self.decay,
            "seed": self.seed,
            # Names of layers and optimizers count on from model to model, so they don't enter.
            "weights": [[list(v.shape), str(v.dtype)] for v in probe.variables],
            "optimizer": {k: v for k, v in probe.optimizer.get_config().items() if k != "name"},
            "loss": _described(probe.loss),
            "x": [list(x.shape), x.dtype.str],
        }
        sha.update(json.dumps(settings, sort_keys=True, default=str).encode())
        sha.update(labels.tobytes())
        for start in range(0, len(x), _HASHED_AT_ONCE):
            sha.update(np.ascontiguousarray(x[start : start + _HASHED_AT_ONCE]).tobytes())
        return sha.hexdigest()


def _described(loss: Any) -> Any:
    try:
        return keras.saving.serialize_keras_object(loss)
    except (OSError, TypeError, ValueError):  # a function whose source isn't at hand
        return getattr(loss, "__qualname__", type(loss).__qualname__)


_KIND = "incv_fold"


@dataclass(frozen=True)
class FoldStore:
    """Held-out probabilities of finished folds, as files in a folder, or nowhere.

    A fold is finished when its file is there: it is written to another name, synced and renamed.
    What follows from the folds (selection, estimate) is computed anew from them, so that going on
    gives the same bits as never having stopped.

    Attributes:
        folder: Where the files are; None keeps nothing.
        fingerprint: Hash of data and settings; a file of another one is refused.
    """

    folder: Path | None
    fingerprint: str

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str] | None, fingerprint: str, *, clear: bool = True
    ) -> FoldStore:
        """Open a folder, which needn't exist.

        Args:
            folder: Where the files are; None keeps nothing.
            fingerprint: Hash of data and settings.
            clear: Remove what killed writers left, which only one process may do.
        """
        path = None if folder is None else Path(folder)
        if clear and path is not None and path.is_dir():
            remove_leftovers(path)
        return cls(path, fingerprint)

    def load(self, iteration: int, fold: int) -> np.ndarray | None:
        """Read the probabilities of a finished fold, shape (m, k); None when it isn't finished.

        Raises:
            RunError: when the folder belongs to other data or settings.
            TicketError: when the file is damaged.
        """
        path = self._path(iteration, fold)
        if path is None or not path.is_file():
            return None
        header, arrays = read_arrays(path, kind=_KIND)
        if header.get("fingerprint") != self.fingerprint:
            raise RunError(
                f"`{path}` must be from the same data, labels, model and settings to go on from. "
                "It isn't: choose another folder, or remove this one to begin anew."
            )
        return arrays["probabilities"]

    def margins(self, fold: int) -> np.ndarray | None:
        """Read the margins of a fold of the first iteration, shape (n,); None without any."""
        path = self._path(0, fold)
        if path is None or not path.is_file():
            return None
        return read_arrays(path, kind=_KIND)[1].get("margins")

    def save(
        self,
        iteration: int,
        fold: int,
        probabilities: np.ndarray,
        *,
        margins: np.ndarray | None = None,
    ) -> None:
        """Keep the probabilities of a finished fold, and the margins of what it was trained on.

        Raises:
            RunError: when they can't be written.
        """
        path = self._path(iteration, fold)
        if path is not None:
            header = {"fingerprint": self.fingerprint, "iteration": iteration, "fold": fold}
            arrays = {"probabilities": probabilities}
            if margins is not None:
                arrays["margins"] = margins
            write_arrays(path, kind=_KIND, header=header, arrays=arrays)

    def _path(self, iteration: int, fold: int) -> Path | None:
        if self.folder is None:
            return None
        return fold_file(self.folder, iteration, fold)


def fold_file(folder: Path, iteration: int, fold: int) -> Path:
    """The file of a fold in the folder of its selection; a fold is finished when it is there."""
    return folder / f"iteration_{iteration:02d}_fold_{fold:02d}.npz"
