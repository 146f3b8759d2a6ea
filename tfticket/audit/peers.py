"""What another library says of the same labels, where it is installed."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass

import numpy as np

from tfticket.noisy import CleanSplit, Suspects


@dataclass(frozen=True)
class Agreement:
    """Our suspects beside those of confident learning (Northcutt et al. 2021, arXiv:1911.00068).

    Attributes:
        theirs: How many labels cleanlab finds wrong.
        ours: How many we do.
        both: How many are the same.
    """

    theirs: int
    ours: int
    both: int


def compare_with_cleanlab(split: CleanSplit, suspects: Suspects) -> Agreement | None:
    """Gives cleanlab the same out-of-sample probabilities; None when it isn't installed.

    Args:
        split: Labels and probabilities.
        suspects: What we found in them.
    """
    try:
        filters = importlib.import_module("cleanlab.filter")
    except ImportError:
        return None
    with warnings.catch_warnings():  # it warns of a class with one example or none, and flags none
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)
        issues = filters.find_label_issues(split.labels, split.probabilities, n_jobs=1)
    found = np.asarray(issues)
    return Agreement(
        theirs=int(found.sum()), ours=len(suspects), both=int(found[suspects.ids].sum())
    )
