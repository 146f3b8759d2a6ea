"""A chunk of steps in one call trains as Keras does, under the same `fit`."""

import keras
import numpy as np
import pytest

from tfticket.data import ChunkedFit, Feed, Split
from tfticket.errors import ModelError
from tfticket.machine import only_cpus
from tfticket.norms import LandscapeTracker, ShiftTracker, assert_no_trace
from tfticket.norms.layers.channels import compiled_by_xla
from tfticket.sparsity import KeepMask, Mask
from tfticket.state import named_variables, prunable_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers
CHUNK = 4


def split(examples=40):
    rng = np.random.default_rng(3)
    x = rng.integers(0, 256, (examples, 6, 6, 2), "uint8")
    return Split(x, rng.integers(0, 3, examples, "int32"))


def feed(augment="none"):
    return Feed(
        split(),
        batch_size=8,
        seed=1,
        chunk_steps=CHUNK,
        scale=1 / 255,
        offset=-0.5,
        augment=augment,
    )


def dense():
    return [layers.Flatten(), layers.Dense(7, activation="relu"), layers.Dropout(0.4)]


def convolutional():
    return [
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Flatten(),
    ]


def network(hidden, *, jit=False, optimizer="adam", kind=keras.Sequential, **options):
    keras.utils.set_random_seed(5)
    model = kind([keras.Input((6, 6, 2)), *hidden(), layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"steps_per_execution": CHUNK, "jit_compile": jit, **options}
    model.compile(optimizer, loss, metrics=["accuracy"], **options)
    return model


def fitted(model, feed, *, chunked, epochs=3, callbacks=(), **options):
    more = [ChunkedFit(feed)] if chunked else []
    given = {**feed.fit_arguments(), "epochs": epochs, "verbose": 0, **options}
    return model.fit(**given, callbacks=[*callbacks, *more]).history


def values(model):
    return {key: variable.numpy() for key, variable in named_variables(model).items()}


def assert_same(first, second, tolerance=1e-5):
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("hidden", [dense, convolutional])
def test_trains_as_without(hidden, jit):
    augment = "flip_crop" if hidden is convolutional else "none"
    models, histories, feeds = [], [], []
    for chunked in (False, True):
        models.append(network(hidden, jit=jit))
        feeds.append(feed(augment))
        x = split(16)
        held_out = (x.x.astype("float32") / 255 - 0.5, x.y)
        histories.append(fitted(models[-1], feeds[-1], chunked=chunked, validation_data=held_out))
    assert_same(values(models[0]), values(models[1]))
    assert_same(*histories)
    assert set(histories[1]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert feeds[0].step == feeds[1].step == 3 * CHUNK
    steps = [int(model.optimizer.iterations.numpy()) for model in models]
    assert steps == [3 * CHUNK, 3 * CHUNK]


class Counting(keras.Sequential):
    """Returns a log of its own, that is no metric; counts its traces."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        x, y = data
        return {**super().train_step((x, y)), "brightest": keras.ops.max(x)}


def test_own_train_steps_and_their_logs():
    given = feed()
    model = network(dense, kind=Counting)
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda at, logs: seen.append(logs))
    fitted(model, given, chunked=True, callbacks=[watch])
    last = [given.batch(step)[0].numpy().max() for step in (3, 7, 11)]  # of each chunk's last step
    assert [float(logs["brightest"]) for logs in seen] == pytest.approx(last)
    assert model.traces == 1


def test_more_threads_than_serve_a_small_network_are_warned_of(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    with pytest.warns(UserWarning, match="one thread trains it faster than 2") as told:
        fitted(network(dense, jit=True), feed(), chunked=True, epochs=500)
    assert "jit_compile=models.jit_choice(model)" in str(told[0].message)
    fitted(network(dense, jit=True), feed(), chunked=True, epochs=4)  # too short to matter
    fitted(network(dense), feed(), chunked=True, epochs=500)  # many steps a call, without XLA


def test_a_second_fit_goes_on_without_a_trace():
    models, feeds = [network(dense, kind=Counting) for _ in "ab"], [feed(), feed()]
    fitted(models[0], feeds[0], chunked=True, epochs=4)
    callback = ChunkedFit(feeds[1])
    for _ in range(2):
        models[1].fit(**feeds[1].fit_arguments(), epochs=2, callbacks=[callback], verbose=0)
    assert_same(values(models[0]), values(models[1]), 0)
    assert models[1].traces == 1


class Noting(layers.Layer):
    """Notes, when it is traced, whether it is for training and compiled by XLA."""

    def __init__(self):
        super().__init__()
        self.noted = set()

    def call(self, inputs, training=None):
        self.noted.add((training, compiled_by_xla()))
        return inputs


@pytest.mark.skipif(not only_cpus(), reason="on other devices evaluations are compiled as told")
def test_evaluations_are_not_compiled_by_xla():
    noting, x = Noting(), split(16)
    held_out = (x.x.astype("float32"), x.y)
    model = network(lambda: [layers.Flatten(), noting], jit=True)
    noting.noted.clear()
    fitted(model, feed(), chunked=True, validation_data=held_out)
    assert (True, True) in noting.noted  # and not when Keras asks for shapes only
    assert {compiled for training, compiled in noting.noted if not training} == {False}
    assert model.jit_compile
    model.evaluate(*held_out, verbose=0)  # by Keras' own function
    assert (False, True) in noting.noted


def test_what_evaluated_before_evaluates_again():
    model, x = network(dense), split(16)
    model.evaluate(x.x, x.y, verbose=0)
    before = model.test_function
    fitted(model, feed(), chunked=True, validation_data=(x.x, x.y))
    assert model.test_function is before
    with pytest.raises(InterruptedError):
        fitted(model, feed(), chunked=True, callbacks=[Stop()])
    fitted(model, feed(), chunked=True, validation_data=(x.x, x.y))
    assert model.test_function is None


def test_pruned_weights_stay_zero():
    model, given = network(dense, jit=True), feed()
    rng = np.random.default_rng(0)
    kernels = prunable_variables(model)
    mask = Mask({key: rng.random(v.shape) < 0.5 for key, v in kernels.items()})
    fitted(model, given, chunked=True, callbacks=[KeepMask(mask)])
    for key, kernel in kernels.items():
        assert not kernel.numpy()[~mask[key]].any()
        assert kernel.numpy()[mask[key]].all()


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise InterruptedError


def test_an_interrupted_fit_leaves_nothing_to_the_next():
    models, x = [network(dense) for _ in "ab"], split(8)
    own = (x.x.astype("float32"), x.y)
    for model, chunked in zip(models, (False, True), strict=True):
        with pytest.raises(InterruptedError):
            fitted(model, feed(), chunked=chunked, callbacks=[Stop()])
        model.fit(*own, batch_size=2, epochs=2, shuffle=False, verbose=0)
    assert_same(*(values(model) for model in models))


def test_trackers_see_the_batches_and_leave_no_trace():
    records = []
    for chunked in (False, True):
        tracker = LandscapeTracker(CHUNK, verbose=0)
        fitted(network(convolutional), feed(), chunked=chunked, callbacks=[tracker])
        records.append(tracker.record)
    np.testing.assert_allclose(records[0].loss_band, records[1].loss_band, rtol=1e-4)
    given = feed()
    assert_no_trace(
        lambda: (given.seek(0), network(convolutional))[1],
        lambda: [LandscapeTracker(CHUNK, verbose=0), ShiftTracker(CHUNK, verbose=0)],
        callbacks=[ChunkedFit(given)],
        epochs=2,
        **given.fit_arguments(),
    )


def test_models_that_run_eagerly_are_left_to_keras():
    models = [network(dense, run_eagerly=True) for _ in "ab"]
    for model, chunked in zip(models, (False, True), strict=True):
        fitted(model, feed(), chunked=chunked, epochs=1)
    assert_same(*(values(model) for model in models), 0)


class Ends(keras.callbacks.Callback):
    """The last step of each execution."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(batch)


@pytest.mark.parametrize("steps", [1, 2])
def test_an_execution_may_be_a_part_of_a_chunk(steps):
    models, histories = [], []
    for chunked in (False, True):
        models.append(network(dense, steps_per_execution=steps))
        histories.append(fitted(models[-1], feed(), chunked=chunked, callbacks=[ends := Ends()]))
        assert ends.steps == [*range(steps - 1, CHUNK, steps)] * 3
    assert_same(values(models[0]), values(models[1]))
    assert_same(*histories)


def test_steps_in_an_execution_must_divide_those_of_a_chunk():
    with pytest.raises(ModelError, match=r"steps_per_execution=3 and a feed with chunk_steps=4"):
        fitted(network(dense, steps_per_execution=3), feed(), chunked=True)
