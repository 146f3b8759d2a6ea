import helpers
import keras
import numpy as np
import pytest

from tfticket.norms import graph
from tfticket.norms.graph import Graph, unmasked
from tfticket.norms.layers import StandardizedConv2D
from tfticket.sparsity import Masked

pytestmark = pytest.mark.slow

layers = keras.layers


def names(operations):
    return [None if operation is None else operation.name for operation in operations]


def test_neighbors_are_those_of_each_call():
    inputs = keras.Input((4,), name="in")
    shared = layers.Dense(4, name="shared")
    first = shared(inputs)
    second = layers.ReLU(name="relu")(first)
    outputs = layers.Add(name="sum")([shared(second), first])
    graph = Graph(keras.Model(inputs, outputs))
    assert names(graph.before(shared)) == ["in", "relu"]
    assert sorted(names(graph.after(shared))) == ["relu", "sum", "sum"]
    assert [layer.name for layer in graph.layers] == ["shared", "relu", "sum"]
    assert len(graph.inputs(shared)) == 2
    assert graph.input_shape(shared) == (None, 4)


def test_the_end_of_a_graph_reads_too():
    model = helpers.mlp((6, 5, 3))
    graph = Graph(model)
    assert names(graph.after(model.get_layer("output"))) == [None]
    assert names(graph.after(model.get_layer("hidden_0"))) == ["output"]


def test_each_model_inside_is_a_graph_of_its_own():
    inner = helpers.mlp((6, 5, 6), name="inner")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2, name="last")(inner(inner(inputs))))
    graph = Graph(model)
    assert names(graph.before(model.get_layer("last"))) == ["inner"]
    assert names(graph.after(inner.get_layer("output"))) == [None]
    assert [layer.name for layer in graph.layers] == ["last", "hidden_0", "output"]


def test_calls_of_other_models_are_not_seen():
    model = helpers.mlp((6, 5, 3))
    hidden = model.get_layer("hidden_0")
    keras.Model(model.inputs, layers.ReLU()(hidden.output))
    assert names(Graph(model).after(hidden)) == ["output"]


def test_arguments_of_calls():
    inputs = keras.Input((4,))
    norm = layers.BatchNormalization()
    graph = Graph(keras.Model(inputs, norm(norm(inputs, training=False))))
    assert graph.call_arguments(norm, "training") == [False, None]


def test_arguments_of_calls_of_the_models_around():
    inner, inputs = keras.Input((4,)), keras.Input((4,))
    norm = layers.BatchNormalization()
    base = keras.Model(inner, norm(inner))
    graph = Graph(keras.Model(inputs, base(base(inputs), training=False)))
    assert graph.call_arguments(norm, "training") == [None]
    assert graph.arguments_around(norm, "training") == [None, None, False]


def test_a_mask_s_wrapper_is_looked_through():
    dense = layers.Dense(2)
    assert unmasked(Masked(dense)) is dense
    assert unmasked(dense) is dense


@pytest.mark.parametrize("wrap", [lambda layer: layer, Masked], ids=["plain", "masked"])
def test_versions_of_a_convolution(wrap):
    conv = wrap(layers.Conv2D(4, 3, use_bias=False, kernel_regularizer="l2", name="conv"))
    conv(np.ones((1, 5, 5, 2)))
    assert graph.can_standardize(conv)
    assert graph.lacks_bias(conv)
    standardized = graph.with_standardized_weights(conv)
    assert graph.is_standardized(standardized)
    assert not graph.can_standardize(standardized)
    plain = graph.with_plain_weights(standardized)
    biased = graph.with_bias(plain)
    assert not graph.lacks_bias(biased)
    for version in (standardized, plain, biased):
        assert (type(version) is Masked) == (type(conv) is Masked)
        assert version.name == "conv"
        inner = version.layer if isinstance(version, Masked) else version
        assert inner.kernel_regularizer.l2 == pytest.approx(0.01)
        assert inner.use_bias == (version is biased)


def test_only_plain_convolutions_are_standardized():
    for layer in (
        layers.Dense(2),
        layers.DepthwiseConv2D(3),
        layers.Conv2DTranspose(2, 3),
    ):
        assert not graph.can_standardize(layer)
    assert not graph.lacks_bias(layers.ReLU())
    assert graph.is_standardized(StandardizedConv2D(2, 3))


def test_masks_are_copied():
    old, new = (Masked(layers.Dense(2)) for _ in range(2))
    for layer in (old, new):
        layer(np.ones((1, 3)))
    mask = np.array([[True, False]] * 3)
    old.set_masks({"kernel": mask})
    graph.copy_masks(old, new)
    np.testing.assert_array_equal(new.masks["kernel"], mask)
    assert not new.layer.kernel.numpy()[~mask].any()
