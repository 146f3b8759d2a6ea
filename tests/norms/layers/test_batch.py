import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, compiled

from tfticket.errors import ModelError
from tfticket.norms.layers import FrozenBatchNorm, LpBatchNorm, NoisyBatchNorm, covariate_noise

pytestmark = pytest.mark.slow

layers = keras.layers


def random(shape, *, mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, shape).astype(np.float32)


def frozen_like(norm):
    frozen = FrozenBatchNorm(epsilon=norm.epsilon, name=norm.name)
    frozen.build((None, 6, 6, 4))
    frozen.set_weights(norm.get_weights())
    return frozen


def used_batch_norm():
    norm = layers.BatchNormalization(momentum=0.5, gamma_initializer="random_normal", name="norm")
    for seed in range(3):
        norm(random((8, 6, 6, 4), mean=3.0, scale=2.0, seed=seed), training=True)
    return norm


def test_frozen_is_batch_norm_at_inference_also_when_training(seeded):
    norm = used_batch_norm()
    x = random((8, 6, 6, 4), mean=3.0)
    expected = norm(x, training=False)
    frozen = frozen_like(norm)
    np.testing.assert_allclose(frozen(x), expected, atol=1e-5)
    assert [v.name for v in frozen.weights] == [v.name for v in norm.weights]


def test_frozen_stays_frozen(seeded):
    frozen = frozen_like(used_batch_norm())
    frozen.trainable = True
    assert frozen.trainable_variables == []
    model = keras.Sequential(
        [keras.Input((8, 8, 2)), layers.Conv2D(4, 3), frozen, layers.Flatten(), layers.Dense(3)]
    )
    model.trainable = True
    before = frozen.get_weights()
    compiled(model, keras.optimizers.AdamW(0.1)).fit(*batch((8, 8, 2)), verbose=0)
    for one, other in zip(before, frozen.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def by_hand(x, p, epsilon=1e-5):
    """Mean, scale and output, channel after channel, in double precision."""
    x = x.astype(np.float64)
    means, scales, outputs = [], [], np.empty_like(x)
    for channel in range(x.shape[-1]):
        values = x[..., channel].ravel()
        if p == "inf":
            scale = max(*(abs(value) for value in values), epsilon**0.5)
        else:
            power = sum(abs(value) ** p for value in values) / len(values)
            scale = (power + epsilon ** (p / 2)) ** (1 / p)
        means.append(sum(values) / len(values))
        scales.append(scale)
        outputs[..., channel] = (x[..., channel] - means[-1]) / scale
    return np.array(means), np.array(scales), outputs


@pytest.mark.parametrize("p", [1, 2, "inf"])
@pytest.mark.parametrize("shape", [(6, 3), (4, 5, 3), (4, 3, 2, 3)])
def test_lp_norms_against_loops(p, shape):
    x = random(shape, mean=0.5, scale=2.0)
    layer = LpBatchNorm(p, momentum=0.8)
    outputs = layer(x, training=True)
    means, scales, expected = by_hand(x, p)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.2 * means, atol=1e-6)
    np.testing.assert_allclose(layer.moving_scale, 0.8 + 0.2 * scales, rtol=1e-6)


def test_the_norm_is_of_what_comes_in_before_its_mean_is_shifted():
    x = random((64, 4), mean=10.0)
    np.testing.assert_allclose(
        np.std(LpBatchNorm(2)(x, training=True), axis=0), x.std(0) / np.hypot(x.mean(0), x.std(0)),
        rtol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("p", [1, 2, "inf"])
def test_inference_and_frozen_layers_use_the_moving_averages(p):
    layer = LpBatchNorm(p)
    layer.build((None, 3))
    layer.moving_mean.assign([1.0, 2.0, 3.0])
    layer.moving_scale.assign([2.0, 4.0, 8.0])
    layer.gamma.assign([1.0, 2.0, 3.0])
    layer.beta.assign([0.0, 1.0, 0.0])
    x = random((5, 3))
    expected = (x - [1, 2, 3]) / [2, 4, 8] * [1, 2, 3] + [0, 1, 0]
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("p", [1, 2, "inf"])
def test_gradients_against_differences(p):
    layer = LpBatchNorm(p, dtype="float64")
    x, weights = random((4, 3, 2)).astype(float), random((4, 3, 2), seed=1).astype(float)

    def loss(x):
        return tf.reduce_sum(layer(x, training=True) * weights)

    (gradient,), (numeric,) = tf.test.compute_gradient(loss, [x], delta=1e-5)
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


@pytest.mark.parametrize("p", [1, 2, "inf"])
def test_a_channel_of_zeros_has_a_finite_gradient_in_half_precision(p):
    x = tf.zeros((8, 4), "float16")
    layer = LpBatchNorm(p, dtype="mixed_float16")
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, "float32") * random((8, 4)))
    assert np.isfinite(outputs).all()
    assert np.isfinite(tape.gradient(loss, x)).all()


@pytest.mark.parametrize("p", [1, 2, "inf"])
def test_masked_positions_have_no_say(p):
    x = random((3, 6, 4), mean=2.0)
    mask = np.arange(6) < np.array([[6], [4], [2]])
    poisoned = np.where(mask[..., None], x, np.nan).astype(np.float32)
    outputs = np.asarray(LpBatchNorm(p)(poisoned, training=True, mask=mask))
    np.testing.assert_allclose(outputs[mask], by_hand(x[mask], p)[2], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"p": 3}, "1, 2 or 'inf'. Received: p=3"),
        ({"momentum": 1.0}, r"in \[0, 1\). Received: momentum=1.0"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ModelError, match=words):
        LpBatchNorm(**options)


def noise_by_hand(activations, seed, n_mu=0.5, n_sigma=1.25, r=0.1):
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
    expected = noise_by_hand(activations, keras.random.SeedGenerator(4))
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
def test_bad_arguments_of_the_noise(option):
    with pytest.raises(ModelError, match="Received: max_shift="):
        NoisyBatchNorm(**option)
