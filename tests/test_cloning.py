import helpers
import keras
import numpy as np
import pytest

from tfticket.cloning import clone, copy_layer, copy_state
from tfticket.errors import ModelError
from tfticket.state import named_variables

pytestmark = pytest.mark.usefixtures("seeded")

layers = keras.layers


def nested():
    """A shared layer, a nested Sequential with a norm, a function in the graph, a residual."""
    inputs = keras.Input((6, 6, 3), name="image")
    block = keras.Sequential(
        [keras.Input((6, 6, 3)), layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()],
        name="block",
    )
    x = keras.ops.add(block(block(inputs)), inputs)
    outputs = layers.Dense(2, name="output")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, outputs, name="nested")


def test_a_copy_computes_the_same_and_shares_nothing():
    model = nested()
    copy, pairs = clone(model, copy_layer, instead="")
    for old, new in pairs:
        copy_state(old, new)
    x, _ = helpers.batch((6, 6, 3))
    np.testing.assert_array_equal(copy(x), model(x))
    assert list(named_variables(copy)) == list(named_variables(model))
    mine = {id(v) for v in model.variables}
    assert not mine & {id(v) for v in copy.variables}
    assert [type(old).__name__ for old, _ in pairs] == [
        "Conv2D",
        "BatchNormalization",
        "GlobalAveragePooling2D",
        "Dense",
    ]
    assert copy.inputs[0]._keras_history.operation.name == "image"


def test_what_is_left_out_passes_its_input_on():
    model = nested()

    def without_norm(layer):
        return None if isinstance(layer, layers.BatchNormalization) else copy_layer(layer)

    copy, pairs = clone(model, without_norm, instead="")
    for old, new in pairs:
        if new is not None:
            copy_state(old, new)
    assert [type(layer).__name__ for layer in copy.get_layer("block").layers] == ["Conv2D"]
    x, _ = helpers.batch((6, 6, 3))
    conv = model.get_layer("block").layers[0]
    pooled = (conv(conv(x)) + x).numpy().mean((1, 2))
    np.testing.assert_allclose(copy(x), model.get_layer("output")(pooled), atol=1e-5)


def test_a_layer_that_knows_no_masks_can_stand_for_one_that_does():
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(name="norm")(inputs, mask=None)
    model = keras.Model(inputs, layers.Flatten()(x))
    copy, _ = clone(
        model,
        lambda old: layers.ReLU(name="r") if old.name == "norm" else copy_layer(old),
        instead="",
    )
    x, _ = helpers.batch((4, 4, 2))
    np.testing.assert_array_equal(copy(x), np.maximum(x, 0).reshape(16, -1))


def test_a_subclassed_model_is_refused_with_what_to_do_instead():
    with pytest.raises(ModelError, match=r"class Subclassed\. Do this\."):
        clone(helpers.Subclassed(), copy_layer, instead="Do this.")
