import helpers
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.answers import require_same
from tfticket.cloning import clone
from tfticket.errors import InvariantError, ModelError

pytestmark = pytest.mark.usefixtures("seeded")

layers = keras.layers


class Hidden(layers.Layer):
    """Computes with what nobody can see: a list of a class of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.holder = type("Holder", (), {"factor": 1.0})()

    def call(self, inputs):
        return inputs * self.holder.factor


class Unseeded(layers.Layer):
    def call(self, inputs):
        return inputs + tf.random.normal(tf.shape(inputs))


class FromKeras(layers.Layer):
    def call(self, inputs):
        return inputs + keras.random.normal(keras.ops.shape(inputs))


class Counts(layers.Layer):
    """Writes to a variable that Keras doesn't know, each time it is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = tf.Variable(0)

    def call(self, inputs):
        self.calls.assign_add(1)
        return inputs


class Fails(layers.Layer):
    """Takes nothing but large numbers."""

    def call(self, inputs):
        tf.debugging.assert_greater(inputs, 40.0)
        return inputs


def model_of(*parts, last=True):
    return keras.Sequential([keras.Input((4,)), *parts, *([layers.Dense(3)] if last else [])])


def test_a_layer_that_lost_something_is_named():
    hidden = Hidden(name="mine")
    model = model_of(layers.Dense(4), hidden)
    hidden.holder.factor = 2.0
    with pytest.raises(ModelError, match=r"layer 'mine' of the class Hidden.*by 0\.5.*`save_own_v"):
        clone(model, instead="")


def test_it_is_named_in_a_nested_model_and_beside_others_on_purpose():
    hidden = Hidden(name="mine")
    model = keras.Sequential([keras.Input((4,)), model_of(hidden), layers.Dense(2, name="last")])
    hidden.holder.factor = 2.0
    for same in (True, False):
        with pytest.raises(ModelError, match="'mine'"):
            clone(
                model,
                lambda old, copy: layers.Dense(2) if old.name == "last" else copy(old),
                instead="",
                same=same,
            )


def test_answers_that_differ_by_no_layer_s_fault_are_ours():
    model = helpers.mlp()

    def fill(old, new):
        new.set_weights([1.01 * array for array in old.get_weights()])

    with pytest.raises(InvariantError, match=r"differ by 0\.0.*report the model"):
        clone(
            model,
            lambda old, copy: layers.Dense(3) if old.name == "output" else copy(old),
            instead="",
            fill=fill,
        )


def test_rounding_that_a_model_amplifies_is_rounding():
    x = inputs = keras.Input((4,))
    for _ in range(3):
        x = layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(0, 5))(x)
        x = keras.ops.sin(x)
    model = keras.Model(inputs, x)
    copy = clone(model, instead="").model
    for variable in copy.trainable_variables:
        variable.assign(variable * (1 + 2.0**-23))
    assert require_same(model, copy, {}) > 1e-5
    copy.layers[-1].kernel.assign(model.layers[-1].kernel * 1.5)
    with pytest.raises(InvariantError):
        require_same(model, copy, {})


@pytest.mark.parametrize("layer", [Unseeded, FromKeras])
def test_random_answers_are_not_compared(layer):
    clone(model_of(layer(), layers.Dense(2)), instead="")


def test_no_trace_is_left():
    counts = Counts()
    model = model_of(counts, layers.BatchNormalization(), layers.Dropout(0.5))
    before = [np.array(v) for v in model.variables]
    clone(model, instead="")
    assert int(counts.calls) == 0
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(np.array(new), old)


def test_a_model_that_takes_no_made_up_input_is_copied_with_a_warning():
    model = model_of(Fails())
    with pytest.warns(UserWarning, match=r"couldn't be compared.*accepts none of the.*of yours"):
        copy = clone(model, instead="").model
    x = np.full((1, 4), 50.0, "float32")
    np.testing.assert_array_equal(copy(x), model(x))


def test_half_precision_is_compared_as_such():
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert clone(helpers.mlp(), instead="").difference == 0


def test_each_kind_of_input_is_made_up():
    inputs = [
        keras.Input((3,), dtype="int32"),
        keras.Input((None,), dtype="float32"),
        keras.Input((2,), dtype="bool"),
        keras.Input((2,), dtype="string"),
        keras.Input((3,), sparse=True),
        keras.Input((None,), ragged=True, dtype="int32"),
    ]
    table = layers.Embedding(2, 3)
    parts = [
        layers.Flatten()(table(inputs[0])),
        keras.ops.sum(inputs[1], axis=1, keepdims=True),
        keras.ops.cast(inputs[2], "float32"),
        keras.ops.cast(layers.Hashing(3)(inputs[3]), "float32"),
        layers.Dense(2)(inputs[4]),
        layers.GlobalAveragePooling1D()(table(inputs[5])),
    ]
    clone(keras.Model(inputs, layers.Concatenate()(parts)), instead="")
