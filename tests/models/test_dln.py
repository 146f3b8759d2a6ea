import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.models.zoo import dln


def test_the_network_of_the_paper_is_a_product_of_25_matrices():
    model = dln((10,), 10)
    kernels = [weight.numpy() for weight in model.weights]
    assert [kernel.shape for kernel in kernels] == [(10, 10)] * 25
    x = np.random.default_rng(0).normal(size=(4, 10)).astype("float32")
    np.testing.assert_allclose(model(x), x @ np.linalg.multi_dot(kernels), rtol=1e-3, atol=1e-5)


def test_a_norm_goes_behind_each_layer_but_the_last():
    model = dln((10,), 3, depth=4, width_units=6, norm="batch")
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    assert kinds == ["Dense", "FusedBatchNorm"] * 3 + ["Dense"]
    assert model.layers[1].units == 6
    assert model.output_shape == (None, 3)


def test_images_are_flattened_and_layers_drop():
    model = dln((2, 2, 1), 2, depth=2, dropout=0.5)
    assert any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)
    assert model(np.ones((3, 2, 2, 1), "float32")).shape == (3, 2)


def test_one_layer_is_not_deep():
    with pytest.raises(ModelError, match=r"`depth` must be at least 2. Received: 1"):
        dln((10,), 10, depth=1)
