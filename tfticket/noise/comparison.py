"""Audits compared: with theory where the true labels are known, and with cleanlab."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfticket.errors import DataError
from tfticket.noise import CleanSplit, Corruption, LabelIssues, theory
from tfticket.noise.labels.given import NO_CLASS
from tfticket.noise.theory import HeldOut


@dataclass(frozen=True)
class Diagnosis:
    """Predicted against observed, for labels whose truth is known; all shares in [0, 1].

    Attributes:
        rate: Share of wrong labels.
        predicted: What follows from the noise if networks memorize their training labels.
        observed: What held-out predictions did.
        suspect_precision: Share of the label issues whose label is wrong; NaN without issues. Runs
            and published cards know it by this older name.
        suspect_recall: Share of the wrong labels that are label issues; NaN without wrong labels.
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
    """Compare held-out predictions with the closed forms of Chen et al. (arXiv:1905.05040).

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
    issues = split.label_issues()
    wrong = corruption.changed
    hits = int(wrong[issues.ids].sum())
    return Diagnosis(
        rate=corruption.realized_rate,
        predicted=theory.expected(realized, counts / counts.sum()),
        observed=theory.measured(
            corruption.true, corruption.given, predicted=split.probabilities.argmax(axis=1)
        ),
        suspect_precision=hits / len(issues) if len(issues) else float("nan"),
        suspect_recall=hits / int(wrong.sum()) if wrong.any() else float("nan"),
    )


@dataclass(frozen=True)
class Agreement:
    """Our label issues and those of confident learning (Northcutt et al. 2021, arXiv:1911.00068).

    Attributes:
        theirs: Label issues of cleanlab.
        ours: Ours.
        both: Those that are the same.
    """

    theirs: int
    ours: int
    both: int


def compare_with_cleanlab(issues: LabelIssues) -> Agreement | None:
    """Run cleanlab on the same out-of-sample probabilities; None when it isn't installed.

    Args:
        issues: Our label issues.
    """
    try:
        filters = importlib.import_module("cleanlab.filter")
    except ImportError:
        return None
    with warnings.catch_warnings():  # it warns of a class with one example or none, and flags none
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)
        known = issues.given != NO_CLASS
        theirs = filters.find_label_issues(issues.given[known], issues.pred_probs[known], n_jobs=1)
    found = np.zeros(len(known), bool)
    found[known] = theirs
    return Agreement(theirs=int(found.sum()), ours=len(issues), both=int(found[issues.ids].sum()))
