import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.norms.layers.fused import FusedBatchNorm, fused_inference

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def moved(layer, shape):
    """The layer with weights and statistics that a training could have left."""
    rng = np.random.default_rng(0)
    layer.build(shape)
    layer.set_weights([rng.uniform(0.5, 2.0, weight.shape) for weight in layer.get_weights()])
    return layer, tf.constant(rng.normal(3.0, 2.0, (6, *shape[1:])), layer.compute_dtype)


def kernels(layer, x):
    """How many of TensorFlow's kernels a traced call has."""
    graph = tf.function(lambda: layer(x, training=False)).get_concrete_function().graph
    return sum(node.type == "FusedBatchNormV3" for node in graph.get_operations())


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 1e-5}])
@pytest.mark.parametrize("shape", [(None, 4, 5, 3), (None, 7)], ids=str)
def test_the_kernel_gives_what_keras_gives(shape, options, policy):
    layer, x = moved(FusedBatchNorm(**options, dtype=policy), shape)
    weights = layer.get_weights()
    plain = layer(x, training=False)
    with fused_inference():
        assert kernels(layer, x) == 1
        fused = layer(x, training=False)
    assert fused.dtype == plain.dtype
    rounding = {"float32": 1e-5, "mixed_float16": 1e-2, "mixed_bfloat16": 0.1}[policy]
    np.testing.assert_allclose(
        keras.ops.cast(fused, "float32"), keras.ops.cast(plain, "float32"), atol=rounding
    )
    for before, after in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_layer_that_is_not_trained_takes_its_moving_statistics():
    layer, x = moved(FusedBatchNorm(), (None, 4, 5, 3))
    layer.trainable = False
    with fused_inference():
        found = layer(x, training=True)
    np.testing.assert_allclose(found, layer(x, training=False), atol=1e-5)


def test_the_gradient_is_that_of_keras():
    layer, x = moved(FusedBatchNorm(), (None, 4, 5, 3))

    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=False) ** 3)
        return tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])

    with fused_inference():
        fused = gradient()
    for ours, theirs in zip(fused, gradient(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_outside_and_where_the_kernel_does_not_fit_it_is_keras():
    layer, x = moved(FusedBatchNorm(), (None, 4, 5, 3))
    assert kernels(layer, x) == 0
    with pytest.raises(RuntimeError, match="ends it"), fused_inference():
        raise RuntimeError("ends it")
    assert kernels(layer, x) == 0
    other_axis, x = moved(FusedBatchNorm(axis=1), (None, 4, 5, 3))
    with fused_inference():
        assert kernels(other_axis, x) == 0
