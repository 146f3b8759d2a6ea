"""A copy is the model: whatever layers keep, and whatever stands in the graph."""

import copied_models
import helpers
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfticket
from tfticket.channels import shrink
from tfticket.cloning import clone
from tfticket.errors import ModelError
from tfticket.norms import fold_batch_norm, swap_norm
from tfticket.state import named_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

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


def answers(model, x):
    return [np.asarray(each) for each in keras.tree.flatten(model(x, training=False))]


def check_copy(model, copy, x):
    for old, new in zip(answers(model, x), answers(copy, x), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-5)


def test_a_copy_computes_the_same_and_shares_nothing():
    model = nested()
    copy, pairs, difference = clone(model, instead="")
    x, _ = helpers.batch((6, 6, 3))
    np.testing.assert_array_equal(copy(x), model(x))
    assert difference == 0
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


@pytest.mark.parametrize("name", copied_models.MODELS)
def test_a_copy_keeps_whatever_a_layer_keeps(name):
    model, x = copied_models.MODELS[name]()
    before = [np.array(variable) for variable in model.variables]
    copy = clone(model, instead="").model
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)
    check_copy(model, copy, x)


@pytest.mark.parametrize(
    "make",
    [
        tfticket.sparsify,
        lambda model: tfticket.strip(tfticket.sparsify(model)),
        lambda model: fold_batch_norm(model).model,
        lambda model: swap_norm(model, "batch").model,
        lambda model: shrink(model).model,
    ],
    ids=["sparsify", "strip", "fold_batch_norm", "swap_norm", "shrink"],
)
def test_whoever_copies_keeps_it_and_so_does_the_file(make, tmp_path):
    inputs = keras.Input((3,), dtype="string", name="words"), keras.Input((4,), name="numbers")
    words = layers.Embedding(9, 4)(copied_models.lookup(layers.StringLookup, ["a", "b"])(inputs[0]))
    x = layers.Concatenate()(
        [layers.Flatten()(words), copied_models.adapted(layers.Normalization())(inputs[1])]
    )
    x = layers.BatchNormalization()(layers.Dense(6, name="hidden")(x))
    model = keras.Model(inputs, layers.Dense(2)(layers.ReLU()(x)))
    model.get_layer("hidden").kernel.assign(np.eye(16, 6))  # with zeros for `shrink`
    given = [tf.constant([["a", "b", "other"]]), tf.constant([[40.0, 50, 60, 70]])]
    copy = make(model)
    check_copy(model, copy, given)
    copy.save(tmp_path / "copy.keras")
    check_copy(copy, keras.models.load_model(tmp_path / "copy.keras"), given)


def test_random_layers_go_on_with_the_same_random_numbers():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.RandomFlip(), layers.RandomContrast(0.5), layers.Flatten()]
    )
    x, _ = helpers.batch((8, 8, 3))
    model(x, training=True)  # so that the states aren't those of the beginning
    copy = clone(model, instead="").model
    np.testing.assert_array_equal(copy(x, training=True), model(x, training=True))


def test_what_is_frozen_stays_frozen_and_can_be_thawed():
    base = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(4)])
    model = keras.Sequential([keras.Input((4,)), base, layers.Dense(2)])
    base.trainable = False
    base.layers[0].trainable = True
    base.layers[1].kernel.trainable = True  # and not its bias
    copy = clone(model, instead="").model
    for old, new in zip(model._flatten_layers(), copy._flatten_layers(), strict=True):
        assert isinstance(old, layers.InputLayer) or new.trainable == old.trainable
        assert len(new.trainable_variables) == len(old.trainable_variables)
    copy.layers[0].layers[1].trainable = copy.layers[0].trainable = True
    assert len(copy.trainable_variables) == 6


def test_what_is_left_out_passes_its_input_on():
    model = nested()

    def without_norm(layer, copy):
        return None if isinstance(layer, layers.BatchNormalization) else copy(layer)

    copy = clone(model, without_norm, instead="", same=False).model
    assert [type(layer).__name__ for layer in copy.get_layer("block").layers] == ["Conv2D"]
    x, _ = helpers.batch((6, 6, 3))
    conv = model.get_layer("block").layers[0]
    pooled = (conv(conv(x)) + x).numpy().mean((1, 2))
    np.testing.assert_allclose(copy(x), model.get_layer("output")(pooled), atol=1e-5)


def test_what_stands_for_another_layer_is_filled():
    model = nested()

    def wider(layer, copy):
        return layers.Dense(2, name="output") if layer.name == "output" else copy(layer)

    def fill(old, new):
        assert old.name == "output"
        new.set_weights(old.get_weights())

    assert clone(model, wider, instead="", fill=fill).difference == 0


def test_a_layer_that_knows_no_masks_can_stand_for_one_that_does():
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(name="norm")(inputs, mask=None)
    model = keras.Model(inputs, layers.Flatten()(x))
    copy = clone(
        model,
        lambda old, copy: layers.ReLU(name="r") if old.name == "norm" else copy(old),
        instead="",
        same=False,
    ).model
    x, _ = helpers.batch((4, 4, 2))
    np.testing.assert_array_equal(copy(x), np.maximum(x, 0).reshape(16, -1))


def test_operations_keep_their_names_also_where_others_were_counted():
    inputs = keras.Input((4,))
    x = inputs + layers.Dense(4)(inputs)
    x = layers.Add()([x, layers.Dense(4)(x)])
    model = keras.Model(inputs, keras.ops.relu(x) - inputs)
    names = [operation.name for operation in model.operations]
    keras.backend.clear_session()
    copy = clone(model, instead="").model
    assert [operation.name for operation in copy.operations] == names


def test_inputs_stay_sparse():
    inputs = keras.Input((4,), sparse=True)
    copy = clone(keras.Model(inputs, layers.Dense(2)(inputs)), instead="").model
    assert copy.inputs[0].sparse


def own_loss(y, p):
    return keras.ops.mean(keras.ops.abs(y - p))


class OwnMetric(keras.metrics.Mean):
    """Nobody registered it."""


class OwnOptimizer(keras.optimizers.SGD):
    """Nobody registered it."""


@pytest.mark.parametrize("loss", ["mse", own_loss, lambda y, p: keras.ops.mean((y - p) ** 2)])
def test_a_compilation_is_kept_whatever_it_holds(loss):
    model = helpers.mlp()
    schedule = keras.optimizers.schedules.CosineDecay(0.5, 10)
    metrics = ["mae", own_loss, lambda y, p: keras.ops.mean(y), keras.metrics.MeanSquaredError()]
    model.compile(OwnOptimizer(schedule), loss, metrics=metrics, steps_per_execution=2)
    copy = clone(model, instead="").model
    assert type(copy.optimizer) is OwnOptimizer
    assert copy.optimizer is not model.optimizer
    assert float(copy.optimizer.learning_rate) == 0.5
    assert copy.loss is loss
    assert copy.steps_per_execution == 2
    x, _ = helpers.batch()
    y = np.ones((16, 3))
    assert copy.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


def test_the_learning_rate_that_was_set_is_kept():
    model = helpers.compiled(helpers.mlp(), "adam")
    model.optimizer.learning_rate = 0.25
    assert float(clone(model, instead="").model.optimizer.learning_rate) == 0.25


class CompiledItsWay(keras.Model):
    """A graph with a `compile` of its own, which it tells Keras how to repeat."""

    def compile(self, optimizer, *, factor, **kwargs):
        super().compile(optimizer, "mse", **kwargs)
        self.factor = factor

    def get_compile_config(self):
        return {"optimizer": "sgd", "factor": self.factor}

    def compile_from_config(self, config):
        self.compile(**config)


def test_a_compilation_of_its_own_is_repeated():
    inputs = keras.Input((4,))
    model = CompiledItsWay(inputs, layers.Dense(2)(inputs))
    model.compile("sgd", factor=3)
    copy = clone(model, instead="").model
    assert (type(copy), copy.factor) == (CompiledItsWay, 3)
    assert copy.optimizer is not model.optimizer


class Doubled(keras.Sequential):
    """More than its layers."""

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training)


class Constructed(keras.Model):
    """A graph made by the constructor, with a step of its own."""

    def __init__(self, units):
        inputs = keras.Input((4,))
        super().__init__(inputs, layers.Dense(units)(inputs), name="constructed")

    def train_step(self, data):
        return super().train_step(data)


class Tripled(Constructed):
    """One that does more than its graph, too."""

    def call(self, inputs, training=None):
        return 3 * super().call(inputs, training=training)


def test_a_class_that_does_more_than_its_layers_is_kept_or_refused():
    model = Doubled([keras.Input((4,)), layers.Dense(2)])
    copy = clone(model, instead="").model
    assert type(copy) is Doubled
    check_copy(model, copy, np.ones((2, 4), "float32"))
    with pytest.raises(ModelError, match=r"'constructed' of the class Tripled.*overrides `call`"):
        clone(Tripled(2), instead="")


def test_a_training_step_that_is_lost_is_told_by_who_makes_copies_for_training():
    with pytest.warns(UserWarning, match=r"trained by Keras' own train_step.*Constructed"):
        tfticket.sparsify(Constructed(2))
    clone(Constructed(2), instead="")  # to predict with, it is the same


def test_a_subclassed_model_is_refused_with_what_to_do_instead():
    with pytest.raises(ModelError, match=r"class Subclassed\. Do this\."):
        clone(helpers.Subclassed(), instead="Do this.")
