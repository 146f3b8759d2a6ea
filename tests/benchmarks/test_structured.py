"""Real networks lose half of their parameters exactly, and become files."""

import os

import numpy as np
import pytest

from benchmarks import structured
from benchmarks.structured import Point, at_accuracy, halved, rebuilt
from tfticket.channels import remove_units, size_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.mark.parametrize("name", structured.HALVED)
def test_half_of_the_parameters_go_exactly_and_the_file_is_verified(name, tmp_path):
    found = halved(name, tmp_path)
    before, after = found["parameters"]
    assert 0.49 < after / before <= 0.5
    assert found["spread"] > 1e-3  # outputs depend on inputs, so that equality means something
    assert found["difference_to_zeros"] < 1e-5
    assert found["file_difference"] < 1e-4
    assert found["file_bytes"] == pytest.approx(4 * after, rel=0.15)


def test_a_network_is_rebuilt_from_what_is_left_of_its_arrays():
    build, widths = structured.NETWORKS["resnet8"]
    narrow = {name: width // 2 for name, width in widths.items()}
    arrays = structured.arrays_of(build(narrow))
    again = rebuilt("resnet8", arrays)
    assert size_of(again).parameters == sum(array.size for array in arrays.values())
    for key, array in structured.arrays_of(again).items():
        np.testing.assert_array_equal(array, arrays[key])


def test_sizes_at_an_accuracy_lie_between_those_that_were_measured():
    def point(parameters, after):
        return Point("resnet8", "tfticket", "global", 0.5, parameters, 0, 0.0, after)

    points = [point(100, 0.5), point(1000, 0.7), point(10_000, 0.8)]
    assert at_accuracy(points, 0.6, "parameters") == pytest.approx(10**2.5)
    assert at_accuracy(points, 0.9, "parameters") is None


@pytest.mark.skipif("TORCH_PRUNING_PYTHON" not in os.environ, reason="needs Torch-Pruning")
def test_torch_pruning_removes_the_same_channels():
    build, widths = structured.NETWORKS["resnet8"]
    model = build(widths)
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
    for share, scope, theirs in structured.removed_by_torch(
        "resnet8", model, images, os.environ["TORCH_PRUNING_PYTHON"]
    ):
        ours = remove_units(model, 1 - share, score="l2_norm", scope=scope).model
        if scope == "layerwise":
            np.testing.assert_allclose(ours(images), theirs(images), atol=1e-5)
        assert size_of(ours).parameters == pytest.approx(size_of(theirs).parameters, rel=0.1)
