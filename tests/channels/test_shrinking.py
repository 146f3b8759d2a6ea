"""A shrunk model answers as before, on every kind of graph, and says what it took away."""

import keras
import numpy as np
import pytest
from helpers import Subclassed, mlp
from hypothesis import given
from hypothesis import strategies as st
from random_graphs import build, randomize

import tfticket
from tfticket import models
from tfticket.channels import rebuild, shrink
from tfticket.errors import InvariantError, ModelError
from tfticket.sparsity import get_mask, set_mask
from tfticket.state import prunable_variables

pytestmark = pytest.mark.slow

layers = keras.layers


def answers(model, x):
    return np.asarray(model(x, training=False))


def change_of(shrunk, key):
    return next((change.before, change.after) for change in shrunk.layers if change.key == key)


@given(seed=st.integers(0, 2**32 - 1))
def test_random_graphs_answer_as_before(seed):
    model = build(seed)
    shrunk = shrink(model)
    x = np.random.default_rng(1).normal(size=(4, 7, 6, 3)).astype(np.float32)
    expected = answers(model, x)
    scale = max(1.0, np.abs(expected).max())
    assert np.abs(answers(shrunk.model, x) - expected).max() <= 1e-5 * scale
    assert shrunk.parameters_after <= shrunk.parameters_before + 8 * len(model.layers)  # new biases


def test_random_graphs_do_shrink():
    shrunk = [shrink(build(seed)) for seed in range(12)]
    assert sum(found.removed > 0 for found in shrunk) >= 8
    assert all(found.layers for found in shrunk)


@pytest.mark.parametrize("name", [name for name in models.MODELS if name != "dln"])
@pytest.mark.parametrize("sparsity", [0.9, 0.98, 0.995])
def test_the_zoo_answers_as_before(name, sparsity):
    model = models.build(name, (32, 32, 3), 10, width=0.25)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        values = rng.normal(size=variable.shape) * 0.2
        if variable.name == "kernel":
            values *= rng.random(values.shape) >= sparsity
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.name else values)
    shrunk = shrink(model)
    x = rng.normal(size=(3, 32, 32, 3)).astype(np.float32)
    expected = answers(model, x)
    difference = np.abs(answers(shrunk.model, x) - expected).max()
    assert difference <= 1e-5 * max(1.0, np.abs(expected).max())
    if sparsity == 0.995:
        assert shrunk.removed > 0


def test_the_deep_linear_network_too(seeded):
    model = models.build("dln", (10,), 10)
    for variable in prunable_variables(model).values():
        variable.assign(variable.numpy() * (np.random.default_rng(0).random(variable.shape) > 0.9))
    assert shrink(model).removed > 0


def test_a_unit_that_nothing_reads_goes(seeded):
    model = mlp((6, 5, 4, 3))
    kernel = model.layers[1].kernel.numpy()
    kernel[[1, 3]] = 0.0
    model.layers[1].kernel.assign(kernel)
    shrunk = shrink(model)
    assert change_of(shrunk, "hidden_0") == (5, 3)
    assert shrunk.model.layers[0].units == 3


def test_a_constant_goes_into_the_next_bias(seeded):
    model = mlp((6, 5, 4, 3), activation="sigmoid")
    kernel, bias = model.layers[0].kernel.numpy(), np.full(5, 0.7, np.float32)
    kernel[:, 2] = 0.0
    model.layers[0].kernel.assign(kernel)
    model.layers[0].bias.assign(bias)
    shrunk = shrink(model)
    assert change_of(shrunk, "hidden_0") == (5, 4)
    constant = 1 / (1 + np.exp(-0.7))
    added = constant * model.layers[1].kernel.numpy()[2]
    np.testing.assert_allclose(shrunk.model.layers[1].bias.numpy(), added, rtol=1e-5)


def test_a_layer_without_bias_gets_one_for_constants(seeded):
    inputs = keras.Input((4,))
    hidden = layers.Dense(3, name="hidden")
    model = keras.Model(inputs, layers.Dense(2, use_bias=False, name="out")(hidden(inputs)))
    hidden.kernel.assign(hidden.kernel.numpy() * [1, 0, 1])
    hidden.bias.assign([0.0, 2.0, 0.0])
    shrunk = shrink(model)
    assert shrunk.model.get_layer("out").use_bias
    assert shrunk.removed == 1


def test_constants_that_meet_zero_padding_share_one_carrier(seeded):
    x = inputs = keras.Input((5, 5, 2))
    first = layers.Conv2D(6, 3, padding="same", name="first")
    x = layers.Conv2D(3, 3, padding="same", name="second")(first(x))
    model = keras.Model(inputs, layers.GlobalMaxPooling2D()(x))
    first.kernel.assign(first.kernel.numpy() * [1, 0, 0, 0, 1, 1])
    first.bias.assign([0.1, 1.0, -2.0, 0.5, 0.0, 0.0])
    shrunk = shrink(model)
    assert change_of(shrunk, "first") == (6, 4)  # three constants became one
    data = np.random.default_rng(0).normal(size=(4, 5, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(answers(shrunk.model, data), answers(model, data), atol=1e-5)


def test_a_residual_channel_goes_only_when_all_branches_are_dead(seeded):
    def network(dead_shortcut):
        x = inputs = keras.Input((4, 4, 3))
        stem = layers.Conv2D(4, 1, name="stem", use_bias=False)
        branch = layers.Conv2D(4, 3, padding="same", name="branch", use_bias=False)
        x = stem(x)
        x = layers.Add()([x, branch(x)])
        model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
        branch.kernel.assign(branch.kernel.numpy() * [1, 0, 1, 1])
        if dead_shortcut:
            stem.kernel.assign(stem.kernel.numpy() * [1, 0, 1, 1])
        return model

    assert shrink(network(dead_shortcut=False)).removed == 0
    shrunk = shrink(network(dead_shortcut=True))
    assert change_of(shrunk, "stem") == change_of(shrunk, "branch") == (4, 3)


def test_a_collapse_raises_an_alarm(seeded):
    model = mlp((6, 8, 4, 3))
    model.layers[0].kernel.assign(model.layers[0].kernel.numpy() * (np.arange(8) == 3))
    (alarm,) = shrink(model).alarms
    assert "`hidden_0` collapsed: 1 of its 8 units" in alarm


def test_a_dead_network_is_called_dead(seeded):
    model = mlp((6, 8, 4, 3))
    model.layers[1].kernel.assign(np.zeros((8, 4)))
    model.layers[1].bias.assign([1.0, 2.0, 3.0, 4.0])
    shrunk = shrink(model)
    assert any("dead" in alarm for alarm in shrunk.alarms)
    data = np.ones((2, 6), np.float32)
    np.testing.assert_allclose(answers(shrunk.model, data), answers(model, data), atol=1e-6)


def test_a_healthy_network_raises_none_and_is_left_alone(seeded):
    model = mlp((6, 8, 4, 3))
    shrunk = shrink(model)
    assert (shrunk.layers, shrunk.removed, shrunk.alarms) == ((), 0, ())
    assert shrunk.parameters_after == shrunk.parameters_before == model.count_params()


def test_masks_of_a_sparsified_model_count(seeded):
    sparse = tfticket.sparsify(mlp((6, 5, 4, 3)))
    arrays = {key: np.array(array) for key, array in get_mask(sparse).items()}
    arrays["hidden_0/kernel"][:, 0] = False
    set_mask(sparse, tfticket.Mask(arrays))
    shrunk = shrink(sparse)
    assert change_of(shrunk, "hidden_0") == (5, 4)
    assert not any("Masked" in type(layer).__name__ for layer in shrunk.model.layers)


def test_a_model_of_mixed_precision_is_shrunk_in_full(seeded):
    keras.config.set_dtype_policy("mixed_float16")
    model = mlp((6, 5, 4, 3), activation="sigmoid")
    kernel = model.layers[0].kernel
    kernel.assign(kernel.numpy() * [1, 0, 1, 0, 1])
    shrunk = shrink(model)
    assert change_of(shrunk, "hidden_0") == (5, 3)
    assert {layer.compute_dtype for layer in shrunk.model.layers} == {"float32"}
    assert model.layers[0].compute_dtype == "float16"


def test_the_model_is_not_changed(seeded):
    model = build(3)
    before = [np.array(variable) for variable in model.weights]
    shrink(model)
    for old, variable in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


@pytest.mark.parametrize("inner", ["nested", "shared", "grouped", "channels_first"])
def test_what_is_unknown_stays(seeded, inner):
    x = inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(4, 1, name="first")(x)
    if inner == "nested":
        x = keras.Sequential([keras.Input((4, 4, 4)), layers.Conv2D(4, 1)])(x)
    elif inner == "shared":
        shared = layers.Conv2D(4, 1)
        x = shared(shared(x))
    elif inner == "grouped":
        x = layers.Conv2D(4, 1, groups=2)(x)
    else:
        x = layers.GlobalAveragePooling2D(data_format="channels_first", keepdims=True)(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    first = model.get_layer("first")
    first.kernel.assign(first.kernel.numpy() * [1, 0, 0, 1])
    shrunk = shrink(model)
    assert change_of(shrunk, "first") == (4, 4)


def test_several_inputs_and_outputs(seeded):
    left, right = keras.Input((3,), name="left"), keras.Input((4,), name="right")
    hidden = [layers.Dense(5, "relu")(left), layers.Dense(5, "relu")(right)]
    x = layers.Concatenate()(hidden)
    model = keras.Model({"left": left, "right": right}, [layers.Dense(2)(x), hidden[0]])
    randomize(model, np.random.default_rng(0))
    shrunk = shrink(model)
    given = {"left": np.ones((2, 3), np.float32), "right": np.ones((2, 4), np.float32)}
    for old, new in zip(model(given), shrunk.model(given), strict=True):
        np.testing.assert_allclose(np.asarray(new), np.asarray(old), atol=1e-5)


def test_a_subclassed_model_is_refused():
    model = Subclassed()
    model(np.ones((1, 4), np.float32))
    with pytest.raises(ModelError, match="copied layer by layer"):
        shrink(model)


def test_a_wrong_copy_is_caught(seeded, monkeypatch):
    def wrong(step, constants, removal):
        kernel, bias = right(step, constants, removal)
        return kernel * 1.001, bias

    right = rebuild._folded
    monkeypatch.setattr(rebuild, "_folded", wrong)
    with pytest.raises(InvariantError, match="They must be equal to"):
        shrink(build(2))
