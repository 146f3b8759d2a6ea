import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.norms.layers import NoisyBatchNorm, covariate_noise

layers = keras.layers


def random(shape, *, mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, shape).astype(np.float32)


def by_hand(activations, seed, n_mu=0.5, n_sigma=1.25, r=0.1):
    """Algorithm 1 with the names of the paper, activation after activation.

    Args:
        activations: Shape (samples, units).
        seed: A generator in the state that the layer's was in.
    """
    samples, units = activations.shape
    mu = np.array(keras.random.uniform((1, units), -n_mu, n_mu, seed=seed))
    sigma = np.array(keras.random.uniform((1, units), 1.0, n_sigma, seed=seed))
    uniform = np.array(keras.random.uniform((samples, units), -r, r, seed=seed))
    normal = np.array(keras.random.normal((samples, units), 0.0, r, seed=seed))
    noisy = np.empty_like(activations)
    for j in range(units):
        for i in range(samples):
            m = mu[0, j] + uniform[i, j]
            s = sigma[0, j] + normal[i, j]
            noisy[i, j] = s * activations[i, j] + m
    return noisy


def test_against_the_algorithm_in_loops():
    x = random((12, 5), mean=2.0, scale=3.0)
    layer = NoisyBatchNorm(seed=4, epsilon=1e-5)
    activations = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    expected = by_hand(activations, keras.random.SeedGenerator(4))
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-5)


def test_ranges_of_the_noise():
    shape = (64, 20, 20, 30)  # each position counts as a sample
    seed = keras.random.SeedGenerator(1)
    shifts = np.asarray(covariate_noise(tf.zeros(shape), seed))
    units = shifts.mean((0, 1, 2))
    assert np.abs(units).max() <= 0.5 + 0.01
    assert np.ptp(units) > 0.7
    assert np.abs(shifts - units).max() <= 0.1 + 0.01
    np.testing.assert_allclose((shifts - units).std(), 0.1 / np.sqrt(3), rtol=0.02)
    seed = keras.random.SeedGenerator(2)
    far = 1e4
    scales = np.asarray(covariate_noise(tf.fill(shape, far), seed)) / far
    units = scales.mean((0, 1, 2))
    assert 1 - 0.01 <= units.min() < 1.06
    assert 1.19 < units.max() <= 1.25 + 0.01
    np.testing.assert_allclose((scales - units).std(), 0.1, rtol=0.02)


def test_the_noise_is_another_one_at_each_step_and_for_each_unit():
    layer = NoisyBatchNorm(spread=0.0, seed=0)
    x = random((256, 4))
    first, second = (np.asarray(layer(x, training=True)).mean(0) for _ in range(2))
    assert len(np.unique(np.round([first, second], 4))) == 8


def test_no_noise_at_inference_or_in_a_frozen_layer():
    x = random((8, 4))
    noisy, plain = NoisyBatchNorm(), layers.BatchNormalization()
    np.testing.assert_array_equal(noisy(x), plain(x))
    noisy.trainable = False
    np.testing.assert_array_equal(noisy(x, training=True), plain(x))


def test_moving_statistics_are_those_without_noise():
    x = random((8, 4), mean=3.0)
    noisy, plain = NoisyBatchNorm(), layers.BatchNormalization()
    noisy(x, training=True)
    plain(x, training=True)
    for one, other in zip(noisy.weights[:4], plain.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_whoever_puts_the_seed_back_gets_the_same_noise():
    x, layer = random((8, 4)), NoisyBatchNorm()
    layer.build(x.shape)
    state = np.array(layer.seed_generator.state)
    first = layer(x, training=True)
    assert not np.array_equal(layer(x, training=True), first)
    layer.seed_generator.state.assign(state)
    np.testing.assert_array_equal(layer(x, training=True), first)
    again = NoisyBatchNorm.from_config({**layer.get_config(), "seed": 3})
    np.testing.assert_array_equal(again(x, training=True), NoisyBatchNorm(seed=3)(x, training=True))


class NoiseAlone(layers.Layer):
    """What the noise does to a network without normalization."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(5)

    def call(self, x, training=None):
        return covariate_noise(x, self.seed_generator) if training else x


def final_loss(norm):
    """Of a deep network that is to learn which of two inputs is larger."""
    keras.utils.set_random_seed(1)
    x = random((256, 2))
    y = (x[:, 0] > x[:, 1]).astype("float32")
    model = keras.Sequential([keras.Input((2,))])
    for _ in range(10):
        model.add(layers.Dense(16))
        if norm is not None:
            model.add(norm())
        model.add(layers.ReLU())
    model.add(layers.Dense(1))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.3), loss, jit_compile=False)
    model.fit(x, y, batch_size=64, epochs=20, verbose=0)
    return float(loss(y[:, None], model(x)))


def test_the_noise_that_batch_norm_bears_keeps_a_plain_network_from_learning():
    noisy, plain, alone = (final_loss(norm) for norm in (NoisyBatchNorm, None, NoiseAlone))
    assert max(noisy, plain) < 0.4
    assert alone > 0.55  # it begins at log(2)


@pytest.mark.parametrize("option", [{"max_shift": -0.1}, {"max_scale": 0.9}, {"spread": -1}])
def test_bad_arguments(option):
    with pytest.raises(ModelError, match="Received: max_shift="):
        NoisyBatchNorm(**option)
