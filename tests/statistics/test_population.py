import helpers
import keras
import numpy as np
import pytest

from tfticket.norms.layers import FrozenBatchNorm, LpBatchNorm, NoisyBatchNorm
from tfticket.state import Snapshot
from tfticket.statistics import recalibrate

pytestmark = pytest.mark.usefixtures("seeded")

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
