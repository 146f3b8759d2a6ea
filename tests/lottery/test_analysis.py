import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import MaskError
from tfticket.lottery import analysis


def random_mask(shapes, density, seed):
    rng = np.random.default_rng(seed)
    return {f"layer{i}/kernel": rng.random(shape) < density for i, shape in enumerate(shapes)}


CONVNET = [(3, 3, 2, 4), (3, 3, 4, 5), (2 * 2 * 5, 6), (6, 3)]


def test_layer_densities():
    mask = {"a/kernel": np.array([[True, False], [False, False]]), "b/kernel": np.ones((2, 3))}
    assert analysis.layer_densities(mask) == {"a/kernel": 0.25, "b/kernel": 1.0}


def test_a_chain_is_told_by_its_shapes():
    def shapes(*sizes):
        return {str(i): size for i, size in enumerate(sizes)}

    assert analysis.is_chain(shapes(*CONVNET))
    assert analysis.is_chain(shapes((784, 300), (300, 100), (100, 10)))
    assert not analysis.is_chain(shapes((3, 3, 3, 16), (3, 3, 16, 32), (1, 1, 16, 32)))
    assert not analysis.is_chain(shapes((784, 300), (100, 10)))
    assert not analysis.is_chain(shapes((4,), (4, 2)))


def test_dead_units_of_a_small_network_by_hand():
    first = np.ones((3, 4), bool)
    first[:, 0] = False  # unit 0 hears nothing
    second = np.ones((4, 2), bool)
    second[[0, 1]] = False  # nobody hears units 0 and 1
    second[:, 1] = False  # output 1 hears nothing
    mask = {"first/kernel": first, "second/kernel": second}
    alone = analysis.dead_units(mask)
    assert alone["first/kernel"] == analysis.DeadUnits(4, 1)
    chained = analysis.dead_units(mask, chain=True)
    assert chained["first/kernel"] == analysis.DeadUnits(4, 1, 2, 2)
    assert chained["second/kernel"] == analysis.DeadUnits(2, 1)


def test_a_channel_is_alive_while_one_place_of_the_flattened_map_is_read():
    conv, dense = np.ones((3, 3, 1, 2), bool), np.zeros((4 * 2, 3), bool)
    dense[5, 0] = True  # place 2, channel 1
    found = analysis.dead_units({"conv": conv, "dense": dense}, chain=True)
    assert found["conv"] == analysis.DeadUnits(2, 0, 1, 1)


def test_what_is_no_chain_is_refused():
    mask = random_mask([(4, 5), (6, 2)], 0.5, 0)
    for function in (lambda m: analysis.dead_units(m, chain=True), analysis.connected):
        with pytest.raises(MaskError, match="feeds the next"):
            function(mask)
        with pytest.raises(MaskError, match="feeds the next"):
            function({})


def connected_slowly(mask):
    """Follows every path by hand: the second implementation, for dense chains."""
    kernels = list(mask.values())
    paths = [((i, j),) for i, j in zip(*np.nonzero(kernels[0]), strict=True)]
    for kernel in kernels[1:]:
        paths = [
            (*path, (path[-1][1], j)) for path in paths for j in np.nonzero(kernel[path[-1][1]])[0]
        ]
    result = {key: np.zeros_like(kernel) for key, kernel in mask.items()}
    for path in paths:
        for key, place in zip(result, path, strict=True):
            result[key][place] = True
    return result


@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_connected_weights_are_those_on_a_path(seed, density):
    mask = random_mask([(4, 5), (5, 3), (3, 4), (4, 2)], density, seed)
    found, expected = analysis.connected(mask), connected_slowly(mask)
    assert all(np.array_equal(found[key], expected[key]) for key in mask)


@given(st.integers(0, 1000))
def test_dense_convolutions_are_connected_and_cutting_a_channel_cuts_its_weights(seed):
    mask = {key: np.ones_like(array) for key, array in random_mask(CONVNET, 1, 0).items()}
    assert all(array.all() for array in analysis.connected(mask).values())
    channel = np.random.default_rng(seed).integers(4)
    mask["layer0/kernel"][..., channel] = False
    found = analysis.connected(mask)
    assert not found["layer1/kernel"][:, :, channel].any()
    assert found["layer1/kernel"].sum() == 3 * 3 * 3 * 5
    assert found["layer2/kernel"].all()


def test_a_mask_is_not_changed():
    mask = random_mask([(4, 5), (5, 3)], 0.3, 1)
    before = {key: array.copy() for key, array in mask.items()}
    analysis.connected(mask)
    assert all(np.array_equal(mask[key], before[key]) for key in mask)


def test_sign_agreement_counts_survivors_only():
    mask = {"k": np.array([[True, True, True, False, True]])}
    initial = {"k": np.array([[1.0, -1.0, 2.0, 5.0, 0.0]]), "bias": np.zeros(3)}
    final = {"k": np.array([[0.1, -3.0, -2.0, 5.0, 1.0]])}
    agreement = analysis.sign_agreement(mask, initial=initial, final=final)["k"]
    assert (agreement.weights, agreement.agreeing) == (3, 2)
    assert agreement.share == pytest.approx(2 / 3)
    assert math.isnan(analysis.SignAgreement(0, 0).share)


def test_signs_of_other_shapes_are_refused():
    mask = {"k": np.ones((2, 2), bool)}
    with pytest.raises(MaskError, match=r"initial \(2, 2\), final None"):
        analysis.sign_agreement(mask, initial={"k": np.ones((2, 2))}, final={})


def test_random_masks_overlap_as_chance_says():
    shapes = [(60, 50), (50, 20)]
    z = []
    for seed in range(40):
        first, second = (random_mask(shapes, 0.2, 2 * seed + i) for i in range(2))
        z.append(analysis.overlap(first, second).z)
    # The mean of 40 standard normal values lies within 0.16 of 0 as a rule.
    assert abs(np.mean(z)) < 0.5
    assert 0.7 < np.std(z) < 1.3


def test_a_mask_overlaps_with_itself_far_above_chance():
    mask = random_mask([(60, 50)], 0.1, 0)
    same = analysis.overlap(mask, mask)
    assert same.jaccard == 1.0
    assert same.ratio == pytest.approx(1 / np.mean(mask["layer0/kernel"]))
    assert same.expected_jaccard < 0.1
    assert same.z > 30


def test_different_densities_of_layers_are_not_agreement():
    rng = np.random.default_rng(0)
    first, second = (
        {"sparse": rng.random((100, 100)) < 0.01, "dense": rng.random((20, 20)) < 0.99}
        for _ in range(2)
    )
    assert abs(analysis.overlap(first, second).z) < 3


def test_dense_masks_leave_nothing_to_chance():
    dense = {"k": np.ones((3, 4), bool)}
    found = analysis.overlap(dense, dense)
    assert (found.jaccard, found.expected_jaccard, found.ratio) == (1, 1, 1)
    assert math.isnan(found.z)
    empty = {"k": np.zeros((3, 4), bool)}
    assert math.isnan(analysis.overlap(empty, empty).ratio)


def test_masks_of_other_shapes_have_no_overlap():
    with pytest.raises(MaskError, match="same variables"):
        analysis.overlap({"k": np.ones((2, 2), bool)}, {"k": np.ones((2, 3), bool)})


def test_the_picture_of_surviving_inputs():
    kernel = np.zeros((6, 4), bool)
    kernel[4] = [True, True, False, False]
    picture = analysis.surviving_inputs(kernel, image_shape=(2, 3))
    np.testing.assert_array_equal(picture, [[0, 0, 0], [0, 0.5, 0]])
    assert analysis.surviving_inputs(kernel, image_shape=(1, 2, 3)).shape == (1, 2, 3)
    filters = np.ones((3, 3, 2, 8), bool)
    filters[1, 1, 0, :2] = False
    assert analysis.surviving_inputs(filters)[1, 1].tolist() == [0.75, 1.0]


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [((6, 4), None), ((6, 4), (2, 2)), ((3, 3, 2, 8), (6, 6)), ((6,), None)],
)
def test_what_makes_no_picture_is_refused(shape, image_shape):
    with pytest.raises(MaskError, match="A picture needs"):
        analysis.surviving_inputs(np.ones(shape, bool), image_shape=image_shape)
