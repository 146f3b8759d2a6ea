import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, compiled, leaked, random_mask

from tfticket.errors import ModelError
from tfticket.norms.layers import (
    StandardizedConv1D,
    StandardizedConv2D,
    StandardizedConv3D,
    standardized,
)
from tfticket.sparsity import sparsify

pytestmark = pytest.mark.slow

layers = keras.layers


def random(shape, *, mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, shape).astype(np.float32)


def by_hand(kernel, epsilon=1e-10):
    """Filter after filter over the weights that aren't zero, in double precision."""
    result = np.zeros_like(kernel, dtype=np.float64)
    for f in range(kernel.shape[-1]):
        weights = kernel[..., f].astype(np.float64)
        kept = weights[weights != 0]
        if len(kept):
            deviation = np.sqrt(((kept - kept.mean()) ** 2).mean() + epsilon)
            result[..., f] = np.where(weights != 0, (weights - kept.mean()) / deviation, 0)
    return result


def pruned_kernel(shape=(3, 3, 4, 8), seed=0):
    kernel = random(shape, mean=0.02, scale=0.05, seed=seed)
    kernel[np.random.default_rng(1).random(shape) < 0.6] = 0
    kernel[..., 0] = 0  # nothing left
    kernel[..., 1] = 0
    kernel[(*np.zeros(len(shape) - 1, int), 1)] = 0.3  # one left
    return kernel


CONVOLUTIONS = [
    (layers.Conv1D, (2, 9, 4), {"padding": "causal", "dilation_rate": 2}),
    (layers.Conv1D, (2, 9, 4), {"padding": "same", "strides": 2, "activation": "relu"}),
    (layers.Conv2D, (2, 7, 8, 4), {"padding": "same", "strides": 2, "groups": 2}),
    (layers.Conv2D, (2, 7, 8, 4), {"dilation_rate": 2, "use_bias": False}),
    (layers.Conv3D, (2, 4, 5, 6, 4), {"padding": "same"}),
]


@pytest.mark.parametrize(("kind", "shape", "options"), CONVOLUTIONS)
def test_is_the_convolution_with_the_standardized_kernel(kind, shape, options):
    options = {"bias_initializer": "random_normal", **options}
    plain = kind(8, 3, name="conv", **options)
    layer = standardized(plain)
    x = random(shape)
    layer.build(shape)
    plain.build(shape)
    kernel = pruned_kernel(layer.kernel.shape)
    layer.set_weights([kernel, *layer.get_weights()[1:]])
    plain.set_weights([by_hand(kernel), *layer.get_weights()[1:]])
    np.testing.assert_allclose(layer(x), plain(x), atol=1e-4)
    assert layer.compute_output_shape(shape) == plain(x).shape


def test_zeros_stay_zeros_and_what_is_left_is_standardized():
    kernel = pruned_kernel()
    effective = np.asarray(StandardizedConv2D(8, 3).standardize(kernel))
    np.testing.assert_allclose(effective, by_hand(kernel), atol=1e-4)
    assert (effective[kernel == 0] == 0).all()
    for f in range(2, 8):
        kept = effective[..., f][kernel[..., f] != 0]
        np.testing.assert_allclose([kept.mean(), kept.std()], [0, 1], atol=1e-5)


def test_gradients_are_finite_where_a_filter_has_one_weight_or_none():
    layer = StandardizedConv2D(8, 3)
    x = random((2, 6, 6, 4))
    layer.build(x.shape)
    kernel = pruned_kernel()
    layer.kernel.assign(kernel)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) * random((2, 4, 4, 8), seed=3))
    gradient = np.asarray(tape.gradient(loss, layer.kernel.value))
    assert np.isfinite(gradient).all()
    assert (gradient[..., :2] == 0).all()
    assert (gradient[kernel == 0] == 0).all()
    # A filter's scale and mean have no effect, so the gradient is orthogonal to both.
    for f in range(2, 8):
        kept = kernel[..., f] != 0
        size = np.abs(gradient[..., f]).sum()
        assert abs(gradient[..., f][kept].sum()) < 1e-4 * size
        assert abs((gradient[..., f] * kernel[..., f]).sum()) < 1e-4 * size


def test_scale_and_mean_of_a_filter_have_no_effect():
    layer = StandardizedConv2D(8, 3)
    x = random((2, 6, 6, 4))
    layer.build(x.shape)
    kernel = random((3, 3, 4, 8), scale=0.05)
    layer.kernel.assign(kernel)
    expected = layer(x)
    layer.kernel.assign(7 * kernel + 0.1)
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_kernels_are_standardized_before_they_are_rounded(policy):
    # In the type of the computation the smallest of these weights would be zeros, or all alike.
    kernel = 1e-3 + 1e-6 * random((3, 3, 4, 8))
    layer = StandardizedConv2D(8, 3, use_bias=False, epsilon=1e-20, dtype=policy)
    layer.build((None, 6, 6, 4))
    layer.kernel.assign(kernel)
    x = random((2, 6, 6, 4))
    outputs = layer(x)
    assert (outputs.dtype, layer.kernel.dtype) == (layer.compute_dtype, "float32")
    expected = tf.nn.conv2d(x, by_hand(kernel, 1e-20).astype(np.float32), 1, "VALID")
    error = np.abs(tf.cast(outputs, "float32") - expected).mean()
    assert error < 0.01 * np.abs(expected).mean()


def test_masks_hold_in_training(seeded):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            StandardizedConv2D(8, 3, name="conv"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="output"),
        ]
    )
    mask = random_mask(model)
    model = compiled(sparsify(model, mask), keras.optimizers.Adam(0.05))
    model.fit(*batch((8, 8, 2)), epochs=3, verbose=0)
    assert leaked(model, mask) == 0
    conv = model.get_layer("conv").layer
    effective = np.asarray(conv.standardize(conv.kernel))
    np.testing.assert_array_equal(effective != 0, mask["conv/kernel"])


def test_conversion_keeps_name_and_config():
    conv = layers.Conv2D(
        8, 3, strides=2, padding="same", use_bias=False, kernel_regularizer="l2", name="conv"
    )
    layer = standardized(conv)
    assert type(layer) is StandardizedConv2D
    assert {**layer.get_config(), **conv.get_config()} == layer.get_config()
    again = standardized(StandardizedConv2D(8, 3, epsilon=1e-4))
    assert (type(again), again.epsilon) == (StandardizedConv2D, 1e-4)
    kinds = {type(standardized(kind(4, 3))) for kind, _, _ in CONVOLUTIONS}
    assert kinds == {StandardizedConv1D, StandardizedConv2D, StandardizedConv3D}


class OwnConv(layers.Conv2D):
    pass


@pytest.mark.parametrize(
    "layer",
    [layers.Dense(3), layers.DepthwiseConv2D(3), layers.Conv2DTranspose(3, 3), OwnConv(3, 3)],
)
def test_other_layers_are_refused(layer):
    with pytest.raises(ModelError, match=f"Conv3D .*Received: .* class {type(layer).__name__}"):
        standardized(layer)


def test_bad_epsilon():
    with pytest.raises(ModelError, match="Received: epsilon=0"):
        StandardizedConv2D(8, 3, epsilon=0)
