"""What theory predicts for labels whose noise is known, against what networks did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfticket.audit.findings import suspects_of
from tfticket.errors import DataError
from tfticket.noisy import CleanSplit, Corruption, theory
from tfticket.noisy.theory import HeldOut


@dataclass(frozen=True)
class Diagnosis:
    """Predicted against observed, for labels whose truth is known; all shares in [0, 1].

    Attributes:
        rate: Share of wrong labels.
        predicted: What follows from the noise if networks memorize what they are taught.
        observed: What held-out predictions did.
        suspect_precision: Share of the suspects whose label is wrong; NaN without suspects.
        suspect_recall: Share of the wrong labels among the suspects; NaN without wrong labels.
    """

    rate: float
    predicted: HeldOut
    observed: HeldOut
    suspect_precision: float
    suspect_recall: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def diagnose(split: CleanSplit, corruption: Corruption | None) -> Diagnosis:
    """Compares held-out predictions with the closed forms of Chen et al. (arXiv:1905.05040).

    Args:
        split: A selection of one iteration: later ones are trained on selected labels, of which the
            theory knows nothing.
        corruption: Its labels with the truth.

    Raises:
        DataError: when the truth isn't known, is about other labels, or some examples have none.
    """
    if corruption is None:
        raise DataError(
            "What theory predicts can only be compared where the true labels are known. Give the "
            "labels in question as a file beside the data set's own, or make some of them wrong."
        )
    if not np.array_equal(corruption.given, split.labels) or corruption.true.min() < 0:
        raise DataError(
            "The true labels must be those of the examples that were predicted, and each example "
            f"must have one. Received: {len(corruption.given)} labels for {len(split)} examples."
        )
    counts = np.bincount(corruption.true, minlength=corruption.num_classes)
    realized = corruption.realized
    absent = counts == 0
    realized[absent] = np.eye(len(counts))[absent]
    suspects = suspects_of(split)
    wrong = corruption.changed
    hits = int(wrong[suspects.ids].sum())
    return Diagnosis(
        rate=corruption.realized_rate,
        predicted=theory.expected(realized, counts / counts.sum()),
        observed=theory.measured(
            corruption.true, corruption.given, predicted=split.probabilities.argmax(axis=1)
        ),
        suspect_precision=hits / len(suspects) if len(suspects) else float("nan"),
        suspect_recall=hits / int(wrong.sum()) if wrong.any() else float("nan"),
    )
