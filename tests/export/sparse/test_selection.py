import keras
import numpy as np
import pytest
from tflite_files import (
    dense_net,
    file_of,
    inputs_for,
    largest_difference,
    layers,
    thinned,
    weights_in,
)

from tfticket.errors import ExportError
from tfticket.export.sparse.encoding import encode_dense_layers
from tfticket.export.sparse.selection import best_way, sparsify_dense_layers
from tfticket.machine import processor

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded", "timed_in_full")]


@pytest.fixture(scope="module")
def content():
    """A first layer that is large and nearly empty, and a last one that is full."""
    keras.utils.set_random_seed(0)
    model = dense_net(1024, 10, inputs=(1024,), density=0.005)
    rng = np.random.default_rng(0)
    model.layers[1].kernel.assign(rng.normal(size=(1024, 10)) * 1024**-0.5)
    return file_of(model)


def sparsified(content, objective):
    return sparsify_dense_layers(
        content, example=inputs_for(content)[0], objective=objective, source="it"
    )


@pytest.mark.parametrize("objective", ["fastest", "smallest"])
def test_an_almost_empty_layer_is_stored_sparsely_and_its_file_is_faster(content, objective):
    found = sparsified(content, objective)
    (layer,) = found.layers
    assert layer.shape == (1024, 1024)
    assert layer.zeros == max((values == 0).sum() for values in weights_in(content).values())
    assert layer.encoding in ("csr", "block_1x4")
    assert layer.microseconds.keys() == layer.stored_bytes.keys() == {"dense", "csr", "block_1x4"}
    assert layer.microseconds[layer.encoding] < layer.microseconds["dense"]
    assert list(found.left.values()) == ["has no zeros"]
    assert found.latency.speedup > 1
    assert found.latency.host == processor()
    assert len(found.content) < 0.2 * len(content)
    assert largest_difference(found.content, content) < 1e-5


def test_the_smallest_has_the_fewest_bytes(content):
    (layer,) = sparsified(content, "smallest").layers
    assert layer.encoding == min(layer.stored_bytes, key=layer.stored_bytes.get) == "csr"


def test_choices_give_the_bytes_again(content):
    found = sparsified(content, "fastest")
    assert encode_dense_layers(content, found.choices, source="it") == found.content


def test_half_of_the_zeros_are_not_enough_to_be_faster():
    content = file_of(dense_net(512, inputs=(512,), density=0.45))
    found = sparsified(content, "fastest")
    assert found.content == content
    assert set(found.choices.values()) == {"dense"}
    assert found.latency.speedup == 1.0
    assert len(sparsified(content, "smallest").content) < len(content)


def test_a_file_without_dense_layers_is_given_back():
    model = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 3)])
    content = file_of(thinned(model, 0.1))
    found = sparsified(content, "fastest")
    assert (found.content, found.layers, found.left) == (content, (), {})


def test_layers_of_sequences_are_timed():
    inputs = keras.Input((5, 64))
    content = file_of(thinned(keras.Model(inputs, layers.Dense(64)(inputs)), 0.02))
    (layer,) = sparsified(content, "smallest").layers
    assert layer.encoding == "csr"
    assert min(layer.microseconds.values()) > 0


def test_an_unknown_objective_is_refused(content):
    with pytest.raises(ExportError, match="`objective` must be one of"):
        sparsified(content, "best")


def test_ways_that_take_about_as_long_are_told_apart_by_bytes():
    sizes = {"dense": 100, "csr": 10, "block_1x4": 25}
    near = {"dense": 30.0, "csr": 10.9, "block_1x4": 10.0}
    far = {**near, "csr": 11.1}
    assert best_way("fastest", near, sizes) == "csr"
    assert best_way("fastest", far, sizes) == "block_1x4"
    assert best_way("smallest", far, sizes) == "csr"
    assert best_way("smallest", far, {**sizes, "block_1x4": 10}) == "block_1x4"
