import keras
import numpy as np
import pytest
from tiny_recipe import recipe

from tfticket.recipe.rates import LinearSchedule, WarmupPiecewiseSchedule, learning_rate

PIECEWISE = (
    'train.learning_rate={schedule="piecewise", boundaries=[10, 20], values=[0.1, 0.02, 3.0]}'
)
COSINE = 'train.learning_rate={schedule="cosine", initial=0.4, decay_steps=100, alpha=0.25}'
WARM_COSINE = (
    'train.learning_rate={schedule="cosine", initial=0.4, decay_steps=100, warmup_steps=10}'
)
WARMUP = (
    'train.learning_rate={schedule="warmup_piecewise", warmup_steps=4, boundaries=[10, 20], '
    "values=[0.1, 0.02, 3.0]}"
)
LINEAR = 'train.learning_rate={schedule="linear", initial=0.4, constant_steps=10, decay_steps=40}'


def cosine(share, initial, alpha=0.0):
    return initial * ((1 - alpha) * (1 + np.cos(np.pi * share)) / 2 + alpha)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # Up to and including the boundary, as the recipe's documentation says.
        (PIECEWISE, {0: 0.1, 10: 0.1, 11: 0.02, 20: 0.02, 21: 3.0, 10**6: 3.0}),
        (COSINE, {0: 0.4, 25: cosine(0.25, 0.4, 0.25), 50: 0.25, 100: 0.1, 500: 0.1}),
        # The cosine takes `decay_steps` after the warm-up.
        (WARM_COSINE, {0: 0.0, 5: 0.2, 10: 0.4, 35: cosine(0.25, 0.4), 60: 0.2, 110: 0.0}),
        (WARMUP, {0: 0.0, 1: 0.025, 3: 0.075, 4: 0.1, 10: 0.1, 11: 0.02, 21: 3.0}),
        (LINEAR, {0: 0.4, 10: 0.4, 20: 0.3, 49: 0.01, 50: 0.0, 60: 0.0}),
    ],
    ids=["piecewise", "cosine", "cosine after a warm-up", "piecewise after a warm-up", "linear"],
)
def test_each_table_gives_these_rates_at_these_steps(change, expected):
    schedule = learning_rate(recipe(change).train.learning_rate)
    assert isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)
    # As an optimizer asks: by an integer variable.
    rates = {step: float(schedule(keras.Variable(step, dtype="int64"))) for step in expected}
    assert rates == pytest.approx(expected, abs=1e-6)


def test_a_number_stays_a_number():
    assert learning_rate(recipe("train.learning_rate=0.03").train.learning_rate) == 0.03


@pytest.mark.parametrize(
    ("change", "kind", "expected"),
    [(WARMUP, WarmupPiecewiseSchedule, [0.05, 0.02]), (LINEAR, LinearSchedule, [0.4, 0.35])],
)
def test_an_optimizer_with_a_schedule_of_ours_can_be_saved_and_loaded(change, kind, expected):
    schedule = learning_rate(recipe(change).train.learning_rate)
    config = keras.optimizers.serialize(keras.optimizers.SGD(schedule))
    loaded = keras.optimizers.deserialize(config)._learning_rate
    assert isinstance(loaded, kind)
    assert [float(loaded(step)) for step in (2, 15)] == pytest.approx(expected)
