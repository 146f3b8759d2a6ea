import keras
import numpy as np
import pytest

from tfticket.norms import graph
from tfticket.norms.layers import StandardizedConv2D
from tfticket.sparsity import Masked

layers = keras.layers


@pytest.mark.parametrize("wrap", [lambda layer: layer, Masked], ids=["plain", "masked"])
def test_versions_of_a_convolution(wrap):
    conv = wrap(layers.Conv2D(4, 3, use_bias=False, kernel_regularizer="l2", name="conv"))
    conv(np.ones((1, 5, 5, 2)))
    assert graph.can_standardize(conv)
    assert graph.lacks_bias(conv)
    standardized = graph.with_standardized_weights(conv)
    assert graph.is_standardized(standardized)
    assert not graph.can_standardize(standardized)
    plain = graph.with_plain_weights(standardized)
    biased = graph.with_bias(plain)
    assert not graph.lacks_bias(biased)
    for version in (standardized, plain, biased):
        assert (type(version) is Masked) == (type(conv) is Masked)
        assert version.name == "conv"
        inner = version.layer if isinstance(version, Masked) else version
        assert inner.kernel_regularizer.l2 == pytest.approx(0.01)
        assert inner.use_bias == (version is biased)


def test_only_plain_convolutions_are_standardized():
    for layer in (layers.Dense(2), layers.DepthwiseConv2D(3), layers.Conv2DTranspose(2, 3)):
        assert not graph.can_standardize(layer)
    assert not graph.lacks_bias(layers.ReLU())
    assert graph.is_standardized(StandardizedConv2D(2, 3))


def test_masks_are_copied():
    old, new = (Masked(layers.Dense(2)) for _ in range(2))
    for layer in (old, new):
        layer(np.ones((1, 3)))
    mask = np.array([[True, False]] * 3)
    old.set_masks({"kernel": mask})
    graph.copy_masks(old, new)
    np.testing.assert_array_equal(new.masks["kernel"], mask)
    assert not new.layer.kernel.numpy()[~mask].any()
