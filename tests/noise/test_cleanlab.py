import sys

import numpy as np
import pytest
from tiny_labels import CLASSES, split_of

from tfticket.noise import compare_with_cleanlab, corrupt, symmetric

pytestmark = pytest.mark.slow

TRUE = np.arange(300) % CLASSES
NOISY = corrupt(TRUE, symmetric(CLASSES, 0.1), seed=0, exact=True)


def compared(given=NOISY.given, true=TRUE):
    split = split_of(given, true)
    issues = split.label_issues()
    return compare_with_cleanlab(issues)


def test_without_cleanlab_there_is_nothing_to_compare(monkeypatch):
    for name in ("cleanlab", "cleanlab.filter"):
        monkeypatch.setitem(sys.modules, name, None)
    assert compared() is None


def test_cleanlab_finds_the_same_in_clear_cases():
    pytest.importorskip("cleanlab")
    found = compared()
    assert (found.ours, found.theirs, found.both) == (30, 30, 30)


def test_a_class_of_one_example_is_nothing_to_warn_of():
    pytest.importorskip("cleanlab")
    labels = np.where(TRUE == 2, 0, TRUE)
    labels[2] = 2
    assert compared(labels, labels).theirs == 0
