"""`MarginRecord`: the margins of examples along a training, and the label issues that they show.

The *margin* of an example is the logit of its given label minus the largest other logit. A network
learns what examples have in common before it memorizes the labels that contradict it, so in a
training on wrong labels their margins are negative at first and rise late. Their mean over epochs
tells them apart though the network was trained on them.

Sources: Pleiss et al. (2020, arXiv:2001.10528) for the area under the margin and its threshold
examples; Toneva et al. (2019, arXiv:1812.05159) for forgetting events.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import lines
from tfticket.display.words import number, plural
from tfticket.errors import DataError
from tfticket.files import load_arrays, write_arrays
from tfticket.noise.labels.given import checked_labels
from tfticket.seeds import generator

NEVER_SEEN = -1
"""Given label of an example that the network wasn't trained on."""

_PERCENTILE = 99  # of the threshold examples, as in the paper
_COUNTS = ("epochs", "correct", "forgetting_events")
_DRAWN = 200  # points of the figure


@dataclass(frozen=True, eq=False, repr=False)
class MarginRecord(Displayable):
    """Margins of n examples in a training, summed over the epochs in which each was seen.

    All of it is *in-sample*: what the network said of an example in the steps that trained on it,
    in training mode (with dropout, and normalized with its batch).

    Attributes:
        given: The label that each example was trained on, shape (n,), int64; -1 for one that the
            network wasn't trained on.
        epochs: Number of epochs in which it was seen, shape (n,), int64.
        margin_sums: Sum of its logit margins over these, shape (n,), float32.
        correct: Epochs in which its given label was the prediction, shape (n,), int64.
        forgetting_events: Times when the prediction was its given label in one epoch and wasn't in
            the next, shape (n,), int64.
        last_correct: Whether its given label was the last prediction, shape (n,), bool.
        probability_sums: Sum of its predicted probabilities, shape (n, k), float32; None where they
            weren't kept.
        threshold_class: Label of the threshold examples; None where there are none.

    Raises:
        DataError: when the arrays don't belong together.

    Example:
        >>> record = MarginRecord(
        ...     given=np.array([0, 1, 1]), epochs=np.array([2, 2, 2]),
        ...     margin_sums=np.array([8, -2, 3], np.float32), correct=np.array([2, 0, 1]),
        ...     forgetting_events=np.array([0, 0, 1]), last_correct=np.array([True, False, False]),
        ...     probability_sums=np.array([[1.9, 0.1], [1.4, 0.6], [0.8, 1.2]], np.float32))
        >>> record.margin, record.score.round(3), record.suggested
        (array([ 4. , -1. ,  1.5]), array([0.018, 0.731, 0.182]), array([0, 0, 1]))
        >>> record.ids, record.ranking
        (array([1]), array([1, 2, 0]))
    """

    given: np.ndarray
    epochs: np.ndarray
    margin_sums: np.ndarray
    correct: np.ndarray
    forgetting_events: np.ndarray
    last_correct: np.ndarray
    probability_sums: np.ndarray | None = None
    threshold_class: int | None = None

    _KIND = "margins"

    def __post_init__(self) -> None:
        n = len(self.given)
        for name, array in self._arrays().items():
            rows = (*array.shape[:1],) if name == "probability_sums" else array.shape
            if rows != (n,) or (name == "probability_sums" and array.ndim != 2):
                raise DataError(
                    f"`{name}` has the shape {array.shape}, but there are {n:,} labels: each "
                    "array of a record has a row for each example."
                )
        if any(np.any(getattr(self, name) < 0) for name in _COUNTS):
            raise DataError("Counts of epochs can't be negative.")

    def __len__(self) -> int:
        return len(self.given)

    def __repr__(self) -> str:
        most = int(self.epochs.max(initial=0))
        return f"MarginRecord({len(self)} examples, {plural(most, 'epoch')})"

    @property
    def margin(self) -> np.ndarray:
        """Mean logit margin of each example, shape (n,), float64; NaN where it was never seen."""
        return self._mean(self.margin_sums)

    @property
    def score(self) -> np.ndarray:
        """Issue score, sigmoid(-margin), shape (n,), in [0, 1]; above 0.5 another label wins."""
        score: np.ndarray = special.expit(-self.margin)
        return score

    @property
    def probabilities(self) -> np.ndarray | None:
        """Mean predicted probabilities, shape (n, k), float32; NaN where never seen, or None."""
        if self.probability_sums is None:
            return None
        return self._mean(self.probability_sums).astype(np.float32)

    @property
    def suggested(self) -> np.ndarray:
        """Class of the largest mean probability, shape (n,), int64; -1 where never seen.

        Raises:
            DataError: when probabilities weren't kept.
        """
        if self.probability_sums is None:
            raise DataError(
                "Labels are suggested by the mean probabilities, which weren't kept. Audit with "
                "`MarginAudit(..., probabilities=True)`."
            )
        sums = self.probability_sums
        if self.threshold_class is not None:  # is no class
            sums = sums.copy()
            sums[:, self.threshold_class] = -1
        return np.where(self.epochs > 0, sums.argmax(axis=1), NEVER_SEEN).astype(np.int64)

    @property
    def cut(self) -> float:
        """Margin below which a label is an issue.

        The 99th percentile of the threshold examples, which are wrong by construction; 0 where
        there is no such class: below it, another label had the larger logit on average. NaN where
        none of them was seen.
        """
        if self.threshold_class is None:
            return 0.0
        margins = self.margin[self._is_threshold & (self.epochs > 0)]
        return float(np.percentile(margins, _PERCENTILE)) if len(margins) else float("nan")

    @property
    def is_issue(self) -> np.ndarray:
        """True where the margin is below the cut, shape (n,), bool; never of threshold examples."""
        issue: np.ndarray = ~self._is_threshold & (self.margin < self.cut)  # NaN isn't
        return issue

    @property
    def ids(self) -> np.ndarray:
        """Ids of the label issues, the most suspicious first, int64."""
        ranking = self.ranking
        issues: np.ndarray = ranking[self.is_issue[ranking]]
        return issues

    @property
    def ranking(self) -> np.ndarray:
        """Ids of all that have a margin, the most suspicious first; ties go by id, int64."""
        margin = self.margin
        order = np.argsort(margin, kind="stable")  # NaN last
        ranking: np.ndarray = order[~np.isnan(margin[order]) & ~self._is_threshold[order]]
        return ranking

    @property
    def _is_threshold(self) -> np.ndarray:
        if self.threshold_class is None:
            return np.zeros(len(self), bool)
        is_threshold: np.ndarray = self.given == self.threshold_class
        return is_threshold

    def _mean(self, sums: np.ndarray) -> np.ndarray:
        epochs = np.where(self.epochs > 0, self.epochs, np.nan)
        mean: np.ndarray = sums / epochs.reshape(-1, *(1,) * (sums.ndim - 1))
        return mean

    def summary(self) -> str:
        """Return the number of issues and the cut, in a sentence or two."""
        found = f"{plural(len(self.ids), 'label issue')} in {number(len(self))} labels"
        how = f"by the margin over {plural(int(self.epochs.max(initial=0)), 'epoch')}"
        unseen = int(np.count_nonzero(self.epochs == 0))
        rest = f" {plural(unseen, 'example')} had no part in the training." if unseen else ""
        return f"{found}, {how}: below {number(self.cut, 2)}.{rest}"

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each example, in order of id; None where there is no value."""
        columns: dict[str, list[Any]] = {"id": list(range(len(self))), "given": self.given.tolist()}
        if self.probability_sums is not None:
            columns["suggested"] = self.suggested.tolist()
        seen = self.epochs > 0
        for name in ("score", "margin"):
            values = getattr(self, name).tolist()
            columns[name] = [
                value if one else None for value, one in zip(values, seen, strict=True)
            ]
        columns["is_issue"] = self.is_issue.tolist()
        columns |= {name: getattr(self, name).tolist() for name in _COUNTS}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _figure(self) -> Figure | None:
        ranking = self.ranking
        if len(ranking) < 2:
            return None
        places = np.unique(np.linspace(0, len(ranking) - 1, _DRAWN).astype(int))
        found = ((places + 1).tolist(), self.margin[ranking[places]].tolist())
        return lines({"examples": found}, "example, most suspicious first", "mean logit margin")

    @classmethod
    def joined(cls, records: Sequence[MarginRecord]) -> MarginRecord:
        """Add up the records of several networks, which may have seen different examples.

        Args:
            records: One or more, over the same n examples: of several seeds, or of the networks of
                a cross-validation. Each network counts by the epochs in which it saw an example.

        Raises:
            DataError: when they are about other examples or labels.
        """
        first, *others = records
        for other in others:
            apart = len(other) != len(first) or other.threshold_class != first.threshold_class
            seen = (first.epochs > 0) & (other.epochs > 0) if not apart else np.array([], bool)
            if apart or np.any(first.given[seen] != other.given[seen]):
                raise DataError(
                    "The records are about different data: all must have the same examples with "
                    f"the same given labels. Received: {first!r} and {other!r}."
                )
            keep = first.probability_sums is not None and other.probability_sums is not None
            first = cls(
                given=np.maximum(first.given, other.given),  # -1 where one never saw it
                **{
                    name: getattr(first, name) + getattr(other, name)
                    for name in (*_COUNTS, "margin_sums", *(("probability_sums",) if keep else ()))
                },
                last_correct=np.where(other.epochs > 0, other.last_correct, first.last_correct),
                threshold_class=first.threshold_class,
            )
        return first

    def _arrays(self) -> dict[str, np.ndarray]:
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: each for name, each in found.items() if isinstance(each, np.ndarray)}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one `.npz` without pickle, whole or not at all.

        Raises:
            RunError: when it can't be written.
        """
        header = {"threshold_class": self.threshold_class}
        return write_arrays(path, kind=self._KIND, header=header, arrays=self._arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MarginRecord:
        """Read what `save` wrote.

        Raises:
            TicketError: when the file is missing, damaged, or no record.
        """
        return load_arrays(path, cls._decode, kind=cls._KIND, holds="the margins of a training")

    @classmethod
    def _decode(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> MarginRecord:
        fake = header["threshold_class"]
        types = {"margin_sums": np.float32, "probability_sums": np.float32, "last_correct": bool}
        return cls(
            **{name: each.astype(types.get(name, np.int64)) for name, each in arrays.items()},
            threshold_class=None if fake is None else int(fake),
        )


def with_threshold_class(labels: ArrayLike, *, num_classes: int, seed: int) -> np.ndarray:
    """Give one in k + 1 examples the label of a fake class k, to learn what wrong labels look like.

    A network of k + 1 outputs can only memorize these examples, so their margins are those of wrong
    labels: `MarginAudit(..., threshold_class=k)` takes its cut from them. They themselves aren't
    judged; train again with another seed for these.

    Args:
        labels: Given labels, shape (n,), integers in [0, k).
        num_classes: k, at least 2.
        seed: Decides which examples are taken.

    Returns:
        Labels in [0, k], shape (n,), int64; n / (k + 1) of them are k, and at least one.

    Raises:
        DataError: when labels are out of range.

    Source: Pleiss et al. (2020, arXiv:2001.10528), threshold samples.

    Example:
        >>> labels = with_threshold_class([0, 1] * 6, num_classes=2, seed=0)
        >>> np.bincount(labels)
        array([4, 4, 4])
    """
    found = checked_labels(labels, num_classes)
    count = max(1, round(len(found) / (num_classes + 1)))
    chosen = generator(seed, "threshold").permutation(len(found))[:count]
    found[chosen] = num_classes
    return found
