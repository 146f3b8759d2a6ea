import itertools

import numpy as np
import pytest

from tfticket.errors import MaskError
from tfticket.lottery.locality import receptive_fields


def adjacent_pairs(field):
    """Of one unit, counted place by place; field has shape (*places, channels)."""
    count = 0
    for place in itertools.product(*(range(side) for side in field.shape)):
        for axis in range(field.ndim - 1):
            other = list(place)
            other[axis] += 1
            if other[axis] < field.shape[axis]:
                count += bool(field[place] and field[tuple(other)])
    return count


@pytest.mark.parametrize("shape", [(6,), (3, 2), (2, 2, 2), (3, 1, 2)])
def test_chance_is_the_mean_over_all_permutations(shape):
    grid = shape if len(shape) == 3 else (*shape, 1)
    inputs, rng = int(np.prod(shape)), np.random.default_rng(3)
    kernel = rng.random((inputs, 4)) < 0.5
    kernel[:3, 0], kernel[:, 3] = True, False
    means, variances, kept = [], [], 0
    for unit in kernel.T:
        placed = itertools.combinations(range(inputs), int(unit.sum()))
        counts = [
            adjacent_pairs(np.isin(np.arange(inputs), places).reshape(grid)) for places in placed
        ]
        means.append(np.mean(counts))
        variances.append(np.var(counts))
        kept += adjacent_pairs(unit.reshape(grid))
    found = receptive_fields(kernel, shape)
    assert found.adjacent == kept
    assert found.expected == pytest.approx(sum(means))
    assert found.deviation == pytest.approx(np.sqrt(sum(variances)))
    assert found.locality == pytest.approx(kept / sum(means))
    assert found.z == pytest.approx((kept - sum(means)) / np.sqrt(sum(variances)))
    assert found.units == 3


def test_fan_in_and_span_by_hand():
    image = np.zeros((3, 4, 2, 3), bool)  # two channels, three units
    image[0, 1, 0, 0] = image[2, 1, 1, 0] = True
    image[1, 0, 0, 1] = image[1, 3, 0, 1] = image[1, 3, 1, 1] = True
    found = receptive_fields(image.reshape(24, 3), (3, 4, 2))
    assert found.fan_in.tolist() == [2, 3, 0]
    assert found.span.tolist() == [[3, 1], [1, 4], [0, 0]]
    assert (found.units, found.median_fan_in, found.median_span) == (2, 2.5, (2.0, 2.5))
    assert found.adjacent == 0  # two channels of a pixel aren't adjacent


def test_a_shared_preference_for_inputs_is_not_locality_of_units():
    rng = np.random.default_rng(0)
    preferred = rng.random((40, 2000)) < np.where(abs(np.arange(40) - 20) < 5, 0.8, 0.05)[:, None]
    found = receptive_fields(preferred)
    assert found.locality > 2
    assert found.unit_locality == pytest.approx(1, abs=0.05)
    ring = (np.arange(40)[:, None] - np.arange(40)) % 40 < 6  # no input is preferred
    assert receptive_fields(ring).expected_by_input == pytest.approx(
        receptive_fields(ring).expected
    )


def test_a_dense_layer_is_at_chance_and_a_convolution_has_the_places_of_its_filters():
    dense = receptive_fields({"a/kernel": np.ones((9, 2), bool)}, (9,))
    assert (dense.locality, dense.median_span) == (1.0, (9.0,))
    assert np.isnan(dense.z)  # there is one permutation
    kernel = np.random.default_rng(0).random((3, 3, 2, 5)) < 0.4
    filters = receptive_fields({"conv/kernel": kernel}, (8, 8, 2))
    assert filters.adjacent == sum(adjacent_pairs(kernel[..., unit]) for unit in range(5))


@pytest.mark.parametrize(
    ("mask", "shape", "message"),
    [
        ({}, None, "begins with a dense layer or a convolution.*Received: no kernel"),
        ({"norm/gamma": np.ones(4)}, None, "`norm/gamma` of shape"),
        ({"dense2/kernel": np.ones((300, 100), bool)}, (40,), "must read the examples.*skipped"),
        (np.zeros((40, 3), bool), None, "every weight is pruned"),
        (np.ones((40, 3), bool), (6, 6), "a flattened example.*input_shape=\\(6, 6\\)"),
    ],
)
def test_masks_without_receptive_fields(mask, shape, message):
    with pytest.raises(MaskError, match=message):
        receptive_fields(mask, shape)
