"""Folds that were finished, kept so that a selection that was stopped goes on where it was."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfticket.errors import RunError
from tfticket.files import read_arrays, remove_leftovers, write_arrays

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
    def open(cls, folder: str | os.PathLike[str] | None, fingerprint: str) -> FoldStore:
        """Opens a folder, which needn't exist, and clears what killed writers left in it."""
        path = None if folder is None else Path(folder)
        if path is not None and path.is_dir():
            remove_leftovers(path)
        return cls(path, fingerprint)

    def load(self, iteration: int, fold: int) -> np.ndarray | None:
        """Probabilities of a finished fold, shape (m, k), float32; None when it isn't finished.

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

    def save(self, iteration: int, fold: int, probabilities: np.ndarray) -> None:
        """Keeps the probabilities of a finished fold.

        Raises:
            RunError: when they can't be written.
        """
        path = self._path(iteration, fold)
        if path is not None:
            header = {"fingerprint": self.fingerprint, "iteration": iteration, "fold": fold}
            arrays = {"probabilities": probabilities}
            write_arrays(path, kind=_KIND, header=header, arrays=arrays)

    def _path(self, iteration: int, fold: int) -> Path | None:
        if self.folder is None:
            return None
        return fold_file(self.folder, iteration, fold)


def fold_file(folder: Path, iteration: int, fold: int) -> Path:
    """The file of a fold in the folder of its selection; a fold is finished when it is there."""
    return folder / f"iteration_{iteration:02d}_fold_{fold:02d}.npz"
