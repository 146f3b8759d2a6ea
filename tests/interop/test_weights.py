import numpy as np
import pytest
from helpers import mlp

from tfticket.errors import ModelError
from tfticket.interop.child import LegacyContent, LegacyLayer
from tfticket.interop.rebuilding import Rebuilt
from tfticket.interop.transfer import clear, give_weights, masks_of_wrappers, masks_of_zeros


def legacy_layer(path, weights, names=("kernel", "bias"), masks=None):
    return LegacyLayer((path,), names, tuple(weights), masks or {}, None, None, ())


def content(*layers):
    return LegacyContent({}, layers, (), (), {})


@pytest.fixture
def rebuilt(seeded):
    model = mlp()
    return Rebuilt(model, {(layer.name,): layer for layer in model.layers})


def test_weights_and_masks_go_where_they_belong(rebuilt):
    kernel, bias = np.full((4, 3), 2.0, "float32"), np.arange(3, dtype="float32")
    mask = np.eye(4, 3) > 0
    found = content(legacy_layer("output", [kernel, bias], masks={0: mask}))
    give_weights(found, rebuilt)
    output = rebuilt.model.get_layer("output")
    np.testing.assert_array_equal(output.kernel, kernel)
    np.testing.assert_array_equal(output.bias, bias)
    masks = masks_of_wrappers(found, rebuilt)
    assert masks.keys() == {"output/kernel"}
    assert clear(masks, rebuilt.model) == 9
    np.testing.assert_array_equal(output.kernel, kernel * mask)
    assert clear(masks, rebuilt.model) == 0


def test_a_kernel_may_have_had_a_longer_name(rebuilt):
    weights = [np.zeros((4, 3), "float32"), np.zeros(3, "float32")]
    give_weights(content(legacy_layer("output", weights, ("depthwise_kernel", "bias"))), rebuilt)


def test_all_layers_with_other_weights_are_named(rebuilt):
    wrong_shape = legacy_layer("output", [np.zeros((4, 2)), np.zeros(3)])
    one_less = legacy_layer("hidden_0", [np.zeros((6, 5))], ("kernel",))
    wrong_name = legacy_layer("hidden_1", [np.zeros((5, 4)), np.zeros(4)], ("kernel", "scale"))
    with pytest.raises(ModelError) as caught:
        give_weights(content(wrong_shape, one_less, wrong_name), rebuilt)
    message = str(caught.value)
    assert "`output` with kernel (4, 2), bias (3,), and in Keras 3 kernel (4, 3), bias" in message
    assert "`hidden_0` with kernel (6, 5), and" in message
    assert "`hidden_1` with kernel (5, 4), scale (4,), and" in message


def test_zeros_of_kernels_are_a_mask(rebuilt):
    assert masks_of_zeros(rebuilt.model) == {}  # biases are zero, but no kernel is
    kernel = rebuilt.model.get_layer("output").kernel
    kernel.assign(np.where(np.eye(4, 3), 0.0, kernel.numpy()))
    masks = masks_of_zeros(rebuilt.model)
    assert masks.keys() == {"output/kernel"}
    np.testing.assert_array_equal(masks["output/kernel"], np.eye(4, 3) == 0)
