import helpers
import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tfticket.norms.catalog import norm_layer
from tfticket.norms.swap import swap_norm
from tfticket.norms.transfer import carried_options, carry_weights
from tfticket.state import named_variables

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


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
IMAGE = (6, 6, 3)


def two_norms(**norm):
    model = keras.Sequential([keras.Input(IMAGE)])
    for number in range(2):
        model.add(layers.Conv2D(8, 3, use_bias=False, name=f"conv_{number}"))
        model.add(layers.BatchNormalization(name=f"norm_{number}", **norm))
        model.add(layers.ReLU())
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "moving" in variable.name:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
        elif variable.name in ("gamma", "beta"):
            variable.assign(rng.uniform(-2, 2, variable.shape))
    return model


def outputs_of(model, name, x):
    until = keras.Model(model.inputs[0], model.get_layer(name).output)
    return until(x, training=False).numpy()


def inputs():
    return 2 * helpers.batch(IMAGE, examples=64)[0] + 1


@pytest.mark.parametrize("kind", ["group", "layer", "filter_response", "l1_batch", "linf_batch"])
def test_each_channel_keeps_its_mean_and_deviation_in_all_norms(kind):
    model, x = two_norms(), inputs()
    swapped = swap_norm(model, kind, match=x).model
    for name in ("norm_0", "norm_1"):
        ours, theirs = outputs_of(swapped, name, x), outputs_of(model, name, x)
        np.testing.assert_allclose(ours.mean((0, 1, 2)), theirs.mean((0, 1, 2)), atol=1e-3)
        np.testing.assert_allclose(ours.std((0, 1, 2)), theirs.std((0, 1, 2)), rtol=1e-3)
        correlation = np.corrcoef(ours[..., 0].ravel(), theirs[..., 0].ravel())[0, 1]
        assert correlation > 0.5  # and its sign


def test_back_to_batch_the_statistics_are_those_of_the_inputs():
    group, x = swap_norm(two_norms(), "group").model, inputs()
    for kind in ("batch", "frozen_batch", "batch_renorm"):
        swapped = swap_norm(group, kind, match=x).model
        seen = outputs_of(swapped, "conv_1", x)
        norm = swapped.get_layer("norm_1")
        np.testing.assert_allclose(norm.moving_mean, seen.mean((0, 1, 2)), atol=1e-4)
        np.testing.assert_allclose(norm.moving_variance, seen.var((0, 1, 2)), rtol=1e-3)


def test_what_means_the_same_stays_as_it_was():
    model, x = two_norms(), inputs()
    swapped = swap_norm(model, "noisy_batch", match=x).model
    np.testing.assert_allclose(swapped(x), model(x), atol=1e-4)
    before = {key: v.numpy() for key, v in named_variables(model).items()}
    for key, variable in named_variables(swapped).items():
        if "moving" in key or "conv" in key:
            np.testing.assert_array_equal(variable, before[key])


def test_norms_without_scale_or_shift_are_matched_in_the_other():
    x = inputs()
    model = two_norms(scale=False)
    ours = outputs_of(swap_norm(model, "group", match=x).model, "norm_1", x)
    theirs = outputs_of(model, "norm_1", x)
    np.testing.assert_allclose(ours.mean((0, 1, 2)), theirs.mean((0, 1, 2)), atol=1e-3)
    model = two_norms()
    ours = outputs_of(swap_norm(model, "rms", match=x).model, "norm_1", x)
    theirs = outputs_of(model, "norm_1", x)
    np.testing.assert_allclose(ours.std((0, 1, 2)), theirs.std((0, 1, 2)), rtol=1e-3)


def test_a_silent_channel_stays_finite_and_nothing_is_left_on_the_layers():
    model, x = two_norms(), inputs()
    gamma = model.get_layer("norm_0").gamma
    gamma.assign(gamma.numpy() * [0, 1, 1, 1, 1, 1, 1, 1])
    swapped = swap_norm(model, "group", match=x).model
    assert np.isfinite(swapped(x)).all()
    assert swapped.get_layer("norm_0").gamma.numpy()[0] == 0
    for layer in (*model.layers, *swapped.layers):
        assert "call" not in vars(layer)


def test_a_trained_network_still_knows_what_it_learned():
    digits = load_digits()
    x, y = (digits.images[..., None] / 16).astype("float32"), digits.target
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for channels, strides in ((16, 1), (32, 2)):
        model.add(layers.Conv2D(channels, 3, strides, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9, epsilon=1e-5))
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    model.add(layers.Dense(10))
    helpers.compiled(model, keras.optimizers.Adam(3e-3))
    model.fit(x[:1200], y[:1200], epochs=4, verbose=0)

    def accuracy(network):
        return np.mean(network(x[1200:], training=False).numpy().argmax(1) == y[1200:])

    copied = swap_norm(model, "group", groups=4).model
    matched = swap_norm(model, "group", groups=4, match=x[:300]).model
    assert accuracy(model) > 0.9
    assert accuracy(matched) > accuracy(model) - 0.05
    assert accuracy(copied) < accuracy(matched)
