import helpers
import keras
import numpy as np
import pytest

from tfticket.norms.layers import LpBatchNorm, NoisyBatchNorm
from tfticket.state import Snapshot
from tfticket.statistics import batch_statistics, eval_norm, predict, recalibrate

pytestmark = pytest.mark.usefixtures("seeded")

layers = keras.layers
IMAGE = (4, 4, 3)


def normed(norm):
    model = keras.Sequential([keras.Input(IMAGE), norm])
    x, _ = helpers.batch(IMAGE, examples=12)
    return model, 2 * x + 1


def state(model):
    return Snapshot.capture(model, step=0).variables


@pytest.mark.parametrize(
    "norm",
    [
        lambda: layers.BatchNormalization(epsilon=1e-5, beta_initializer="ones"),
        lambda: layers.BatchNormalization(scale=False, center=False),
        lambda: LpBatchNorm(1, gamma_initializer="ones"),
        lambda: LpBatchNorm("inf"),
    ],
    ids=["batch", "bare", "l1", "linf"],
)
def test_batches_are_normalized_as_in_training_and_nothing_is_written(norm):
    model, x = normed(norm())
    before = state(model)
    ordinary = model(x, training=False).numpy()
    with batch_statistics(model):
        found = predict(model, x, batch_size=4)
    for key, array in state(model).items():
        np.testing.assert_array_equal(array, before[key])
    np.testing.assert_array_equal(model(x, training=False), ordinary)
    for part in range(0, 12, 4):
        expected = model(x[part : part + 4], training=True)
        np.testing.assert_allclose(found[part : part + 4], expected, atol=1e-5)


def test_dropout_and_noise_are_off():
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dropout(0.5), NoisyBatchNorm(), layers.Dropout(0.5)]
    )
    x, _ = helpers.batch()
    with batch_statistics(model):
        found = model(x, training=False).numpy()
    np.testing.assert_allclose(found, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), atol=1e-5)


def test_each_example_is_among_as_many_others():
    model, x = normed(layers.BatchNormalization())
    with batch_statistics(model):
        found = predict(model, x[:10], batch_size=4)
        last = model(x[6:10], training=False).numpy()
        few = predict(model, x[:3], batch_size=4)
        all_three = model(x[:3], training=False).numpy()
    assert found.shape == (10, *IMAGE)
    np.testing.assert_allclose(found[8:], last[2:], atol=1e-6)
    np.testing.assert_allclose(few, all_three, atol=1e-6)


def test_predictions_have_the_structure_of_the_model():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    model = keras.Model({"a": a, "b": b}, {"sum": layers.Concatenate()([a, b]), "a": a})
    given = {"a": np.ones((5, 3), "float32"), "b": np.zeros((5, 2), "float32")}
    found = predict(model, given, batch_size=2)
    assert {name: array.shape for name, array in found.items()} == {"sum": (5, 5), "a": (5, 3)}
    np.testing.assert_array_equal(found["sum"], model(given)["sum"])


def test_contexts_end_after_an_error_and_can_stand_in_one_another():
    model, x = normed(layers.BatchNormalization())
    ordinary = model(x, training=False).numpy()
    with pytest.raises(RuntimeError), batch_statistics(model):  # noqa: PT012
        inner = model(x, training=False).numpy()
        with eval_norm(model, 1, weight=0.0):
            np.testing.assert_allclose(model(x, training=False), ordinary, atol=1e-6)
        np.testing.assert_array_equal(model(x, training=False), inner)
        raise RuntimeError
    np.testing.assert_array_equal(model(x, training=False), ordinary)


@pytest.mark.parametrize("size", [2, 5])
def test_corrected_statistics_are_the_expectation_of_a_batch_that_holds_the_example(size):
    """Over all batches of that size with the first example, of a population of 40."""
    x, _ = helpers.batch((1, 1, 3), examples=40, seed=3)
    x = np.concatenate([x, 0.5 * x + 1], 1)  # two positions each, so examples have variances
    rng = np.random.default_rng(0)
    others = np.stack([rng.integers(40, size=size - 1) for _ in range(40_000)])
    with_first = np.concatenate([np.zeros((40_000, 1), int), others], 1)
    drawn = x[with_first].reshape(40_000, -1, 3)
    mean, variance = drawn.mean(1).mean(0), drawn.var(1).mean(0)
    anyone = x[rng.integers(40, size=(40_000, size))].reshape(40_000, -1, 3)

    model = keras.Sequential([keras.Input((2, 1, 3)), layers.BatchNormalization(epsilon=1e-9)])
    model.layers[0].moving_mean.assign(anyone.mean(1).mean(0))
    model.layers[0].moving_variance.assign(anyone.var(1).mean(0))  # what training leaves
    with eval_norm(model, size):
        found = model(x, training=False).numpy()
    np.testing.assert_allclose(found[0], (x[0] - mean) / np.sqrt(variance), atol=0.03)


def test_corrected_statistics_of_one_example_a_batch_are_its_own():
    for norm in (layers.BatchNormalization(), LpBatchNorm(1), LpBatchNorm(2)):
        model, x = normed(norm)
        recalibrate(model, [x])
        with eval_norm(model, 1):
            found = predict(model, x, batch_size=5)
        with batch_statistics(model):
            expected = predict(model, x, batch_size=1)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_powers_of_lp_scales_are_mixed():
    model, x = normed(LpBatchNorm(2, epsilon=1e-12))
    model.layers[0].moving_scale.assign([3.0, 3.0, 3.0])
    with eval_norm(model, 4):
        found = model(x, training=False).numpy()
    scale = np.sqrt((x**2).mean((1, 2), keepdims=True) / 4 + 9 * 3 / 4)
    mean = x.mean((1, 2), keepdims=True) / 4
    np.testing.assert_allclose(found, (x - mean) / scale, atol=1e-5)


def test_the_larger_of_maxima_counts():
    model, x = normed(LpBatchNorm("inf"))
    model.layers[0].moving_scale.assign([4.0, 4.0, 4.0])
    with eval_norm(model, 4):
        found = model(x, training=False).numpy()
    scale = np.maximum(np.abs(x).max((1, 2), keepdims=True), 4.0)
    np.testing.assert_allclose(found, (x - x.mean((1, 2), keepdims=True) / 4) / scale, atol=1e-5)


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"batch_size": 2, "weight": 1.5}])
def test_arguments_out_of_their_range(arguments):
    model, _ = normed(layers.BatchNormalization())
    with pytest.raises(ValueError, match="Received: batch_size="), eval_norm(model, **arguments):
        pass
