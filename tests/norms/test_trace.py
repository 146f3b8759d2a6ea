"""Measuring leaves no trace, in any way of training; and what leaves one is found out."""

import keras
import numpy as np
import pytest
from helpers import batch, logits_loss

from tfticket.errors import InvariantError
from tfticket.norms import CurvatureTracker, LandscapeTracker, ShiftTracker, assert_no_trace
from tfticket.sparsity import Mask, sparsify
from tfticket.state import prunable_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers
X, Y = batch((4, 4, 2), examples=20)


def network():
    """Whatever training changes besides weights: moving statistics, seeds; and a regularizer."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            layers.Conv2D(3, 3, kernel_regularizer="l2", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Dropout(0.3, name="drop"),
            layers.Flatten(),
            # in float32: Keras can't add up losses of several types under mixed precision
            layers.Dense(3, activity_regularizer="l1", dtype="float32", name="output"),
        ]
    )


def builder(optimizer=None, *, policy="float32", sparse=False, **compile_options):
    def build():
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        model = network()
        keras.config.set_dtype_policy(before)
        if sparse:
            shapes = {key: tuple(v.shape) for key, v in prunable_variables(model).items()}
            rng = np.random.default_rng(0)
            model = sparsify(model, Mask({k: rng.random(s) < 0.5 for k, s in shapes.items()}))
        model.compile(
            optimizer() if optimizer else keras.optimizers.SGD(0.1, momentum=0.9),
            logits_loss(),
            metrics=["accuracy"],
            **compile_options,
        )
        return model

    return build


def watchers():
    return [
        LandscapeTracker(2, multipliers=[0.5, 2], verbose=0),
        ShiftTracker(3, verbose=0),
    ]


WAYS = {
    "averaged, clipped, decayed, sparse": builder(
        lambda: keras.optimizers.AdamW(0.01, global_clipnorm=0.5, use_ema=True, ema_momentum=0.9),
        sparse=True,
        jit_compile=False,
    ),
    "mixed float16": builder(policy="mixed_float16", jit_compile=False),
    "mixed bfloat16, several steps an execution": builder(
        policy="mixed_bfloat16", steps_per_execution=2, jit_compile=False
    ),
    "XLA, several steps an execution": builder(steps_per_execution=2, jit_compile=True),
    "eagerly": builder(run_eagerly=True),
}


@pytest.mark.parametrize("build", WAYS.values(), ids=WAYS.keys())
def test_the_trackers_leave_no_trace(build):
    assert_no_trace(build, watchers, X[:16], Y[:16], epochs=2, batch_size=8)


@pytest.mark.parametrize("way", [way for way in WAYS if "several steps" in way])
def test_measuring_curvature_leaves_no_trace(way):
    def watchers():
        few = {"batch_size": 4, "batches": 1, "max_products": 3}
        return [CurvatureTracker(3, batch=(X, Y), direction="update", verbose=0, **few)]

    assert_no_trace(WAYS[way], watchers, X[:16], Y[:16], epochs=2, batch_size=8)


def test_a_smaller_last_batch_weights_of_examples_and_validation_leave_no_trace():
    assert len(X) % 8
    options = {"epochs": 2, "batch_size": 8, "validation_data": (X, Y)}
    weights = np.linspace(0, 1, len(X))
    build = builder(jit_compile=False)
    assert_no_trace(build, watchers, X, Y, sample_weight=weights, **options)


def test_the_direction_of_the_update_leaves_no_trace_under_a_schedule():
    def along_the_update():
        update = LandscapeTracker(3, multipliers=[1], direction="update", verbose=0)
        return [*watchers(), update]

    rate = keras.optimizers.schedules.CosineDecay(0.01, 9)
    build = builder(lambda: keras.optimizers.Adam(rate), jit_compile=False)
    assert_no_trace(build, along_the_update, X[:16], Y[:16], epochs=2, batch_size=8)


class Naive(keras.callbacks.Callback):
    """Looks at the loss as most public code does: in training mode, on the model itself."""

    def on_train_batch_end(self, batch, logs=None):
        self.model(X[:8], training=True)


class NaiveHistory(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs["loss"] += 1e-3


def test_a_forward_pass_in_training_mode_is_found_out():
    with pytest.raises(InvariantError) as error:
        assert_no_trace(WAYS["eagerly"], lambda: [Naive()], X, Y, batch_size=8)
    # moving statistics by another update, weights by another dropout mask
    assert "`norm/moving_variance` by up to" in str(error.value)
    assert "`conv/kernel` by up to" in str(error.value)
    assert "Naive must not change" in str(error.value)


def test_a_line_of_history_is_found_out():
    with pytest.raises(InvariantError, match="history of `loss`"):
        assert_no_trace(WAYS["eagerly"], lambda: [NaiveHistory()], X, Y, batch_size=20)
