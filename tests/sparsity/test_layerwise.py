"""One-shot pruning against closed forms, and patches against the layers they stand for."""

import keras
import numpy as np
import pytest

from tfticket.errors import DataError, MaskError, ModelError
from tfticket.sparsity import get_mask, prune_one_shot, strip, wanda
from tfticket.sparsity.layerwise import _input_moments

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 8)) @ RNG.normal(size=(8, 8))  # correlated inputs


def linear(units=3):
    return keras.Sequential([keras.Input((8,)), layers.Dense(units, name="out")])


def error(model, pruned, x):
    return float(np.square(model.predict(x, verbose=0) - pruned.predict(x, verbose=0)).sum())


def test_the_surgeon_ends_at_the_least_squares_solution():
    model = linear()
    pruned = prune_one_shot(model, X, 0.5, damping=0.01)
    w0, w = model.layers[0].kernel.numpy(), pruned.get_layer("out").kernel.numpy()
    kept = get_mask(pruned)["out/kernel"]
    ridge = np.sqrt(0.01 * np.square(X).sum() / 8)
    for unit in range(3):
        rows = kept[:, unit]
        # min |X w - X w0|^2 + ridge^2 |w - w0|^2 over the kept weights
        a = np.vstack([X, ridge * np.eye(8)])
        best, *_ = np.linalg.lstsq(a[:, rows], a @ w0[:, unit], rcond=None)
        np.testing.assert_allclose(w[rows, unit], best, atol=1e-5)
        assert not w[~rows, unit].any()


def test_one_weight_goes_where_the_error_is_least_of_all():
    model = linear(units=1)
    pruned = prune_one_shot(model, X, 1 / 8, damping=1e-9)
    w0 = model.layers[0].kernel.numpy()
    errors = []
    for gone in range(8):
        rows = np.arange(8) != gone
        best, *_ = np.linalg.lstsq(X[:, rows], X @ w0[:, 0], rcond=None)
        errors.append(np.square(X[:, rows] @ best - X @ w0[:, 0]).sum())
    gone = int(np.argmin(get_mask(pruned)["out/kernel"][:, 0]))
    assert gone == np.argmin(errors)
    assert error(model, pruned, X) == pytest.approx(min(errors), rel=1e-3)


def test_wanda_is_magnitude_times_the_norm_of_inputs():
    model = linear()
    expected = np.abs(model.layers[0].kernel) * np.linalg.norm(X, axis=0)[:, None]
    np.testing.assert_allclose(wanda(model, X)["out/kernel"], expected, rtol=1e-5)
    pruned = prune_one_shot(model, X, 0.5, method="wanda")
    kept = get_mask(pruned)["out/kernel"]
    assert expected[kept].min() > expected[~kept].max()
    assert np.array_equal(pruned.layers[0].kernel, model.layers[0].kernel * kept)


LAYERS = {
    "dense": ((5, 4), lambda: layers.Dense(3)),
    "conv1d": ((9, 4), lambda: layers.Conv1D(3, 3, padding="causal", dilation_rate=2)),
    "conv2d": ((7, 6, 4), lambda: layers.Conv2D(3, (3, 2), strides=2, padding="same")),
    "groups": ((7, 6, 4), lambda: layers.Conv2D(6, 3, groups=2)),
    "conv3d": ((4, 4, 4, 2), lambda: layers.Conv3D(3, 2)),
    "depthwise": ((7, 6, 4), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "depthwise1d": ((9, 4), lambda: layers.DepthwiseConv1D(3, strides=2)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_follow_from_the_moments_of_inputs(name):
    shape, make = LAYERS[name]
    model = keras.Sequential([keras.Input(shape), make()])
    x = RNG.normal(size=(40, *shape)).astype("float32")  # more than one batch
    ((_, layer),) = _input_moments(model, x, ()).items()
    # For each unit w' H w is the sum of its squared outputs, without the bias.
    products = np.einsum("giu,gij,gju->gu", layer._matrices, layer._moments, layer._matrices)
    outputs = model.predict(x, verbose=0)
    squares = np.square(outputs).sum(tuple(range(outputs.ndim - 1)))
    np.testing.assert_allclose(products.ravel(), squares, rtol=1e-4)
    np.testing.assert_array_equal(layer.weights, model.layers[0].kernel.numpy())


@pytest.mark.parametrize("name", LAYERS)
def test_the_surgeon_is_never_worse_than_the_others(name):
    shape, make = LAYERS[name]
    model = keras.Sequential([keras.Input(shape), make()])
    mixing = RNG.normal(size=(shape[-1], shape[-1]))
    x = (RNG.normal(size=(40, *shape)) @ mixing).astype("float32")
    errors = {
        method: error(model, prune_one_shot(model, x, 0.5, method=method, damping=1e-4), x)
        for method in ("surgeon", "wanda", "magnitude")
    }
    assert errors["surgeon"] < min(errors["wanda"], errors["magnitude"])


def test_inputs_that_are_zero_or_the_same_do_no_harm():
    x = X.copy()
    x[:, 3] = 0.0
    x[:, 5] = x[:, 4]
    pruned = prune_one_shot(linear(), x, 0.25)
    kernel = pruned.get_layer("out").kernel.numpy()
    assert np.isfinite(kernel).all()
    assert not kernel[3].any()
    nothing = prune_one_shot(linear(), np.zeros_like(x), 0.25)
    assert get_mask(nothing).kept == 18


def test_shared_layers_are_measured_where_they_are_called():
    first, second = keras.Input((8,)), keras.Input((8,))
    dense = layers.Dense(4, name="both")
    model = keras.Model([first, second], dense(first) - dense(second))
    scores = wanda(model, [X, 2 * X])["both/kernel"]
    norms = np.sqrt(5) * np.linalg.norm(X, axis=0)
    np.testing.assert_allclose(scores, np.abs(dense.kernel) * norms[:, None], rtol=1e-5)


def test_the_model_is_as_it_was():
    model = linear()
    before = model.get_weights()
    plain = strip(prune_one_shot(model, X, 0.5))
    assert np.count_nonzero(plain.layers[0].kernel) == 12
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert "call" not in vars(model.layers[0])


def test_bad_input_is_refused():
    for wrong in ({"sparsity": 1.0}, {"sparsity": 0.5, "damping": 0.0}):
        with pytest.raises(ValueError, match=r"`sparsity` must be in \(0, 1\)"):
            prune_one_shot(linear(), X, **wrong)
    with pytest.raises(ValueError, match="`method` must be one of"):
        prune_one_shot(linear(), X, 0.5, method="surgery")
    with pytest.raises(DataError, match="aren't all finite"):
        prune_one_shot(linear(), np.full((4, 8), np.nan), 0.5)
    with pytest.raises(DataError, match="No example reaches"):
        wanda(linear(), np.zeros((0, 8)))
    with pytest.raises(MaskError, match="would leave none"):
        prune_one_shot(linear(units=1), X, 0.99)
    recurrent = keras.Sequential([keras.Input((4, 8)), layers.LSTM(3)])
    with pytest.raises(ModelError, match=r"Received: `lstm.*/kernel` of a LSTM.*by `skip`"):
        wanda(recurrent, np.ones((2, 4, 8)))
