import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.interop.rebuilding import new_layer, rebuild, unknown_settings

pytestmark = pytest.mark.slow


def layer(kind, name, nodes=(), **config):
    nodes = [[[*node, {}] for node in each] for each in nodes]
    return {"class_name": kind, "config": {"name": name, **config}, "inbound_nodes": nodes}


def given(name="given"):
    return layer("InputLayer", name, batch_input_shape=[None, 3], dtype="float32")


def functional(*layers, outputs, inputs=(("given", 0, 0),)):
    config = {
        "name": "net",
        "layers": list(layers),
        "input_layers": [list(node) for node in inputs],
        "output_layers": [list(node) for node in outputs],
    }
    return {"class_name": "Functional", "config": config}


def dense(name, *nodes):
    return layer("Dense", name, nodes, units=3)


def test_wrappers_are_taken_off_and_slashes_are_replaced():
    wrapped = layer(
        "PruneLowMagnitude",
        "prune_low_magnitude_a/b",
        [[("given", 0, 0)]],
        layer=layer("Dense", "a/b", units=3),
    )
    taken = dense("a_b", [("prune_low_magnitude_a/b", 0, 0)])
    rebuilt = rebuild(functional(given(), wrapped, taken, outputs=[("a_b", 0, 0)]))
    assert [each.name for each in rebuilt.model.layers] == ["given", "a_b", "a_b_1"]
    assert rebuilt.renamed == {"a/b": "a_b", "a_b": "a_b_1"}
    assert rebuilt.layers.keys() == {("prune_low_magnitude_a/b",), ("a_b",)}
    assert rebuilt.model.name == "net"


def test_calls_of_a_layer_keep_their_order():
    again = dense("again", [("given", 0, 0)], [("other", 0, 0)])
    other = dense("other", [("again", 0, 0)])
    rebuilt = rebuild(functional(given(), again, other, outputs=[("again", 1, 0)]))
    x = np.ones((1, 3), "float32")
    first, second = rebuilt.layers[("again",)], rebuilt.layers[("other",)]
    np.testing.assert_allclose(rebuilt.model(x), first(second(first(x))), rtol=1e-6)


def test_models_inside_count_how_they_were_made_as_their_first_call():
    inner = functional(given("inner_given"), dense("deep", [("inner_given", 0, 0)]), outputs=())
    inner["config"] |= {
        "name": "inner",
        "input_layers": [["inner_given", 0, 0]],
        "output_layers": [["deep", 0, 0]],
    }
    inner["inbound_nodes"] = [[["given", 0, 0, {}]], [["inner", 1, 0, {}]]]
    rebuilt = rebuild(functional(given(), inner, outputs=[("inner", 2, 0)]))
    x = np.ones((1, 3), "float32")
    deep = rebuilt.layers[("inner", "deep")]
    np.testing.assert_allclose(rebuilt.model(x), deep(deep(x)), rtol=1e-6)


def test_one_output_is_no_list_and_several_are():
    one = rebuild(functional(given(), dense("a", [("given", 0, 0)]), outputs=[("a", 0, 0)]))
    assert one.model.output.shape == (None, 3)
    outputs = [("a", 0, 0), ("given", 0, 0)]
    two = rebuild(functional(given(), dense("a", [("given", 0, 0)]), outputs=outputs))
    assert [each.shape for each in two.model.output] == [(None, 3), (None, 3)]


def test_tensors_among_the_keywords_of_a_call():
    attention = layer("MultiHeadAttention", "attention", num_heads=1, key_dim=2)
    attention["inbound_nodes"] = [[["given", 0, 0, {"value": ["other", 0, 0]}]]]
    both = [
        layer("InputLayer", name, batch_input_shape=[None, 4, 3], dtype="float32")
        for name in ("given", "other")
    ]
    inputs = [("given", 0, 0), ("other", 0, 0)]
    rebuilt = rebuild(functional(*both, attention, outputs=[("attention", 0, 0)], inputs=inputs))
    x, other = np.ones((1, 4, 3), "float32"), np.full((1, 4, 3), 2, "float32")
    expected = rebuilt.layers[("attention",)](x, value=other)
    np.testing.assert_allclose(rebuilt.model([x, other]), expected, rtol=1e-6)


def test_states_that_a_recurrent_layer_begins_with():
    sequence = layer("InputLayer", "given", batch_input_shape=[None, 4, 3], dtype="float32")
    state = layer("InputLayer", "state", batch_input_shape=[None, 2], dtype="float32")
    gru = layer("GRU", "gru", [[("given", 0, 0), ("state", 0, 0)]], units=2)
    inputs = [("given", 0, 0), ("state", 0, 0)]
    rebuilt = rebuild(functional(sequence, state, gru, outputs=[("gru", 0, 0)], inputs=inputs))
    x, begin = np.ones((1, 4, 3), "float32"), np.full((1, 2), 2, "float32")
    expected = rebuilt.layers[("gru",)](x, initial_state=[begin])
    np.testing.assert_allclose(rebuilt.model([x, begin]), expected, rtol=1e-6)


def test_a_sequential_model_inside_a_wrapper():
    inner = {
        "class_name": "Sequential",
        "config": {"name": "each", "layers": [given(), dense("a/b")]},
    }
    spread = layer("TimeDistributed", "spread", layer=inner)
    sequence = layer("InputLayer", "given", batch_input_shape=[None, 4, 3], dtype="float32")
    described = {"class_name": "Sequential", "config": {"name": "s", "layers": [sequence, spread]}}
    model = rebuild(described).model
    assert isinstance(model, keras.Sequential)
    assert model.output_shape == (None, 4, 3)


def test_all_settings_that_would_be_lost_are_named_at_once():
    fast = {"class_name": "Dense", "config": {"name": "a", "units": 3, "speed": 1}}
    wrapped = layer("PruneLowMagnitude", "p", [[("a", 0, 0)]], layer={**fast})
    fast = {**fast, "inbound_nodes": [[["given", 0, 0, {}]]]}
    with pytest.raises(ModelError, match=r"`a` \(Dense\): speed=1; `a` \(Dense\): speed=1"):
        rebuild(functional(given(), fast, wrapped, outputs=[("p", 0, 0)]))


def test_layers_that_nothing_leads_to():
    loop = functional(
        given(), dense("a", [("b", 0, 0)]), dense("b", [("a", 0, 0)]), outputs=[("b", 0, 0)]
    )
    with pytest.raises(ModelError, match=r"Received: \['a', 'b'\], which nothing leads to"):
        rebuild(loop)


def test_a_layer_that_takes_something_else_in_keras_3():
    two = [("given", 0, 0), ("given", 0, 0)]
    with pytest.raises(ModelError, match=r"`a` \(Dense\), which doesn't: "):
        rebuild(functional(given(), dense("a", two), outputs=[("a", 0, 0)]))


def described(kind, **config):
    return {"class_name": kind, "config": {"name": "x", "trainable": True, **config}}


def made(kind, **config):
    return new_layer(described(kind, **config), name="new", inside=no_layer_inside)


def no_layer_inside(layer):
    raise AssertionError(f"there is no layer inside: {layer}")


def test_settings_keep_their_meaning_under_other_names():
    assert made("LeakyReLU", alpha=0.2).negative_slope == 0.2
    assert made("BatchNormalization", axis=[3]).axis == 3
    policy = {"class_name": "Policy", "config": {"name": "float64"}}
    assert made("Dense", units=2, dtype=policy).compute_dtype == "float64"


def test_initializers_regularizers_and_constraints_come_along():
    layer = made(
        "Dense",
        units=2,
        kernel_initializer={"class_name": "HeNormal", "config": {"seed": 3}},
        kernel_regularizer={"class_name": "L2", "config": {"l2": 0.5}},
        bias_constraint={"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}},
    )
    assert isinstance(layer.kernel_initializer, keras.initializers.HeNormal)
    assert layer.kernel_initializer.seed == 3
    assert layer.kernel_regularizer.l2 == 0.5
    assert layer.bias_constraint.max_value == 2


def test_a_layer_in_the_place_of_an_activation():
    leaky = {"class_name": "LeakyReLU", "config": {"name": "leaky", "alpha": 0.1}}
    layer = new_layer(
        described("Dense", units=2, activation=leaky),
        name="new",
        inside=lambda inner: new_layer(inner, name="leaky", inside=no_layer_inside),
    )
    assert layer.activation.negative_slope == 0.1


def test_frozen_layers_stay_frozen():
    assert not made("SpatialDropout2D", rate=0.5, trainable=False).trainable
    assert made("Dense", units=2).name == "new"


def test_settings_without_effect_are_known():
    assert unknown_settings(described("LSTM", units=2, time_major=False, implementation=2)) == []
    assert unknown_settings(described("DepthwiseConv2D", kernel_size=3, groups=1)) == []
    assert unknown_settings(described("InputLayer", anything=1)) == []


def test_settings_that_would_be_lost_are_told():
    told = unknown_settings(described("DepthwiseConv2D", kernel_size=3, groups=2, speed="high"))
    assert told == ["`x` (DepthwiseConv2D): groups=2", "`x` (DepthwiseConv2D): speed='high'"]


def test_what_keras_3_refuses_is_told():
    with pytest.raises(ModelError, match=r"`x` \(Dense\), which Keras 3 refuses: .*-1"):
        made("Dense", units=-1)
