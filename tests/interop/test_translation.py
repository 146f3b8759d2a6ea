import keras
import pytest

from tfticket.errors import ModelError
from tfticket.interop.rebuilding import new_layer, unknown_settings


def described(kind, **config):
    return {"class_name": kind, "config": {"name": "x", "trainable": True, **config}}


def made(kind, **config):
    return new_layer(described(kind, **config), name="new", inside=no_layer_inside)


def no_layer_inside(layer):
    raise AssertionError(f"there is no layer inside: {layer}")


def test_settings_keep_their_meaning_under_other_names():
    assert made("LeakyReLU", alpha=0.2).negative_slope == 0.2
    assert made("BatchNormalization", axis=[3]).axis == 3
    policy = {"class_name": "Policy", "config": {"name": "float64"}}
    assert made("Dense", units=2, dtype=policy).compute_dtype == "float64"


def test_initializers_regularizers_and_constraints_come_along():
    layer = made(
        "Dense",
        units=2,
        kernel_initializer={"class_name": "HeNormal", "config": {"seed": 3}},
        kernel_regularizer={"class_name": "L2", "config": {"l2": 0.5}},
        bias_constraint={"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}},
    )
    assert isinstance(layer.kernel_initializer, keras.initializers.HeNormal)
    assert layer.kernel_initializer.seed == 3
    assert layer.kernel_regularizer.l2 == 0.5
    assert layer.bias_constraint.max_value == 2


def test_a_layer_in_the_place_of_an_activation():
    leaky = {"class_name": "LeakyReLU", "config": {"name": "leaky", "alpha": 0.1}}
    layer = new_layer(
        described("Dense", units=2, activation=leaky),
        name="new",
        inside=lambda inner: new_layer(inner, name="leaky", inside=no_layer_inside),
    )
    assert layer.activation.negative_slope == 0.1


def test_frozen_layers_stay_frozen():
    assert not made("SpatialDropout2D", rate=0.5, trainable=False).trainable
    assert made("Dense", units=2).name == "new"


def test_settings_without_effect_are_known():
    assert unknown_settings(described("LSTM", units=2, time_major=False, implementation=2)) == []
    assert unknown_settings(described("DepthwiseConv2D", kernel_size=3, groups=1)) == []
    assert unknown_settings(described("InputLayer", anything=1)) == []


def test_settings_that_would_be_lost_are_told():
    told = unknown_settings(described("DepthwiseConv2D", kernel_size=3, groups=2, speed="high"))
    assert told == ["`x` (DepthwiseConv2D): groups=2", "`x` (DepthwiseConv2D): speed='high'"]


def test_what_keras_3_refuses_is_told():
    with pytest.raises(ModelError, match=r"`x` \(Dense\), which Keras 3 refuses: .*-1"):
        made("Dense", units=-1)
