"""Heads, recurrent units, groups and layers with a rule of one's own go exactly, where dead."""

import keras
import numpy as np
import pytest

from tfticket.channels import (
    Rule,
    channel_groups,
    register_rule,
    remove_units,
    rules,
    shrink,
    size_of,
)
from tfticket.errors import ModelError
from tfticket.sparsity import Channels, GlobalPruner, get_mask, set_mask, sparsify
from tfticket.state import named_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers


def randomized(model):
    """Random weights: biases and statistics, too, since none is zero after training."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if keras.backend.is_float_dtype(variable.dtype):
            values = rng.normal(size=variable.shape) * 0.4
            variable.assign(np.abs(values) + 0.5 if "variance" in variable.name else values)
    return model


def without_half(model):
    """Set to zero half of the units of each layer, and no bias."""
    homes = {}
    for group in channel_groups(model):
        homes.setdefault(group.home, []).append(group)
    variables = named_variables(model)
    for groups in homes.values():
        for group in groups[: len(groups) // 2]:
            for slot in group.slots:
                values = variables[slot.key].numpy()
                np.moveaxis(values, slot.axis, 0)[list(slot.indices)] = 0
                variables[slot.key].assign(values)
    return model


def recurrent(*stack, steps=5):
    return keras.Sequential([keras.Input((steps, 4)), *stack, layers.Dense(3)])


def attention(head_inputs=8):
    x = inputs = keras.Input((5, 4))
    x = layers.Dense(head_inputs, name="before")(x)
    other = layers.Dense(6, name="other")(inputs)
    x = layers.MultiHeadAttention(4, 3, value_dim=2, name="attention")(x, other)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def transformer():
    x = inputs = keras.Input((5, 8))
    normal = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 4, name="attention")(normal, normal)
    hidden = layers.Dense(6, activation="gelu", name="hidden")(layers.LayerNormalization()(x))
    x = layers.Add()([x, layers.Dense(8)(hidden)])
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Flatten()(x)))


def grouped(groups, filters):
    x = inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="before")(x)
    x = layers.Conv2D(filters, 3, groups=groups, padding="same", name="grouped")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(4, 3, name="separable")(x)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(x)))


def squeezed():
    """Functions of keras.ops in the graph, as in the MobileNets of Keras."""
    x = inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(6, 1, name="before")(x)
    x = x * (layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0))
    x = keras.ops.relu(x - layers.Conv2D(6, 1, name="branch")(x))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


KINDS = {
    "lstm": (
        lambda: recurrent(layers.LSTM(8, return_sequences=True), layers.LSTM(6)),
        {"lstm": 4, "lstm_1": 3},
    ),
    "gru": (
        lambda: recurrent(
            layers.GRU(8, return_sequences=True), layers.GRU(6, reset_after=False, use_bias=False)
        ),
        {"gru": 4, "gru_1": 3},
    ),
    "cells": (
        lambda: recurrent(
            layers.SimpleRNN(8, return_sequences=True), layers.RNN(layers.LSTMCell(6)), steps=None
        ),
        {"simple_rnn": 4, "rnn": 3},
    ),
    "stacked cells": (
        lambda: recurrent(layers.RNN([layers.LSTMCell(8), layers.GRUCell(6)])),
        {"rnn": 3, "rnn/cell_0": 4},
    ),
    "bidirectional": (
        lambda: recurrent(
            layers.Bidirectional(layers.LSTM(8, return_sequences=True)),
            layers.Bidirectional(layers.GRU(6), merge_mode="sum"),
        ),
        {"bidirectional": 8, "bidirectional_1": 3},
    ),
    "attention": (
        attention,
        {"before": 4, "other": 3, "attention": 4, "attention/heads": 2},
    ),
    "transformer": (transformer, {"attention": 8, "attention/heads": 1, "hidden": 3}),
    "groups": (lambda: grouped(4, 12), {"before": 4, "grouped": 8, "separable": 2}),
    "groups of one channel": (lambda: grouped(8, 16), {"before": 4, "separable": 2}),
    "functions": (squeezed, {"before": 3, "branch": 3}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_shrunk_model_answers_as_the_masked_one(kind):
    make, left = KINDS[kind]
    masked = without_half(randomized(make()))
    shrunk = shrink(masked)
    assert {c.key: c.after for c in shrunk.layers if c.key in left} == left
    shape = [side or 5 for side in masked.input_shape[1:]]
    x = np.random.default_rng(1).normal(size=(4, *shape)).astype("float32")
    expected = np.asarray(masked(x))
    np.testing.assert_allclose(shrunk.model(x), expected, atol=2e-6 * np.abs(expected).max())
    assert shrunk.parameters_after < 0.7 * shrunk.parameters_before
    assert shrunk.alarms == ()


def test_layers_of_each_kind_are_as_narrow_as_told():
    model = shrink(without_half(randomized(grouped(4, 12)))).model
    layer = model.get_layer("grouped")
    assert (layer.groups, layer.filters, layer.kernel.shape[-2]) == (4, 8, 1)
    layer = shrink(without_half(randomized(grouped(8, 16)))).model.get_layer("grouped")
    assert (layer.groups, layer.filters) == (4, 8)  # whole groups
    layer = shrink(without_half(randomized(attention()))).model.get_layer("attention")
    assert (layer.num_heads, layer.key_dim, layer.value_dim) == (2, 3, 2)


def test_embeddings_are_cut_too():
    words = layers.Embedding(9, 8, mask_zero=True, name="words")
    model = randomized(keras.Sequential([keras.Input((5,)), words, layers.GRU(6), layers.Dense(2)]))
    shrunk = remove_units(model, keep=0.5, scope="layerwise")
    assert {c.key: c.after for c in shrunk.layers} == {"words": 4, "gru": 3, "dense": 2}
    gates = 3 * (4 * 3 + 3 * 3)
    assert size_of(shrunk.model).multiply_adds == 5 * gates + 3 * 2


def test_a_unit_that_others_read_over_time_stays():
    """Nothing behind the layer reads unit 0, but its own recurrent weights do."""
    model = randomized(recurrent(layers.LSTM(4, name="lstm")))
    out = model.layers[-1].kernel
    out.assign(out.numpy() * np.array([[0], [1], [1], [1]]))
    assert shrink(model).removed == 0
    inside = model.layers[0].cell.recurrent_kernel
    inside.assign(inside.numpy() * np.array([[0], [1], [1], [1]]))
    assert shrink(model).model.layers[0].units == 3


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(4, stateful=True),
        layers.LSTM(4, activation="softmax"),
        layers.Bidirectional(layers.RNN(layers.LSTMCell(4))),
    ],
)
def test_what_is_not_promised_stays(layer):
    inputs = keras.Input((3, 4), batch_size=2)
    model = randomized(keras.Model(inputs, layers.Dense(2)(layer(layers.Dense(4)(inputs)))))
    for variable in model.weights[:2]:
        variable.assign(variable.numpy() * [1, 0, 0, 1])
    assert shrink(model).removed == 0


def test_masks_of_heads_hold_in_a_sparse_model():
    sparse = sparsify(randomized(attention()))
    structure = Channels(channel_groups(sparse))
    scores = {key: np.abs(named_variables(sparse)[key].numpy()) for key in get_mask(sparse)}
    set_mask(sparse, GlobalPruner(structure=structure).prune(scores, get_mask(sparse), 0.5))
    model = shrink(sparse).model
    found = {group.home: 0 for group in structure.groups}
    assert "attention/query/kernel" in found
    assert model.count_params() < 0.6 * sparse.count_params()


@keras.saving.register_keras_serializable("tests")
class Gated(layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, shape):
        self.values = self.add_weight(shape=(shape[-1], self.width), name="values")
        self.gate = self.add_weight(shape=(shape[-1], 2, self.width), name="gate")
        self.shift = self.add_weight(shape=(self.width,), name="shift")

    def call(self, x):
        gate = keras.ops.einsum("bi,igo->bo", x, self.gate)
        return keras.ops.matmul(x, self.values) * keras.ops.sigmoid(gate) + self.shift

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.width)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x):
        return x * self.scale


GATED = {"values": ("in", "out"), "gate": ("in", None, "out"), "shift": ("out",)}


@pytest.fixture
def own_rules(monkeypatch):
    monkeypatch.setattr(rules, "_OWN", {})
    register_rule(Gated, GATED, {"width": "out"})
    register_rule(Scaled, {"scale": ("in",)})


def gated():
    x = inputs = keras.Input((4,))
    x = Scaled(name="scaled")(Gated(6, name="first")(x))
    return randomized(keras.Model(inputs, layers.Dense(2)(Gated(5, name="second")(x))))


@pytest.mark.usefixtures("own_rules")
def test_a_layer_of_ones_own_is_cut_by_its_rule():
    shrunk = remove_units(gated(), keep=0.5, scope="layerwise")
    widths = {c.key: (c.before, c.after) for c in shrunk.layers}
    assert widths == {"first": (6, 3), "second": (5, 3), "dense": (2, 2)}
    assert shrunk.model.get_layer("scaled").scale.shape == (3,)


def test_without_a_rule_the_error_names_the_remedy(monkeypatch):
    monkeypatch.setattr(rules, "_OWN", {})
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Gated(6)(Gated(5)(inputs)))
    with pytest.raises(ModelError, match=r"class Gated see all.*register_rule"):
        remove_units(model, keep=0.5)


@pytest.mark.usefixtures("own_rules")
@pytest.mark.parametrize(
    ("weights", "width", "message"),
    [
        ({**GATED, "bias": ("out",)}, {"width": "out"}, "no attribute `bias`"),
        ({**GATED, "gate": ("in", "out")}, {"width": "out"}, "Each axis of a weight needs"),
        ({**GATED, "gate": ("in", "out", None)}, {"width": "out"}, "of which there are 6"),
        ({"values": ("in", "out"), "shift": ("out",)}, {"width": "out"}, "leaves|name all axes"),
        (GATED, {}, "leaves"),
    ],
)
def test_a_wrong_rule_is_an_error(weights, width, message):
    register_rule(Gated, weights, width)
    with pytest.raises(ModelError, match=message):
        remove_units(gated(), keep=0.5)


@pytest.mark.usefixtures("own_rules")
def test_a_rule_that_hides_a_dependence_is_caught():
    """The gate reads all inputs, which its axes don't tell; zeros alone make nobody dead."""

    @keras.saving.register_keras_serializable("tests")
    class Leaky(Gated):
        def call(self, x):
            return super().call(x) + keras.ops.sum(x + 1.0, axis=-1, keepdims=True)

    register_rule(Leaky, GATED, {"width": "out"})
    inputs = keras.Input((4,))
    hidden = layers.Dense(6, bias_initializer="ones")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(Leaky(3)(hidden)))
    with pytest.raises(ModelError, match="a rule is wrong, of Leaky"):
        remove_units(model, keep=0.5)


def test_bad_registrations_are_refused():
    with pytest.raises(ModelError, match="for a class of layers"):
        register_rule(layers.Dense(3), {"kernel": ("in", "out")})
    with pytest.raises(ModelError, match=r"The axis '4\*\*out' of `kernel`"):
        Rule({"kernel": ("in", "4**out")})
