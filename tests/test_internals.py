"""What is used of Keras beyond its promises: a line that fails names what a release broke."""

import ast
from pathlib import Path

import helpers
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket import internals

pytestmark = pytest.mark.slow

PACKAGE = Path(internals.__file__).parent
layers = keras.layers


@pytest.fixture
def model():
    inputs = keras.Input((4,), name="x")
    x = layers.Dropout(0.5, seed=1, name="drop")(layers.Dense(3, name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="last")(x) + 1.0)
    model.compile(keras.optimizers.Adam(0.1, use_ema=True), "mse", metrics=["mae"])
    return model


def private_attributes(path):
    """Attributes of other objects than `self` that begin with one underscore."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }


def private_texts(path):
    """Text constants that name one attribute beginning with one underscore."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.isidentifier()
        and node.value.startswith("_")
        and not node.value.startswith("__")
    }


def test_no_other_module_names_a_private_attribute_of_keras():
    ours = Path(internals.__file__)
    names = private_attributes(ours)
    assert {"_flatten_layers", "_keras_history", "_functional"} <= names
    keras_attributes = set(vars(keras.Model(name="a"))) | set(dir(keras.optimizers.SGD()))
    kept = {name for name in keras_attributes if name.startswith("_") and name[1] != "_"}
    assert {"_loss_tracker", "_compile_metrics", "_trainable_variables"} <= kept
    for path in PACKAGE.rglob("*.py"):
        if path != ours and path.name != "_legacy.py":  # which is of tf_keras
            text = path.read_text(encoding="utf-8")
            assert "from keras.src" not in text, path
            assert "import keras.src" not in text, path
            assert not names & private_attributes(path), path
            assert not (names | kept | private_texts(ours)) & private_texts(path), path


def test_layers_tell_what_is_inside_and_what_they_made(model):
    outer = keras.Sequential([model, layers.Dense(1, name="end")])
    names = [layer.name for layer in internals.flat_layers(outer)]
    assert names[0] == outer.name
    assert {"first", "drop", "last", "end"} < set(names)
    given = keras.Sequential([keras.Input((4,), name="given"), layers.Dense(1)])
    assert internals.first_layer(given).name == "given"
    inside = internals.flat_layers(outer, itself=False, deep=False)
    assert [layer.name for layer in inside][-2:] == [model.name, "end"]
    first, drop = model.get_layer("first"), model.get_layer("drop")
    first.trainable = False
    assert [each.name for each in internals.own_weights(first)] == ["kernel", "bias"]
    norm = layers.BatchNormalization()
    norm.build((None, 3))
    assert len(internals.own_variables(norm)) == 4
    assert [state.shape for state in internals.own_seeds(drop)] == [(2,)]
    assert "training" in internals.call_parameters(drop)
    assert internals.takes_training(drop)
    assert not internals.takes_training(layers.Flatten())
    for name in internals.LISTED_VARIABLES:
        assert hasattr(first, name)
    assert isinstance(internals.backing_variable(first.kernel), tf.Variable)
    assert internals.build_shapes(norm) == {"input_shape": (None, 3)}
    assert internals.build_shapes(layers.Dense(3)) == {}
    norm.counts = tf.Variable(0)
    kept = {name for name in vars(norm) if not internals.set_by_keras(name)}
    assert {"counts", "axis", "epsilon"} < kept
    assert not {"_trainable", "_losses", "_build_shapes_dict", "_self_saveable"} & kept
    other = layers.Dense(3)
    internals.copy_trainable(first, other)
    internals.copy_masking(layers.Masking(), other)
    assert (other.trainable, other.supports_masking) == (False, True)


def test_graphs_tell_who_called_whom(model):
    nodes = [node.operation.name for node in internals.nodes_of(internals.graph_of(model))]
    assert nodes[:4] == ["x", "first", "drop", "last"]
    first = internals.maker_of(internals.input_structure(model))
    assert first.name == "x"
    assert [reader.name for reader in internals.readers_of(first)] == ["first"]
    assert len(internals.calls_of(model.get_layer("last"))) == 1
    sequential = keras.Sequential([layers.Dense(2)])
    assert internals.graph_of(sequential) is None
    sequential.build((None, 4))
    assert isinstance(internals.graph_of(sequential), internals.Functional)
    called = []

    def function_of(operation):
        called.append(operation.name)
        return operation

    x = np.ones((2, 4), "float32")
    answers = internals.run_graph(model, x, function_of)
    np.testing.assert_array_equal(answers, model(x))
    assert called[:3] == ["first", "drop", "last"]


def test_training_tells_what_it_keeps(model):
    x, y = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
    internals.build_by_batch(model, (x, y))
    optimizer, kernel = model.optimizer, model.get_layer("first").kernel
    assert internals.optimized(optimizer) == model.trainable_variables
    assert internals.updates_made(optimizer) == 0
    model.fit(x, y, batch_size=4, verbose=0)
    assert internals.updates_made(optimizer) == 2
    assert internals.place_in(optimizer, kernel) == 0
    assert internals.moving_average(optimizer, kernel).shape == kernel.shape
    first, second = internals.adam_moments(optimizer, kernel)
    assert np.any(first)
    assert np.all(second.numpy() >= 0)
    assert isinstance(internals.given_learning_rate(optimizer), keras.Variable)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 5)
    assert internals.given_learning_rate(keras.optimizers.SGD(schedule)) is schedule
    tracked = internals.compiled_metrics(model)
    assert {type(each).__name__ for each in tracked} == {"Mean", "CompileMetrics"}
    assert internals.compiled_metrics(keras.Sequential()) == []
    assert internals.compile_arguments(model)["loss"] == "mse"
    assert internals.training_loss(model, x, y, model(x), None).shape == ()
    internals.count_loss(model, 2.0, examples=8)
    like = layers.Layer()
    internals.copy_call(model.get_layer("drop"), like)
    assert internals.takes_training(like)


def test_validation_data_that_fit_keeps_can_be_replaced(model):
    x, y = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
    found = []

    class Looks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            found.append(internals.evaluation_data(self.model))
            internals.set_evaluation_data(self.model, found[-1])

    assert internals.evaluation_data(model) is None
    model.fit(x, y, validation_data=(x, y), callbacks=[Looks()], verbose=0)
    assert found[0] is not None
    assert callable(internals.with_optionals(model, lambda iterator: iterator))


def test_names_are_those_that_keras_gives():
    assert internals.to_snake_case("BatchNormalization") == "batch_normalization"
    assert internals.auto_name("thing").startswith("thing")
    ones = np.ones((2, 2), "float32")
    assert internals.get_loss("mse", ones, ones) is not None
    assert internals.in_safe_mode() in (None, True, False)
    assert keras.Model.compile is internals.Trainer.compile
    assert internals.get_keras_mask(helpers.mlp().inputs[0]) is None
    assert callable(internals.print_msg)
    assert callable(internals.no_automatic_dependency_tracking)
    internals.CompileMetrics(["mae"], None)
    internals.global_state.set_global_attribute("tfticket_test", 1)
    assert internals.global_state.get_global_attribute("tfticket_test") == 1


def test_a_step_becomes_a_function_as_that_of_fit(model):
    model.make_train_function()
    assert internals.is_function_of_keras(model.train_function)
    assert not internals.is_function_of_keras(lambda iterator: None)
    step = internals.function_of_steps(model, lambda batch: {"sum": tf.reduce_sum(batch)})
    iterator = iter(tf.data.Dataset.from_tensors(np.ones(3, np.float32)))
    assert float(step(iterator)["sum"]) == 3
    with pytest.raises(tf.errors.OutOfRangeError):
        step(iterator)
