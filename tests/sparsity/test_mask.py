import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfticket.errors import MaskError
from tfticket.sparsity.mask import Mask

SHAPES = st.dictionaries(
    st.sampled_from(["a/kernel", "b/kernel", "c/d/kernel"]),
    hnp.array_shapes(max_dims=4, max_side=5),
    min_size=1,
)
MASKS = SHAPES.flatmap(
    lambda shapes: st.fixed_dictionaries(
        {key: hnp.arrays(bool, shape) for key, shape in shapes.items()}
    )
).map(Mask)


def small():
    return Mask({"a/kernel": [[1, 0, 1], [0, 0, 1]], "b/kernel": [[1, 1]]})


def test_counts():
    mask = small()
    assert (mask.total, mask.kept, mask.density, mask.sparsity) == (8, 5, 0.625, 0.375)
    assert mask.counts() == {"a/kernel": 3, "b/kernel": 2}
    assert mask.shapes == {"a/kernel": (2, 3), "b/kernel": (1, 2)}
    assert repr(mask) == "Mask(2 variables, 5 of 8 weights kept)"
    assert Mask({}).density == 1.0


def test_a_mask_is_a_mapping_to_boolean_arrays():
    mask = small()
    assert list(mask) == ["a/kernel", "b/kernel"]
    assert mask["a/kernel"].dtype == bool
    assert "c/kernel" not in mask


def test_a_mask_never_changes():
    array = np.ones((2, 2), bool)
    mask = Mask({"a/kernel": array})
    array[0, 0] = False
    assert mask.kept == 4
    with pytest.raises(ValueError, match="read-only"):
        mask["a/kernel"][0, 0] = False


@pytest.mark.parametrize("values", [[[0.0, 0.5]], [[2, 1]], [[np.nan, 1.0]]])
def test_only_zeros_and_ones_make_a_mask(values):
    with pytest.raises(MaskError, match=r"0 and 1 only.*`a/kernel`"):
        Mask({"a/kernel": values})


@given(MASKS)
def test_arrays_there_and_back(mask):
    back = Mask.from_arrays(mask.to_arrays())
    assert back == mask
    assert (back.sha256, hash(back)) == (mask.sha256, hash(mask))


def test_bits_that_do_not_fit_their_shape():
    packed = small().to_arrays()
    packed["a/kernel:bits"] = packed["a/kernel:bits"][:0]
    with pytest.raises(MaskError, match="needs 1 bytes"):
        Mask.from_arrays(packed)


@given(MASKS, st.data())
def test_equality_is_of_every_bit(mask, data):
    key = data.draw(st.sampled_from(sorted(mask)))
    flipped = np.array(mask[key])
    flipped.flat[data.draw(st.integers(0, flipped.size - 1))] ^= True
    other = Mask({**mask, key: flipped})
    assert other != mask
    assert other.sha256 != mask.sha256
    assert Mask(dict(mask)) == mask
    assert mask != "mask"


def test_the_same_bits_under_another_key_or_shape_are_another_mask():
    a = Mask({"a/kernel": np.ones((2, 3))})
    assert a != Mask({"b/kernel": np.ones((2, 3))})
    assert a.sha256 != Mask({"a/kernel": np.ones((3, 2))}).sha256


@given(MASKS)
def test_a_mask_is_within_itself_and_the_dense_one(mask):
    dense = Mask.ones(mask.shapes)
    assert mask.is_subset_of(mask)
    assert mask.is_subset_of(dense)
    assert dense.is_subset_of(mask) is (mask.kept == mask.total)
    assert mask.overlap(mask) == 1.0
    if mask.total:
        assert dense.overlap(mask) == mask.density


def test_overlap_is_the_jaccard_index():
    other = Mask({"a/kernel": [[1, 1, 0], [0, 0, 1]], "b/kernel": [[0, 1]]})
    assert small().overlap(other) == other.overlap(small()) == 3 / 6
    assert not small().is_subset_of(other)


@pytest.mark.parametrize("question", [Mask.overlap, Mask.is_subset_of])
def test_masks_of_different_networks_can_not_be_compared(question):
    other = Mask({"a/kernel": np.ones((3, 2)), "b/kernel": np.ones((1, 2))})
    with pytest.raises(MaskError, match=r"Differing: \['a/kernel'\]"):
        question(small(), other)


@given(MASKS, st.integers(0, 9))
def test_controls_keep_their_counts(mask, seed):
    shuffled = mask.shuffled(np.random.default_rng(seed))
    assert shuffled.counts() == mask.counts()
    assert shuffled.shapes == mask.shapes
    drawn = mask.random(np.random.default_rng(seed))
    assert drawn.kept == mask.kept
    assert drawn.shapes == mask.shapes
    assert mask.shuffled(np.random.default_rng(seed)) == shuffled
    assert mask.random(np.random.default_rng(seed)) == drawn


def test_controls_move_weights_within_layers_and_between_them():
    halves = Mask({"a/kernel": np.ones((20, 20)), "b/kernel": np.zeros((20, 20))})
    assert halves.shuffled(np.random.default_rng(0)) == halves
    assert 150 < halves.random(np.random.default_rng(0)).counts()["b/kernel"] < 250


def test_apply_zeroes_and_passes_on_what_it_does_not_cover():
    bias = np.ones(3, "float32")
    weights = {
        "a/kernel": np.array([[1, -2, 3], [np.nan, -5, 6]], "float32"),
        "b/kernel": np.ones((1, 2), "float16"),
        "a/bias": bias,
    }
    result = small().apply(weights)
    np.testing.assert_array_equal(result["a/kernel"], [[1, 0, 3], [0, 0, 6]])
    assert not np.signbit(result["a/kernel"]).any()
    assert result["b/kernel"].dtype == np.float16
    assert result["a/bias"] is bias
    assert weights["a/kernel"][0, 1] == -2


def test_apply_needs_weights_that_fit():
    with pytest.raises(MaskError, match=r"Missing: \['b/kernel'\]"):
        small().apply({"a/kernel": np.ones((2, 3))})
    with pytest.raises(MaskError, match=r"\(3, 2\), its mask \(2, 3\)"):
        small().apply({"a/kernel": np.ones((3, 2)), "b/kernel": np.ones((1, 2))})
