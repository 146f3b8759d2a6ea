"""How many gradients a measurement takes, counted where they are computed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfticket.norms.landscape.trackers import landscape_function

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


class Counts(keras.layers.Layer):
    """Counts forward and backward passes as they are executed."""

    def __init__(self):
        super().__init__()
        self.passes = {"forward": 0, "backward": 0}

    def call(self, inputs):
        @tf.custom_gradient
        def counted(x):
            return self._noted(x, "forward"), lambda upstream: self._noted(upstream, "backward")

        return counted(inputs)

    def _noted(self, tensor, name):
        def note(value):
            self.passes[name] += 1
            return value

        noted = tf.py_function(note, [tensor], tensor.dtype)
        noted.set_shape(tensor.shape)
        return noted


def counted_passes(direction, multipliers):
    counts = Counts()
    hidden = keras.layers.Dense(4, activation="relu")
    model = keras.Sequential([keras.Input((3,)), hidden, counts, keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", jit_compile=False)
    x, y = np.ones((5, 3), "float32"), np.zeros((5, 2), "float32")
    model.train_on_batch(x, y)
    evaluate = landscape_function(model, direction)
    batch = (tf.constant(x), tf.constant(y))
    evaluate(batch, 0.1, tf.constant(multipliers))
    counts.passes.update({"forward": 0, "backward": 0})  # only what a traced one does counts
    evaluate(batch, 0.1, tf.constant(multipliers))
    return dict(counts.passes)


@pytest.mark.parametrize("points", [1, 8])
def test_along_the_gradient_k_points_take_k_and_one_gradients(points):
    passes = counted_passes("gradient", np.linspace(0.5, 4.0, points))
    assert passes == {"forward": points + 1, "backward": points + 1}


def test_along_the_update_there_is_the_step_that_is_taken_back_besides():
    assert counted_passes("update", [0.5, 1.0, 2.0]) == {"forward": 5, "backward": 5}
