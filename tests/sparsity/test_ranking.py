import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import MaskError
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruners import ERKPruner, GlobalPruner, LayerwisePruner, erk_counts
from tfticket.sparsity.ranking import keep_highest, keep_highest_of_all


def by_sorting(scores, masks, keep, protected):
    """What `keep_highest_of_all` means: all in one row, sorted stably."""
    flat, mask, sure = (
        np.concatenate([np.ravel(array) for array in arrays])
        for arrays in (scores, masks, protected)
    )
    sure = sure & mask
    order = [i for i in np.argsort(-flat, kind="stable") if mask[i] and not sure[i]]
    kept = sure.copy()
    kept[order[: keep - np.count_nonzero(sure)]] = True
    parts = np.split(kept, np.cumsum([array.size for array in scores])[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, scores, strict=True)]


@st.composite
def rankings(draw):
    """Arrays with many ties, in any order of memory, some of them empty of survivors."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=4))
    kind = draw(st.sampled_from(["float16", "float32", "float64", "int64"]))
    apart = draw(st.sampled_from([1, 3, 40]))
    density, sure = draw(st.sampled_from([0.0, 0.5, 1.0])), draw(st.sampled_from([0.0, 0.3]))
    layout = draw(st.sampled_from("CF"))
    scores = [
        np.asarray(rng.integers(-apart, apart + 1, shape), kind, order=layout) for shape in shapes
    ]
    masks = [np.asarray(rng.random(shape) < density, order=layout) for shape in shapes]
    protected = [rng.random(shape) < sure for shape in shapes]
    least = sum(np.count_nonzero(a & b) for a, b in zip(masks, protected, strict=True))
    keep = draw(st.integers(int(least), int(sum(np.count_nonzero(m) for m in masks))))
    return scores, masks, keep, protected


@given(rankings())
def test_arrays_that_compete_are_one_row_sorted_stably(ranking):
    before = [array.copy() for arrays in (ranking[0], ranking[1], ranking[3]) for array in arrays]
    for ours, theirs in zip(keep_highest_of_all(*ranking), by_sorting(*ranking), strict=True):
        assert ours.dtype == bool
        np.testing.assert_array_equal(ours, theirs)
    after = [array for arrays in (ranking[0], ranking[1], ranking[3]) for array in arrays]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_negative_zero_ties_with_zero():
    scores = [np.array([-0.0, 1.0]), np.array([0.0, -0.0], "float32")]
    dense = [np.ones(2, bool)] * 2
    kept = keep_highest_of_all(scores, dense, 3, [np.zeros(2, bool)] * 2)
    assert [array.tolist() for array in kept] == [[True, True], [True, False]]


def test_what_is_kept_can_be_changed_and_the_mask_stays():
    mask = np.ones(3, bool)
    kept = keep_highest(np.arange(3.0), mask, 3)
    kept[0] = False
    assert mask.all()


def test_more_than_can_be_kept_or_less_than_is_protected_is_refused():
    two = [np.ones(2, bool), np.ones(2, bool)]
    scores = [np.zeros(2), np.zeros(2)]
    with pytest.raises(MaskError, match=r"4 survive\. Received: keep=5"):
        keep_highest_of_all(scores, two, 5, [~mask for mask in two])
    with pytest.raises(MaskError, match=r"can't go: 4\. Received: keep=3"):
        keep_highest_of_all(scores, two, 3, two)


def counts_by_sorting(units, keep):
    """Webster's method in one sort: who is due first is kept, ties by the order of variables."""
    dues = []
    for key, count in units.counts().items():
        share = sum(units[key].shape) * (units[key].size / np.prod(units[key].shape))
        dues += [((j + 0.5) / share, key) for j in range(count)]
    taken = [key for _, key in sorted(dues, key=lambda due: due[0])[:keep]]
    return {key: taken.count(key) for key in units}


@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.data())
def test_erk_counts_are_those_of_one_sort(survivors, data):
    shapes = [(3, 4), (2, 6), (1, 2, 6), (12, 1)]
    units = Mask(
        {
            f"{number}/kernel": (np.arange(12) < count).reshape(shape)
            for number, (count, shape) in enumerate(zip(survivors, shapes, strict=False))
        }
    )
    keep = data.draw(st.integers(0, units.kept))
    assert erk_counts(units, keep) == counts_by_sorting(units, keep)


@pytest.mark.parametrize("pruner", [GlobalPruner(), LayerwisePruner(), ERKPruner()])
def test_pruning_takes_little_memory(pruner):
    shapes = {"a/kernel": (400, 500), "b/kernel": (500, 400)}
    rng = np.random.default_rng(0)
    scores = {key: rng.random(shape, "float32") for key, shape in shapes.items()}
    mask = Mask.ones(shapes)
    tracemalloc.start()
    try:
        pruner.prune(scores, mask, 0.2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The survivors' scores once more, and some masks; an index of each would take 8 more.
    assert peak < 12 * mask.total
