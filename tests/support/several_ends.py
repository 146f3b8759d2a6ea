"""Networks with several inputs and outputs, and networks that keep a state."""

from __future__ import annotations

import keras
import numpy as np

layers = keras.layers
RNG = np.random.default_rng(0)
COUNT = 240


def two_by_two():
    """Takes an image and a few numbers of another size; says a class and a place."""
    image = keras.Input((6, 6, 1), name="image")
    motion = keras.Input((3,), name="motion")
    seen = layers.Flatten()(layers.Conv2D(3, 3, activation="relu")(image))
    both = layers.Concatenate()([seen, layers.Dense(4, activation="relu")(motion)])
    outputs = {"what": layers.Dense(3)(both), "where": layers.Dense(2)(both)}
    return keras.Model({"image": image, "motion": motion}, outputs)


def inputs_of_two(count=COUNT):
    """Numbers of very different sizes: mixed up inputs would be calibrated wrongly."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(count, 6, 6, 1)).astype("float32")
    return {"image": image, "motion": 50 * rng.normal(size=(count, 3)).astype("float32")}


@keras.saving.register_keras_serializable(package="tests")
class Ring(layers.Layer):
    """The last steps of a stream, as streaming keyword spotters keep them."""

    def __init__(self, steps, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps

    def build(self, shape):
        self.state = self.add_weight(
            shape=(1, self.steps, *shape[2:]), initializer="zeros", trainable=False, name="state"
        )

    def call(self, x):
        last = keras.ops.concatenate([self.state, x], axis=1)[:, -self.steps :]
        self.state.assign(last)
        return last

    def get_config(self):
        return {**super().get_config(), "steps": self.steps}


def streaming(layer):
    """A network that hears four numbers a step; `layer` remembers."""
    given = keras.Input((1, 4), batch_size=1)
    stack = [layer, layers.Flatten(), layers.Dense(6, activation="relu"), layers.Dense(2)]
    return keras.Sequential([given, *stack])


def stream(count=COUNT):
    return np.random.default_rng(0).normal(size=(count, 1, 4)).astype("float32")


def explicit_state(units=4):
    """A recurrent step whose state goes in and comes out."""
    step, state = keras.Input((1, 4), name="step"), keras.Input((units,), name="state")
    heard, after = layers.GRU(units, return_state=True, unroll=True)(step, initial_state=state)
    return keras.Model([step, state], {"answer": layers.Dense(2)(heard), "state_after": after})
