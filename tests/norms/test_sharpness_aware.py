"""Sharpness-aware steps against NumPy, and what a step leaves as it is."""

import keras
import numpy as np
import pytest
from helpers import batch, compiled, noisy_convnet, random_mask

from tfticket.errors import ModelError
from tfticket.norms import SharpnessAware
from tfticket.sparsity import Mask, sparsify
from tfticket.state import prunable_variables

pytestmark = [pytest.mark.usefixtures("seeded")]
X, Y = batch((6, 6, 2), examples=16)


def linear(start, rate=0.05):
    model = keras.Sequential(
        [keras.Input((len(start),)), keras.layers.Dense(1, use_bias=False, name="out")]
    )
    model.get_layer("out").kernel.assign(np.array(start)[:, None])
    return model


def reference(w, x, y, *, rho, adaptive, rate, steps):
    """Two lines of the paper, for L(w) = mean of (x w - y)^2."""

    def gradient(w):
        return 2 / len(x) * x.T @ (x @ w - y)

    for _ in range(steps):
        g = gradient(w)
        t = np.abs(w) + 0.01 if adaptive else np.ones_like(w)
        w = w - rate * gradient(w + rho * t**2 * g / np.linalg.norm(t * g))
    return w


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("jit", [False, True])
def test_steps_are_those_of_the_definition(adaptive, jit):
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(8, 3)), rng.normal(size=8), np.array([0.5, -1.0, 2.0])
    model = SharpnessAware(linear(w), rho=0.3, adaptive=adaptive)
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=jit)
    history = model.fit(x, y, batch_size=8, epochs=3, verbose=0).history
    expected = reference(w, x, y, rho=0.3, adaptive=adaptive, rate=0.05, steps=3)
    found = model.network.get_layer("out").kernel.numpy()[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert history["loss"][0] == pytest.approx(np.mean((x @ w - y) ** 2), rel=1e-5)  # at w


def test_pruned_weights_stay_zero_and_do_not_count():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(8, 3)), rng.normal(size=8), np.array([0.5, -1.0, 2.0])
    sparse = sparsify(linear(w), Mask({"out/kernel": np.array([[True], [True], [False]])}))
    model = SharpnessAware(sparse, rho=0.3)
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    (kernel,) = prunable_variables(sparse).values()
    alone = reference(w[:2], x[:, :2], y, rho=0.3, adaptive=False, rate=0.05, steps=2)
    np.testing.assert_allclose(kernel.numpy()[:, 0], [*alone, 0.0], rtol=1e-5)


def trained(model, **options):
    compiled(model, keras.optimizers.SGD(0.1, momentum=0.9), jit_compile=False)
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0, **options)
    return model


def test_without_a_distance_it_is_the_plain_step_with_one_dropout_mask_and_statistics_once():
    plain, wrapped = noisy_convnet(), noisy_convnet()
    wrapped.set_weights(plain.get_weights())
    for model in (plain, wrapped):
        model.get_layer("drop").seed_generator.state.assign([1, 2])
    trained(plain)
    trained(SharpnessAware(wrapped, rho=1e-7))
    for one, other in zip(plain.variables, wrapped.variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)
    assert np.any(plain.get_layer("norm").moving_mean.numpy())


def test_it_goes_on_from_its_file(tmp_path):
    network = keras.Sequential(
        [keras.Input((6, 6, 2)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    model = trained(SharpnessAware(network, adaptive=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.rho, loaded.adaptive) == (0.5, True)
    for each in (model, loaded):
        each.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_mixed_precision_trains_and_keeps_masks():
    keras.config.set_dtype_policy("mixed_float16")
    dense = noisy_convnet()
    network = sparsify(dense, random_mask(dense))
    zeros = {key: v.numpy() == 0 for key, v in prunable_variables(network).items()}
    model = trained(SharpnessAware(network), epochs=3)
    for key, variable in prunable_variables(network).items():
        assert not np.any(variable.numpy()[zeros[key]])
        assert np.isfinite(variable.numpy()).all()
        assert zeros[key].any()
    # The first steps may overflow, and are left out while the scale of the loss is halved.
    history = model.fit(X, Y, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ModelError, match="`rho` is 0; it is a distance"):
        SharpnessAware(linear([1.0]), rho=0)
    with pytest.raises(ModelError, match="must be a Keras model"):
        SharpnessAware(keras.layers.Dense(1))
