import keras
import pytest

from tfticket.errors import ModelError
from tfticket.norms.layers import StandardizedConv2D
from tfticket.remaking import remade

pytestmark = pytest.mark.slow

layers = keras.layers


def gelu(x):
    return 3 * x


class Takes(layers.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.5

    def get_config(self):
        return {}


def test_functions_are_the_same_and_keep_their_names():
    lambdas = [lambda x: x, lambda x: -x]
    for function in (gelu, *lambdas):
        layer = layers.Dense(3, activation=function, kernel_regularizer=lambdas[1], name="fc")
        new = remade(layer)
        assert new.activation is function
        assert new.kernel_regularizer is lambdas[1]
        assert new.name == "fc"
    assert gelu.__name__ == "gelu"
    assert lambdas[0].__name__ == "<lambda>"


def test_functions_inside_other_layers_are_found():
    inner = layers.Dense(3, activation=lambda x: x)
    new = remade(layers.TimeDistributed(inner))
    assert new.layer.activation is inner.activation
    text = layers.TextVectorization(standardize=gelu)
    assert remade(text)._standardize is gelu


def test_functions_of_keras_stay_functions_of_keras():
    assert remade(layers.Dense(2, activation="gelu")).activation is keras.activations.gelu


def test_entries_of_the_config_can_differ():
    conv = layers.Conv2D(4, 3, use_bias=False, name="conv")
    assert remade(conv, use_bias=True, name="other").name == "other"
    assert remade(conv, use_bias=True).use_bias
    other = remade(conv, kind=StandardizedConv2D, epsilon=0.5)
    assert (type(other), other.filters, other.epsilon) == (StandardizedConv2D, 4, 0.5)
    assert type(remade(other, kind=layers.Conv2D, without=("epsilon",))) is layers.Conv2D


def test_optimizers_and_metrics_of_one_s_own():
    optimizer = remade(keras.optimizers.SGD(Schedule()))
    assert isinstance(optimizer._learning_rate, Schedule)
    metric = remade(keras.metrics.MeanMetricWrapper(gelu, name="mine"))
    assert (metric._fn, metric.name) == (gelu, "mine")


def test_what_cannot_be_made_is_refused_by_name():
    with pytest.raises(ModelError, match=r"'takes' of the class Takes can't.*non-serializable arg"):
        remade(Takes(gelu, name="takes"))
    assert gelu.__name__ == "gelu"
