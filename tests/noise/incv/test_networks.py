import random
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import Subclassed, batch, compiled, mlp

from tfticket.errors import ModelError
from tfticket.noise.incv.networks import (
    as_probabilities,
    check_loss,
    class_count,
    fresh_model,
    predict_held_out,
)
from tfticket.noise.losses import ForwardCorrection, GeneralizedCrossentropy
from tfticket.state import innermost_optimizer

pytestmark = pytest.mark.slow


def build(seed):
    return compiled(mlp((6, 8, 3)), run_eagerly=True)


def predict(build=build, **changes):
    x, y = batch(examples=40)
    arguments = {
        "train": np.arange(30),
        "held_out": np.arange(30, 40),
        "epochs": 2,
        "batch_size": 8,
        "decay": False,
        "seed": 0,
    }
    return predict_held_out(build, tf.constant(x), y, **{**arguments, **changes})


def test_the_seed_decides_also_where_the_builder_ignores_it():
    one, same, other = (predict(seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one.sum(axis=1), 1, rtol=1e-6)


def test_every_training_example_is_met_once_an_epoch_in_full_batches():
    seen = []

    class Recorder(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(keras.ops.cast(x, "float32"))

        def train_step(self, data):
            assert data[0].dtype == tf.uint8  # 8 times smaller than the floats of the paper's code
            seen.append(data[0].numpy()[:, 0])
            return super().train_step(data)

    def recording(seed):
        return compiled(Recorder(), run_eagerly=True)

    x = np.repeat(np.arange(20, dtype="uint8")[:, None], 6, axis=1)
    predict_held_out(
        recording,
        tf.constant(x),
        np.arange(20) % 3,
        train=np.arange(3, 13),
        held_out=np.arange(3),
        epochs=2,
        batch_size=4,
        decay=True,
        seed=0,
    )
    assert [len(ids) for ids in seen] == [4] * 6
    for epoch in (seen[:3], seen[3:]):
        assert set(np.concatenate(epoch)) == set(range(3, 13))
    assert not np.array_equal(seen[0], seen[3])


@pytest.mark.parametrize("scaled", [False, True])
def test_the_learning_rate_falls_to_nothing_however_long_the_training(scaled):
    made = []

    def constant(seed):
        optimizer = keras.optimizers.SGD(0.5)
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        made.append(optimizer)
        return compiled(mlp((6, 8, 3)), optimizer, run_eagerly=True)

    for count in (10, 30):
        predict(constant, decay=True, train=np.arange(count), batch_size=10)
        rate = innermost_optimizer(SimpleNamespace(optimizer=made[-1])).learning_rate
        assert float(rate) == pytest.approx(0, abs=1e-6)
    predict(constant)
    rate = innermost_optimizer(SimpleNamespace(optimizer=made[-1])).learning_rate
    assert float(rate) == pytest.approx(0.5)


def test_a_schedule_stays_as_it_is():
    made = []

    def scheduled(seed):
        made.append(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.9)))
        return compiled(mlp((6, 8, 3)), made[-1], run_eagerly=True)

    predict(scheduled, decay=True, train=np.arange(8))
    assert float(made[-1].learning_rate) == pytest.approx(0.5 * 0.9**2)


def test_fewer_examples_than_a_batch():
    assert predict(train=np.arange(3), batch_size=128).shape == (10, 3)


def test_global_generators_are_as_before():
    random.seed(5)
    state = random.getstate()
    predict(epochs=1)
    assert random.getstate() == state


def test_probabilities_get_no_second_softmax():
    rows = np.array([[0.7, 0.3], [0.01, 0.99]], np.float32)
    np.testing.assert_allclose(as_probabilities(rows), rows, rtol=1e-6)
    np.testing.assert_allclose(as_probabilities(np.log(rows) + 3), rows, rtol=1e-5)
    with pytest.raises(ModelError, match="lower learning rate"):
        as_probabilities(np.array([[np.nan, 1.0]]))


def test_a_used_optimizer_is_refused():
    # Restoring weights is not enough: the moments and the step count of Adam would go on.
    optimizer = keras.optimizers.Adam()

    def reuse(seed):
        model = mlp((6, 8, 3))
        optimizer.build(model.trainable_variables)
        optimizer.iterations.assign(12)
        return compiled(model, optimizer)

    with pytest.raises(ModelError, match="Received: 12 steps"):
        predict(reuse)


@pytest.mark.parametrize("build", [lambda seed: None, lambda seed: mlp((6, 3))])
def test_a_builder_must_give_compiled_models(build):
    with pytest.raises(ModelError, match="compiled"):
        fresh_model(build, 0)


def test_classes_are_counted_at_the_output():
    assert class_count(build(0)) == 3
    with pytest.raises(ModelError, match=r"2 classes or more.*two outputs"):
        class_count(compiled(mlp((6, 1))))


def test_a_subclassed_model_is_refused_by_name_built_or_not():
    model = Subclassed()
    for _ in range(2):
        with pytest.raises(ModelError, match=r"subclassed.*Received: 'subclassed'"):
            class_count(model)
        model(np.ones((1, 6)))


SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    "loss",
    [
        SPARSE,
        [SPARSE],
        {"output": SPARSE},
        "sparse_categorical_crossentropy",
        "crossentropy",
        GeneralizedCrossentropy(),
        ForwardCorrection(np.eye(3)),
        None,
    ],
)
def test_losses_of_integer_labels_are_taken(loss):
    model = mlp((6, 3))
    model.compile("sgd", loss)
    check_loss(model, 3)


@pytest.mark.parametrize(
    "loss",
    [
        "categorical_crossentropy",
        keras.losses.CategoricalCrossentropy(from_logits=True),
        "binary_crossentropy",
        "mse",
        keras.losses.kl_divergence,
        "categorical_hinge",
    ],
)
def test_losses_of_rows_are_refused_by_name(loss):
    # In a batch of as many examples as classes, each prediction was compared with every label.
    model = mlp((6, 3))
    model.compile("sgd", loss)
    with pytest.raises(ModelError, match=r"integer labels of shape.*SparseCategorical"):
        check_loss(model, 3)
