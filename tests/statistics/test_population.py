import helpers
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.errors import DataError, ModelError
from tfticket.norms.layers import FrozenBatchNorm, LpBatchNorm, NoisyBatchNorm
from tfticket.state import Snapshot
from tfticket.statistics import recalibrate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers


def uneven(x):
    """Three batches of other sizes."""
    return [x[:11], x[11:16], x[16:]]


def test_statistics_are_those_of_all_examples_however_they_are_divided():
    model = helpers.noisy_convnet()
    x, _ = helpers.batch((6, 6, 2), examples=24)
    norm = model.get_layer("norm")
    norm.moving_mean.assign(np.full(4, np.nan))  # whatever was there before
    features = model.get_layer("conv")(x).numpy()
    for batches in ([x], uneven(x), np.split(x, 24), [*np.split(x[:20], 20), x[20:]]):
        recalibrate(model, batches)
        np.testing.assert_allclose(norm.moving_mean, features.mean((0, 1, 2)), atol=1e-6)
        np.testing.assert_allclose(norm.moving_variance, features.var((0, 1, 2)), rtol=1e-5)


def test_a_mean_of_variances_would_be_too_small():
    model = keras.Sequential([keras.Input((5,)), layers.BatchNormalization()])
    x, _ = helpers.batch((5,), examples=400)
    recalibrate(model, np.split(x, 200))
    between = np.mean([part.var(0) for part in np.split(x, 200)], 0)
    assert between.mean() == pytest.approx(x.var(0).mean() / 2, rel=0.1)
    np.testing.assert_allclose(model.layers[0].moving_variance, x.var(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("p", "scale"),
    [
        (1, lambda x: np.abs(x).mean((0, 1, 2))),
        (2, lambda x: np.sqrt((x**2).mean((0, 1, 2)))),
        ("inf", lambda x: np.abs(x).max((0, 1, 2))),
    ],
)
def test_scales_of_lp_norms_are_those_of_all_examples(p, scale):
    model = keras.Sequential([keras.Input((4, 4, 3)), LpBatchNorm(p, epsilon=1e-12)])
    x, _ = helpers.batch((4, 4, 3), examples=24)
    recalibrate(model, uneven(x))
    np.testing.assert_allclose(model.layers[0].moving_mean, x.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(model.layers[0].moving_scale, scale(x), rtol=1e-4)


def test_nothing_but_statistics_changes_and_noise_stays_out_of_them():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dropout(0.5),
            layers.Dense(8),
            NoisyBatchNorm(seed=1),
            layers.BatchNormalization(name="frozen", trainable=False),
            FrozenBatchNorm(name="constant"),
            layers.BatchNormalization(name="last"),
        ]
    )
    before = Snapshot.capture(model, step=0).variables
    x, _ = helpers.batch(examples=30)
    recalibrate(model, [x])
    after = Snapshot.capture(model, step=0).variables
    changed = {key for key in after if not np.array_equal(after[key], before[key])}
    assert changed == {
        f"{layer}/{name}"
        for layer in ("noisy_batch_norm", "last")
        for name in ("moving_mean", "moving_variance")
    }
    # Normalized by the layer before, without its noise.
    frozen = 1 / np.sqrt(1.001) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(after["last/moving_variance"], frozen**2, rtol=0.02)
    np.testing.assert_allclose(after["last/moving_mean"], 0, atol=1e-5)


def test_masked_positions_do_not_count():
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(layers.Masking(0.0)(inputs)))
    x, _ = helpers.batch((4, 3), examples=6)
    x[:, 2:] = 0.0
    recalibrate(model, [x[:2], x[2:]])
    norm = model.get_layer("norm")
    np.testing.assert_allclose(norm.moving_mean, x[:, :2].mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, x[:, :2].var((0, 1)), rtol=1e-5)


def test_batch_renormalization_has_all_its_averages_set():
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization(renorm=True)])
    x, _ = helpers.batch((3,), examples=40)
    recalibrate(model, [3 * x + 1])
    norm = model.layers[0]
    before = norm.moving_variance.numpy()
    for variable in (norm.renorm_mean, norm.moving_mean):
        np.testing.assert_allclose(variable, (3 * x + 1).mean(0), rtol=1e-4)
    for variable in (norm.renorm_stddev, norm.moving_stddev):
        np.testing.assert_allclose(variable, np.sqrt((3 * x).var(0) + 1e-3), rtol=1e-4)
    model(3 * x + 1, training=True)  # Keras derives the variance from the deviation
    np.testing.assert_allclose(norm.moving_variance, before, rtol=1e-4)


def test_channels_may_come_first_and_types_may_be_mixed():
    model = keras.Sequential(
        [keras.Input((3, 4, 4)), layers.BatchNormalization(axis=1, dtype="mixed_float16")]
    )
    x, _ = helpers.batch((3, 4, 4), examples=8)
    recalibrate(model, [x[:4], x[4:]])
    np.testing.assert_allclose(model.layers[0].moving_variance, x.var((0, 2, 3)), rtol=2e-3)


def test_a_subclassed_model_without_batches_or_statistics_is_left_alone():
    model = helpers.Subclassed()
    x, _ = helpers.batch()
    model(x)
    before = Snapshot.capture(model, step=0)
    recalibrate(model, [x])
    normed = helpers.noisy_convnet()
    recalibrate(normed, [])
    assert not normed.get_layer("norm").moving_mean.numpy().any()
    for key, array in Snapshot.capture(model, step=0).variables.items():
        np.testing.assert_array_equal(array, before.variables[key])


def two_inputs():
    a, b = keras.Input((3,)), keras.Input((3,))
    return keras.Model([a, b], layers.BatchNormalization()(layers.Add()([a, b])))


def test_of_batches_for_fit_only_the_inputs_count():
    model = keras.Sequential([keras.Input((6,)), layers.BatchNormalization()])
    x, y = helpers.batch(examples=30)
    for batch in ((x,), (x, y), (x, y, np.ones(30))):
        model.layers[0].moving_mean.assign(np.zeros(6))
        recalibrate(model, [batch])
        np.testing.assert_allclose(model.layers[0].moving_mean, x.mean(0), atol=1e-6)
    recalibrate(model, tf.data.Dataset.from_tensor_slices((x, y)).batch(30))
    np.testing.assert_allclose(model.layers[0].moving_mean, x.mean(0), atol=1e-6)


def test_two_inputs_are_no_inputs_and_labels():
    model = two_inputs()
    a, b = np.ones((4, 3), "float32"), 2 * np.ones((4, 3), "float32")
    for batch in ([a, b], (a, b), ((a, b), np.zeros(4)), ([a, b], np.zeros(4), np.ones(4))):
        model.layers[-1].moving_mean.assign(np.zeros(3))
        recalibrate(model, [batch])
        np.testing.assert_allclose(model.layers[-1].moving_mean, 3.0)


def test_a_subclassed_model_takes_batches_for_fit_too():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = layers.BatchNormalization()

        def call(self, x, training=None):
            return self.norm(x, training=training)

    model = Own()
    x, y = helpers.batch(examples=30)
    model(x)
    recalibrate(model, [(x, y)])
    np.testing.assert_allclose(model.norm.moving_mean, x.mean(0), atol=1e-6)


@pytest.mark.parametrize("batch", [[np.ones((4, 6)), np.ones(4)], (np.ones((4, 6)),) * 4, {}])
def test_batches_of_another_number_of_arrays_are_refused(batch):
    model = keras.Sequential([keras.Input((6,)), layers.BatchNormalization()])
    with pytest.raises(DataError, match=r"1 inputs that the model takes.*Received.*in batch 0"):
        recalibrate(model, [batch])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [3, 45])  # in the batches from 32 on, the model is traced
def test_values_that_are_not_finite_are_refused_and_nothing_changes(value, place):
    model = helpers.noisy_convnet()
    x, _ = helpers.batch((6, 6, 2), examples=50)
    x[place, 2, 2, 1] = value
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(DataError, match=f"in batch {place // 2}, example {place % 2}"):
        recalibrate(model, np.split(x, 25))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_that_are_not_finite_are_told_from_inputs():
    model = helpers.noisy_convnet()
    x, _ = helpers.batch((6, 6, 2))
    model.get_layer("conv").bias.assign(np.full(4, np.nan))
    with pytest.raises(ModelError, match="Weights of the model"):
        recalibrate(model, [x])


class NormAndReLU(layers.BatchNormalization):
    """Does more than its parent."""

    def call(self, inputs, training=None, mask=None):
        return keras.ops.relu(super().call(inputs, training=training, mask=mask))


class Renamed(layers.BatchNormalization):
    """Does what its parent does."""


def test_a_subclass_that_does_more_is_left_and_named():
    model = keras.Sequential(
        [keras.Input((6,)), NormAndReLU(name="both"), layers.Dense(4), Renamed(name="plain")]
    )
    x, _ = helpers.batch(examples=30)
    inside = model.layers[1](model.layers[0](x))
    with pytest.warns(
        UserWarning, match=r"'both' is left as it is: its class NormAndReLU overrides `call`"
    ):
        recalibrate(model, [x])
    np.testing.assert_array_equal(model.layers[0].moving_mean, np.zeros(6))
    np.testing.assert_allclose(model.layers[2].moving_mean, np.mean(inside, 0), atol=1e-5)
