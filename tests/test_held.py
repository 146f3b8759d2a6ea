import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.introspection import held_optimizers, held_variables


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
