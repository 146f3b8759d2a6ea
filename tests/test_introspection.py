import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.introspection import computes_as, held_optimizers, held_variables, is_own, overridden
from tfticket.norms.layers import FusedBatchNorm, LpBatchNorm
from tfticket.statistics import KeepsScale

pytestmark = pytest.mark.slow


class Own:
    """Nothing that Keras or TensorFlow would track."""

    def __init__(self, value):
        self.value = value
        self.itself = self


@pytest.mark.parametrize(
    ("hold", "path"),
    [
        (lambda v: v, "held"),
        (lambda v: [v], "held/0"),
        (lambda v: (1, (v,)), "held/1/0"),
        (lambda v: {"a": {"b": v}}, "held/a/b"),
        (lambda v: collections.deque([v]), "held/0"),
        (lambda v: Own(v), "held/value"),
        (lambda v: {"list": [Own([v])]}, "held/list/0/value/0"),
    ],
    ids=["attribute", "list", "tuple", "dict", "deque", "object", "all"],
)
@pytest.mark.parametrize("kind", [keras.Variable, tf.Variable], ids=["keras", "tensorflow"])
def test_a_variable_is_found_wherever_it_is(hold, path, kind):
    variable = kind(np.float32(2.0))
    for model in (keras.Sequential(), Own(None)):
        model.held = hold(variable)
        found = held_variables(model)
        assert list(found) == [path]
        assert found[path] is variable
        assert held_variables(model, without={id(variable)}) == {}


def test_each_variable_is_listed_once_by_its_shortest_path():
    variable = keras.Variable(1.0)
    model = keras.Sequential()
    model.deep, model.near = [Own(variable)], variable
    assert list(held_variables(model)) == ["near"]


def test_optimizers_schedules_metrics_and_losses_are_looked_into():
    class Counting(keras.optimizers.schedules.LearningRateSchedule):
        def __init__(self):
            self.calls = keras.Variable(0)

        def __call__(self, step):
            return 0.1

    class Scaled(keras.losses.Loss):
        def __init__(self):
            super().__init__()
            self.factor = keras.Variable(1.0)

    model = keras.Sequential()
    model.second = keras.optimizers.SGD(Counting())
    model.kept = [keras.metrics.Mean(), Scaled()]
    found = held_variables(model)
    assert {"second/_learning_rate/calls", "kept/0/total", "kept/1/factor"} <= set(found)
    assert list(held_optimizers(model)) == ["second"]


def test_data_that_a_model_keeps_are_passed_over():
    model = Own(None)
    model.data = [*range(20_000), keras.Variable(1.0)]
    model.array = np.zeros(3)
    model.dataset = tf.data.Dataset.range(3)
    assert held_variables(model) == {}


BatchNorm = keras.layers.BatchNormalization


class WithReLU(BatchNorm):
    def call(self, inputs, training=None, mask=None):
        return keras.ops.relu(super().call(inputs, training=training, mask=mask))


class OfAMixin:
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


class Mixed(OfAMixin, BatchNorm):
    pass


class Grandchild(WithReLU):
    pass


class OtherMoments(BatchNorm):
    def _moments(self, inputs, mask):
        return super()._moments(inputs, mask)


class Called(BatchNorm):
    def __call__(self, *args, **kwargs):
        return -super().__call__(*args, **kwargs)


class Defaults(BatchNorm):
    """Another momentum, a helper, a config."""

    note = "mine"

    def __init__(self, momentum=0.5, **kwargs):
        super().__init__(momentum=momentum, **kwargs)

    def helper(self):
        return self.note

    def get_config(self):
        return {**super().get_config(), "note": self.note}


class Scaled(KeepsScale):
    """Implements what its parent leaves open."""

    def scale_of(self, x, axes, present):
        return keras.ops.max(x, axes, keepdims=True)

    def normalize(self, x, mean, scale):
        return (x - mean) / scale

    def call(self, inputs):
        return inputs


class OfAStandIn(FusedBatchNorm):
    def call(self, inputs, training=None, mask=None):
        return inputs


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (BatchNorm, ()),
        (FusedBatchNorm, ()),
        (LpBatchNorm, ()),
        (Defaults, ()),
        (Scaled, ()),
        (WithReLU, ("call",)),
        (Grandchild, ("call",)),
        (Mixed, ("call",)),
        (OtherMoments, ("_moments",)),
        (Called, ("__call__",)),
        (OfAStandIn, ("call",)),
    ],
)
def test_what_a_child_overrides_of_what_is_known(kind, names):
    layer = kind()
    assert overridden(layer) == names
    assert computes_as(layer, (BatchNorm, KeepsScale)) == (not names)
    assert is_own(layer) == (kind.__module__ == __name__)
    assert not computes_as(layer, keras.layers.Dense)
