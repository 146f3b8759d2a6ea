import keras
import numpy as np

from tfticket.norms.catalog import norm_layer
from tfticket.norms.transfer import carried_options, carry_weights

layers = keras.layers


def built(layer, channels=4, seed=0):
    layer.build((None, 3, 3, channels))
    rng = np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(rng.uniform(0.5, 2, variable.shape))
    return layer


def test_options_are_those_that_both_kinds_have():
    old = layers.BatchNormalization(axis=1, momentum=0.7, epsilon=0.01, center=False)
    given = carried_options(old, "group")
    assert "momentum" not in given
    assert (given["axis"], given["epsilon"], given["center"]) == (1, 0.01, False)
    assert carried_options(old, "l1_batch")["momentum"] == 0.7
    assert "epsilon" not in carried_options(old, "filter_response")
    assert set(carried_options(old, "rms")) == {"axis", "dtype", "epsilon", "trainable"}


def test_weights_of_other_shapes_stay_behind():
    old = built(layers.LayerNormalization(axis=[1, 2, 3]))
    new = norm_layer("batch", 4)
    new.build((None, 3, 3, 4))
    carried = carry_weights(old, new)
    assert carried.kept == ()
    assert carried.dropped == ("gamma", "beta")
    np.testing.assert_array_equal(new.gamma, np.ones(4))


def test_scales_of_another_p_are_another_statistic():
    old, same, other = (built(norm_layer(f"l{p}_batch", 4), seed=i) for i, p in enumerate("112"))
    assert "moving_scale" in carry_weights(old, same).kept
    np.testing.assert_array_equal(same.moving_scale, old.moving_scale)
    before = other.moving_scale.numpy()
    carried = carry_weights(old, other)
    assert carried.new == ("moving_mean", "moving_scale")
    np.testing.assert_array_equal(other.moving_scale, before)


def test_averages_of_renormalization_are_derived():
    old, new = built(norm_layer("batch", 4)), built(norm_layer("batch_renorm", 4), seed=1)
    carried = carry_weights(old, new)
    assert carried.new == ()
    np.testing.assert_array_equal(new.renorm_mean, old.moving_mean)
    deviation = np.sqrt(old.moving_variance.numpy() + new.epsilon)
    np.testing.assert_allclose(new.moving_stddev, deviation, rtol=1e-6)
    np.testing.assert_allclose(new.renorm_stddev, deviation, rtol=1e-6)
