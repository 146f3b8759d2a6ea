import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.norms.layers import FilterResponseNorm

pytestmark = pytest.mark.slow


def random(shape, *, mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(3, 5, 4), (3, 5, 6, 4), (3, 2, 5, 3, 4)])
def test_each_channel_of_each_example_by_itself(shape):
    x = random(shape, mean=0.5, scale=2.0)
    layer = FilterResponseNorm()
    layer.build(shape)
    gamma, beta, tau = random(4, seed=1), random(4, seed=2), random(4, seed=3)
    for variable, value in zip(layer.weights, (gamma, beta, tau), strict=True):
        variable.assign(value)
    expected = np.empty_like(x)
    for i in range(shape[0]):
        for c in range(4):
            nu2 = np.mean(x[i, ..., c].astype(float) ** 2)
            y = gamma[c] * x[i, ..., c] / np.sqrt(nu2 + 1e-6) + beta[c]
            expected[i, ..., c] = np.maximum(y, tau[c])
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_the_threshold_begins_as_a_relu_and_can_be_left_out():
    x = random((2, 4, 4, 3))
    linear = FilterResponseNorm(threshold=False)
    np.testing.assert_array_equal(FilterResponseNorm()(x), np.maximum(linear(x), 0))
    assert [v.name for v in linear.weights] == ["gamma", "beta"]


def test_before_a_relu_a_threshold_below_zero_gets_no_gradient():
    layer = FilterResponseNorm()
    layer.build((None, 4, 4, 3))
    layer.tau.assign([-0.5, -0.1, 0.2])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.nn.relu(layer(random((2, 4, 4, 3)))))
    gradient = np.asarray(tape.gradient(loss, layer.tau.value))
    assert (gradient[:2] == 0).all()
    assert gradient[2] > 0


def test_one_position_leaves_little_but_signs_unless_epsilon_is_learned():
    x = random((64, 4))
    outputs = np.asarray(FilterResponseNorm(threshold=False)(x))
    np.testing.assert_allclose(np.abs(outputs[np.abs(x) > 0.1]), 1.0, atol=1e-4)
    layer = FilterResponseNorm(threshold=False, learn_epsilon=True)
    np.testing.assert_allclose(layer(x), x / np.sqrt(x**2 + 1e-6 + 1e-4), atol=1e-5)
    layer.learned_epsilon.assign([-4.0, 4.0, 0.0, 1.0])  # its absolute value counts
    np.testing.assert_allclose(layer(x)[:, 0], x[:, 0] / np.sqrt(x[:, 0] ** 2 + 4), atol=1e-5)
    assert layer.learned_epsilon.trainable


def test_masked_positions_have_no_say():
    x = random((2, 6, 4))
    mask = np.arange(6) < np.array([[6], [3]])
    poisoned = np.where(mask[..., None], x, np.nan).astype(np.float32)
    outputs = FilterResponseNorm()(poisoned, mask=mask)
    np.testing.assert_allclose(outputs[1, :3], FilterResponseNorm()(x[1:, :3])[0], atol=1e-6)


def test_config():
    layer = FilterResponseNorm(epsilon=1e-4, threshold=False, learn_epsilon=True, name="frn")
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert (again.epsilon, again.threshold, again.learn_epsilon) == (1e-4, False, True)
