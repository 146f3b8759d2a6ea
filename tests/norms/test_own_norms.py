"""Children of norms: those that compute what their parents do, and those that do more."""

import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.norms import diagnose, fold_batch_norm, swap_norm
from tfticket.norms.catalog import is_norm, kind_of
from tfticket.statistics import recalibrate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers


class NormReLU(layers.BatchNormalization):
    """More than its parent."""

    def call(self, inputs, training=None, mask=None):
        return keras.ops.relu(super().call(inputs, training=training, mask=mask))


class Slower(layers.BatchNormalization):
    """Its parent, with another default."""

    def __init__(self, momentum=0.95, **kwargs):
        super().__init__(momentum=momentum, **kwargs)


class SumNorm(layers.LayerNormalization):
    """More than its parent."""

    def call(self, inputs):
        return inputs + super().call(inputs)


class BiasFree(layers.Conv2D):
    """A convolution that doesn't use the bias it may have."""

    def call(self, inputs):
        return self.convolution_op(inputs, self.kernel)


def network(*norms):
    x = inputs = keras.Input((8, 8, 3))
    for number, norm in enumerate(norms):
        x = norm(layers.Conv2D(4, 3, name=f"conv{number}")(x))
    return keras.Model(inputs, layers.Conv2D(2, 1)(x))


X = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")


def test_a_child_that_does_more_is_no_known_norm():
    for layer in (NormReLU(), SumNorm()):
        assert not is_norm(layer)
        assert kind_of(layer) == type(layer).__name__
    norm = Slower()
    norm.build((None, 4))
    assert (is_norm(norm), kind_of(norm)) == (True, "batch")


def test_it_is_not_folded_and_said_why():
    model = network(NormReLU(name="own"), Slower(name="slower"))
    small, folded, left = fold_batch_norm(model)
    np.testing.assert_allclose(small(X), model(X), atol=1e-5)
    assert folded == {"slower": "conv1"}
    assert "NormReLU overrides `call` of BatchNormalization" in left["own"]


def test_it_is_not_swapped_and_said_why():
    model = network(NormReLU(name="own"), Slower(name="slower"), SumNorm(name="sum"))
    swapped, report = swap_norm(model, "frozen_batch")
    np.testing.assert_allclose(swapped(X), model(X), atol=1e-5)
    assert [layer.key for layer in report.layers] == ["slower"]
    assert list(report.left) == ["own", "sum"]
    assert "SumNorm overrides `call` of LayerNormalization" in report.left["sum"]
    with pytest.raises(ModelError, match=r"`own` is left: its class NormReLU overrides `call`"):
        swap_norm(network(NormReLU(name="own")), "group")


def test_a_bias_is_given_to_convolutions_that_are_known_to_add_it():
    x = inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="bn")(BiasFree(4, 3, use_bias=False, name="conv")(x))
    swapped, report = swap_norm(keras.Model(inputs, x), "none")
    assert report.layers[0].before == ()
    assert not swapped.get_layer("conv").use_bias


def test_its_statistics_are_not_taken_and_that_is_told():
    model = network(NormReLU(name="own"), Slower(name="slower"))
    before = [np.array(v) for v in model.get_layer("own").variables]
    with pytest.warns(UserWarning, match=r"'own' is left as it is: its class NormReLU overrides"):
        recalibrate(model, [X])
    for old, new in zip(before, model.get_layer("own").variables, strict=True):
        np.testing.assert_array_equal(np.array(new), old)
    # What comes behind sees what the layer really gives.
    outputs = keras.Model(model.inputs[0], model.get_layer("conv1").output)(X)
    np.testing.assert_allclose(
        model.get_layer("slower").moving_mean, np.mean(outputs, (0, 1, 2)), atol=1e-5
    )


def test_the_doctor_says_what_nothing_is_known_of():
    found = {each.code: each for each in diagnose(network(NormReLU(name="own")), batch_size=1)}
    assert list(found) == ["own-norm"]
    assert found["own-norm"].layers == ("own",)
    assert "NormReLU overrides `call`" in found["own-norm"].what
