"""A search on real images that takes a second, with witnesses of all that happens in it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

import keras
import numpy as np
import tensorflow as tf

from tfticket import data
from tfticket.data import Feed, Split
from tfticket.lottery import TicketSearch
from tfticket.lottery.trial import MemoryStore, TrialListener
from tfticket.schedules import IterativePruning
from tfticket.state import Snapshot, named_variables

LEVEL_STEPS, REWIND_STEP, CHUNK, BATCH = 12, 4, 4, 32


@functools.cache
def digits():
    """Some hundred of scikit-learn's; validation and test data of one shape, so of one trace."""
    sets = data.load("digits", validation=60, limit=200)
    return replace(sets, test=Split(sets.test.x[:60], sets.test.y[:60]))


def feed(seed=0):
    """Training batches whose order depends on the seed and the step."""
    sets = digits()
    return Feed(sets.train, batch_size=BATCH, seed=seed, chunk_steps=CHUNK, scale=sets.scale)


def validation():
    return data.batches(digits().validation, scale=digits().scale)


def unseen():
    return data.batches(digits().test, scale=digits().scale)


@keras.saving.register_keras_serializable(package="tests")
class Witness(keras.layers.Layer):
    """Passes its input on; notes how often it is traced for training, and each training batch."""

    def build(self, input_shape):
        self.notes = Notes()
        self.places = np.arange(1.0, input_shape[-1] + 1, dtype="float32")

    def call(self, x, training=None):
        if training:
            self.notes.traces += 1
            summed = tf.reduce_sum(x * self.places)
            tf.numpy_function(self.notes.batches.append, [summed], [], stateful=True)
        return x


@dataclass
class Notes:
    traces: int = 0
    batches: list = field(default_factory=list)


def network(*, seed=0, witness=False, initializer="glorot_uniform", policy="float32"):
    """64-16-10 units, with all that training changes: kernels, statistics, dropout's seeds."""
    keras.utils.set_random_seed(seed)
    kernels = {"kernel_initializer": initializer, "dtype": policy}
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(name="flatten"),
            *([Witness(name="witness")] if witness else []),
            layers.Dense(16, activation="relu", name="hidden", **kernels),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.1, name="drop"),
            layers.Dense(10, name="output", **kernels),
        ],
        name="network",
    )


class Subclassed(keras.Model):
    """What Keras can't clone."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.flatten = keras.layers.Flatten()
        self.hidden = keras.layers.Dense(16, activation="relu", name="hidden")
        self.drop = keras.layers.Dropout(0.1, name="drop")
        self.out = keras.layers.Dense(10, name="out")

    def call(self, x, training=None):
        return self.out(self.drop(self.hidden(self.flatten(x)), training=training))

    @classmethod
    def built(cls):
        model = cls()
        model(np.zeros((1, 8, 8, 1)))
        return model


def compiled(model, optimizer=None, **options):
    model.compile(
        optimizer or keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        **{"jit_compile": False, **options},
    )
    return model


class CutError(Exception):
    """Someone pulled the plug."""


class Observer(TrialListener):
    """Keeps the state of the model wherever a search tells about it.

    Args:
        model: The model of the search.
        cut_after: Pull the plug after so many networks.
    """

    def __init__(self, model, cut_after=None):
        self.model = model
        self.cut_after = cut_after
        self.started, self.steps, self.ended = {}, {}, {}
        self.now = None

    def begin(self, trial, density):
        self.now = (trial.branch, trial.level)
        self.started[self.now] = Snapshot.capture(self.model, step=trial.start_step)
        self.steps[self.now] = {}

    def update(self, trial, step, logs):
        self.steps[self.now][step] = Snapshot.capture(self.model, step=step)

    def end(self, result):
        self.ended[self.now] = Snapshot.capture(self.model, step=result.trial.stop_step)
        self.now = None
        if len(self.ended) == self.cut_after:
            raise CutError


@dataclass
class Searched:
    """A search that has ended."""

    search: TicketSearch
    model: keras.Model
    observer: Observer
    feed: Feed

    @property
    def rows(self):
        return self.search.store.rows


def searched(
    model, *, levels=2, epochs=None, cut_after=None, observer=None, callbacks=(), **options
):
    """Runs a search, from the model's state on."""
    observer = observer or Observer(model, cut_after)
    batches = feed()
    search = TicketSearch(
        IterativePruning(0.3, levels=levels),
        LEVEL_STEPS,
        **{
            "feed": batches,
            "listener": observer,
            "store": MemoryStore(),
            "test_data": unseen(),
            **options,
        },
    )
    try:
        model.fit(
            **batches.fit_arguments(),
            epochs=search.epochs(steps_per_epoch=CHUNK) if epochs is None else epochs,
            validation_data=validation(),
            callbacks=[search, *callbacks],
            verbose=0,
        )
    except CutError:
        assert cut_after is not None
    return Searched(search, model, observer, batches)


def assert_same_arrays(ours, theirs):
    """Bit for bit, key by key."""
    assert list(ours) == list(theirs)
    for key, array in ours.items():
        np.testing.assert_array_equal(array, theirs[key], err_msg=key)


def assert_same_state(ours, theirs):
    """Two snapshots, optimizer included."""
    assert_same_arrays(ours.variables, theirs.variables)
    assert len(ours.optimizer) == len(theirs.optimizer)
    for one, other in zip(ours.optimizer, theirs.optimizer, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_plain(model):
    """Nothing of a search is left on the model."""
    assert all(v.constraint is None for v in named_variables(model).values())
    assert "apply" not in vars(model.optimizer)


def strongest(weights, mask, count):
    """The `count` weights of largest magnitude that survive, by a sorted list; ties by place."""
    places = sorted(np.flatnonzero(mask), key=lambda i: (-abs(weights.ravel()[i]), i))
    kept = np.zeros(mask.size, bool)
    kept[places[:count]] = True
    return kept.reshape(mask.shape)
