"""`CleanSplit`: examples divided into clean, candidate and removed ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import bars
from tfticket.display.words import listed, number
from tfticket.errors import DataError
from tfticket.files import digest, load_arrays, write_arrays
from tfticket.noise.estimate.noise_estimate import NoiseEstimate
from tfticket.noise.labels.issues import LabelIssues, issues_of

_OPTIONAL = ("folds", "margins")  # older files have none


@dataclass(frozen=True)
class Round:
    """The counts of one iteration of a selection.

    Attributes:
        held_out: How many examples were predicted by a network that wasn't trained on them.
        agreement: Share of them whose prediction is the given label, in [0, 1].
        selected: How many were found clean.
        removed: How many were removed.
    """

    held_out: int
    agreement: float
    selected: int
    removed: int


@dataclass(frozen=True, eq=False, repr=False)
class CleanSplit(Displayable):
    """A division of examples, by id: their place in the data that the selection was made from.

    Attributes:
        clean: Ids whose held-out prediction is the given label, rising, int64; never empty.
        candidate: Ids that were neither selected nor removed, rising, int64.
        removed: Ids whose given label is least likely, rising, int64.
        labels: Given labels, shape (n,), int64; -1 where there is none: such examples are
            candidates.
        probabilities: Out-of-sample probabilities, averaged over the iterations in which the
            example was held out, shape (n, k), float32, rows summing to 1.
        votes: Number of networks that predicted each example, and of these those that predicted
            the given label, shape (n, 2), int64.
        estimate: Rate and type of the noise, from the first iteration, where everything was held
            out.
        rounds: What each iteration did.
        folds: The fold of each example in the first iteration, shape (n,), int64; None where it
            isn't known.
        learner: What predicted: `network`, or the name of a simple learner.
        margins: Mean logit margin of each example in the trainings that it took part in, shape
            (n,), see `MarginAudit`; NaN where unknown. None where it wasn't recorded.

    Raises:
        DataError: when the ids aren't each of 0 to n - 1 once, or nothing is clean.
    """

    clean: np.ndarray
    candidate: np.ndarray
    removed: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    votes: np.ndarray
    estimate: NoiseEstimate
    rounds: tuple[Round, ...] = ()
    folds: np.ndarray | None = None
    learner: str = ""
    margins: np.ndarray | None = None

    _KIND: ClassVar[str] = "clean_split"
    _ARRAYS: ClassVar[tuple[str, ...]] = (
        "clean",
        "candidate",
        "removed",
        "labels",
        "probabilities",
        "votes",
    )

    def __post_init__(self) -> None:
        ids = np.concatenate([self.clean, self.candidate, self.removed])
        count = len(self.labels)
        if not np.array_equal(np.sort(ids), np.arange(count)) or not len(self.clean):
            raise DataError(
                f"Each of the {count} examples must be clean, candidate or removed, and one at "
                f"least clean. Received: {len(self.clean)} clean, {len(self.candidate)} candidate, "
                f"{len(self.removed)} removed ids."
            )
        if len(self.probabilities) != count or self.votes.shape != (count, 2):
            raise DataError(
                f"Probabilities and votes must be about {count} examples. Received: "
                f"{self.probabilities.shape} and {self.votes.shape}."
            )
        for name in (*self._ARRAYS, *_OPTIONAL):
            if getattr(self, name) is not None:
                array = np.array(getattr(self, name))
                array.setflags(write=False)
                object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self._counts().items())
        return f"CleanSplit({counts}, {self.estimate!r})"

    def _counts(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in self._ARRAYS[:3]}

    def summary(self) -> str:
        """Return the sizes of the three sets and the estimate of the noise in two sentences."""
        counts = listed([f"{number(count)} {name}" for name, count in self._counts().items()])
        return f"{counts} of {number(len(self))} examples. {self.estimate.summary()}"

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each example: id, set, given label, its probability, votes."""
        sets = {int(each): name for name in self._ARRAYS[:3] for each in getattr(self, name)}
        return [
            {
                "id": each,
                "set": sets[each],
                "given": int(label),
                "probability_of_given": self._probability_of_given(each),
                "votes": int(self.votes[each, 0]),
                "votes_for_given": int(self.votes[each, 1]),
            }
            for each, label in enumerate(self.labels)
        ]

    def _probability_of_given(self, example: int) -> float:
        label = self.labels[example]
        return float(self.probabilities[example, label]) if label >= 0 else float("nan")

    def _figure(self) -> Figure | None:
        return bars(self._counts(), "examples")

    @property
    def sha256(self) -> str:
        """Hash of the three sets."""
        return digest({name: getattr(self, name) for name in self._ARRAYS[:3]})

    def label_issues(self, class_names: Sequence[str] | None = None) -> LabelIssues:
        """Rank all labels by how suspicious they are, and name those that are probably wrong.

        Args:
            class_names: A name for each class; None names them by number.
        """
        return issues_of(
            self.labels,
            self.probabilities,
            estimate=self.estimate,
            folds=self.folds,
            in_sample=self.margins,
            learner=self.learner,
            class_names=class_names,
        )

    def to_dict(self) -> dict[str, Any]:
        """Counts and the estimate, as plain values for JSON; ids stay in the file."""
        return {
            "examples": len(self),
            "clean": len(self.clean),
            "candidate": len(self.candidate),
            "removed": len(self.removed),
            **self._header(),
            "sha256": self.sha256,
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one `.npz` without pickle, whole or not at all.

        Raises:
            RunError: when it can't be written.
        """
        arrays = {name: getattr(self, name) for name in self._ARRAYS}
        arrays |= {name: getattr(self, name) for name in _OPTIONAL}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        return write_arrays(path, kind=self._KIND, header=self._header(), arrays=arrays)

    def _header(self) -> dict[str, Any]:
        rounds = [asdict(one) for one in self.rounds]
        return {"estimate": self.estimate.to_dict(), "rounds": rounds, "learner": self.learner}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CleanSplit:
        """Read what `save` wrote.

        Raises:
            TicketError: when the file is missing, damaged, or no split.
        """
        return load_arrays(path, cls._decode, kind=cls._KIND, holds="a split of examples")

    @classmethod
    def _decode(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> CleanSplit:
        return cls(
            **{name: arrays[name] for name in cls._ARRAYS},
            estimate=NoiseEstimate.from_dict(header["estimate"]),
            rounds=tuple(Round(**one) for one in header["rounds"]),
            folds=arrays.get("folds"),
            margins=arrays.get("margins"),
            learner=str(header.get("learner", "")),
        )
