import numpy as np
import pytest
import tensorflow as tf

from benchmarks import pruning
from benchmarks.pruning import BENCHMARKS, argsort, drawn, ours, partition, top_k

pytestmark = pytest.mark.slow

SHAPES = {"a": (3, 3, 4, 8), "b": (50, 20), "c": (20, 10)}


def test_the_kernels_are_those_of_resnet_50():
    shapes = pruning.resnet50_shapes().values()
    assert len(shapes) == 54
    # All 25,557,032 parameters that are published, but those of 53 batch norms and the biases.
    norms = sum(2 * shape[-1] for shape in shapes if len(shape) == 4)
    assert sum(int(np.prod(shape)) for shape in shapes) == 25_557_032 - norms - 1000


def test_all_contenders_prune_as_much_and_the_exact_ones_the_same():
    weights = drawn(SHAPES)
    found = ours(weights)
    for other in (argsort(weights), partition(weights)):
        for key in SHAPES:
            np.testing.assert_array_equal(other[key], found[key])
    tensors = top_k({key: tf.constant(array) for key, array in weights.items()})
    for key, mask in tensors.items():
        assert abs(np.count_nonzero(mask.numpy()) - 0.8**3 * weights[key].size) <= 2


def test_where_weights_tie_only_the_exact_ones_keep_their_count():
    weights = {key: np.round(array) for key, array in drawn(SHAPES).items()}
    found = ours(weights)
    for key in SHAPES:
        np.testing.assert_array_equal(argsort(weights)[key], found[key])
    assert found.kept == 762  # of 1488, three times a fifth less
    assert sum(np.count_nonzero(mask) for mask in partition(weights).values()) > 1000


def test_ours_is_first_and_each_runs():
    (benchmark,) = BENCHMARKS
    assert next(iter(benchmark.contenders)) == "GlobalPruner"
    for make in pruning.contenders(SHAPES).values():
        make()()
