"""The measures against values worked out by hand, and against a slow second implementation."""

import io
import itertools
from contextlib import redirect_stdout
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import slow_landscape as slow
from helpers import batch, logits_loss

from tfticket.errors import ModelError
from tfticket.norms import LandscapeTracker
from tfticket.norms.landscape import observer
from tfticket.schedules import At, Every
from tfticket.sparsity import Mask, sparsify
from tfticket.state import prunable_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
layers = keras.layers
MULTIPLIERS = [0.25, 1.0, 3.0]


def fit(model, x, y, *callbacks, epochs=1, batch_size=None, **options):
    options = {"batch_size": batch_size or len(x), "epochs": epochs, "verbose": 0, **options}
    return model.fit(x, y, shuffle=False, callbacks=list(callbacks), **options)


def linear(start, rate=0.05):
    """L(w) = mean of (x w)^2: a parabola with the Hessian H = 2/n X'X."""
    model = keras.Sequential([keras.Input((len(start),)), layers.Dense(1, use_bias=False)])
    model.layers[0].kernel.assign(np.array(start)[:, None])
    model.compile(keras.optimizers.SGD(rate), "mse", jit_compile=False)
    return model


def test_every_measure_of_a_quadratic_has_its_analytic_value():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3)) @ np.diag([3.0, 1.0, 0.2])
    hessian, w, rate = 2 / len(x) * x.T @ x, np.array([0.5, -1.0, 2.0]), 0.05
    tracker = LandscapeTracker(1, multipliers=MULTIPLIERS, verbose=0)
    fit(linear(w, rate), x, np.zeros((12, 1)), tracker, epochs=3)

    for moment in range(3):
        g, r = hessian @ w, tracker.record
        d, k = -rate * g, np.array(MULTIPLIERS)
        at = [w + one * d for one in k]
        near = {"rtol": 2e-5}
        np.testing.assert_allclose(r.loss[moment], w @ hessian @ w / 2, **near)
        np.testing.assert_allclose(r.losses[moment], [v @ hessian @ v / 2 for v in at], **near)
        np.testing.assert_allclose(r.gradient_norm[moment], np.linalg.norm(g), **near)
        np.testing.assert_allclose(
            r.gradient_norms[moment], [np.linalg.norm(hessian @ v) for v in at], **near
        )
        np.testing.assert_allclose(
            r.gradient_change[moment], k * rate * np.linalg.norm(hessian @ g), **near
        )
        np.testing.assert_allclose(r.weight_norm[moment], np.linalg.norm(w), **near)
        np.testing.assert_allclose(r.direction_norm[moment], rate * np.linalg.norm(g), **near)
        np.testing.assert_allclose(r.slope[moment], -rate * g @ g, **near)
        sharpness = g @ hessian @ g / (g @ g)
        np.testing.assert_allclose(r.curvature[moment], [sharpness] * 3, **near)
        np.testing.assert_allclose(r.gauge[moment], rate * sharpness / 2, **near)
        np.testing.assert_allclose(
            r.effective_beta[moment], np.linalg.norm(hessian @ g) / np.linalg.norm(g), **near
        )
        w = w + d
    assert not tracker.record.saturated.any()


def test_the_gauge_passes_one_where_the_step_begins_to_climb():
    # One weight, L = w^2: the Hessian is 2, and steps with a rate above 1 climb.
    for rate, climbs in ((0.9, False), (1.1, True)):
        tracker = LandscapeTracker(1, multipliers=[1.0], verbose=0)
        fit(linear([1.0], rate), np.ones((4, 1)), np.zeros((4, 1)), tracker)
        assert tracker.record.gauge[0] == pytest.approx(rate, rel=1e-5)
        assert tracker.record.usable[0] == (0.0 if climbs else 1.0)


def test_along_the_update_momentum_counts():
    """The second step of momentum m is m d_1 - rate g; Adam's first is rate * sign(g)."""
    w, rate = np.array([1.0, -3.0]), 0.1
    x, zeros = np.eye(2), np.zeros((2, 1))  # L = (w_1^2 + w_2^2) / 2, so that g = w
    model = linear(w, rate)
    model.compile(keras.optimizers.SGD(rate, momentum=0.5), "mse", jit_compile=False)
    tracker = LandscapeTracker(1, multipliers=[1.0], direction="update", verbose=0)
    fit(model, x, zeros, tracker, epochs=2)
    d_1 = -rate * w
    d_2 = 0.5 * d_1 - rate * (w + d_1)
    np.testing.assert_allclose(
        tracker.record.direction_norm, np.linalg.norm([d_1, d_2], axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(tracker.record.slope[1], (w + d_1) @ d_2, rtol=1e-5)
    np.testing.assert_allclose(tracker.record.effective_beta, 1.0, rtol=1e-5)

    model = linear(w)
    model.compile(keras.optimizers.Adam(rate), "mse", jit_compile=False)
    fit(model, x, zeros, tracker)
    assert tracker.record.direction_norm[0] == pytest.approx(rate * np.sqrt(2), rel=1e-4)


def test_a_rate_that_is_scheduled_is_the_one_of_the_step():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.1, 0.01])
    model = linear([1.0])
    model.compile(keras.optimizers.SGD(schedule), "mse", jit_compile=False)
    tracker = LandscapeTracker(1, multipliers=[1.0], verbose=0)
    fit(model, np.ones((2, 1)), np.zeros((2, 1)), tracker, epochs=4)
    np.testing.assert_allclose(tracker.record.learning_rate, [0.1, 0.1, 0.01, 0.01], rtol=1e-6)


def convnet(*, policy="float32", sparse=False):
    """Kinks, batch statistics, dropout and a regularizer."""
    model = keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.1), name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Dropout(0.4, seed=3, name="drop"),
            layers.Flatten(),
            layers.Dense(3, name="output"),
        ]
    )
    if sparse:
        rng = np.random.default_rng(1)
        shapes = {key: tuple(v.shape) for key, v in prunable_variables(model).items()}
        model = sparsify(model, Mask({key: rng.random(s) < 0.4 for key, s in shapes.items()}))
    model.compile(keras.optimizers.SGD(0.3), logits_loss(), jit_compile=False)
    return model


@pytest.fixture(scope="module")
def watched():
    """One training with everything kept: the tracker's record, all states, and a second model."""
    keras.utils.set_random_seed(3)
    x, y = batch((5, 5, 2), examples=24)
    model = convnet()
    tracker, recorder = LandscapeTracker(1, multipliers=MULTIPLIERS, verbose=0), slow.Recorder()
    fit(model, x, y, tracker, recorder, batch_size=8)
    return tracker.record, recorder.states, model, x.reshape(3, 8, 5, 5, 2), y.reshape(3, 8)


def test_a_slow_second_implementation_agrees(watched):
    record, states, model, x, y = watched
    assert list(record.step) == [0, 1, 2]
    for moment in range(3):
        slow.set_state(model, states[moment])
        loss, g0 = slow.loss_and_gradient(model, x[moment], y[moment])
        losses, gradients = slow.landscape(
            model, x[moment], y[moment], MULTIPLIERS, [-0.3 * g for g in g0]
        )
        g0 = slow.flat(g0)
        change = [np.linalg.norm(g - g0) for g in gradients]
        np.testing.assert_allclose(record.loss[moment], loss, rtol=1e-5)
        np.testing.assert_allclose(record.losses[moment], losses, rtol=1e-5)
        np.testing.assert_allclose(record.gradient_change[moment], change, rtol=1e-4)
        np.testing.assert_allclose(
            record.effective_beta[moment],
            max(
                c / (k * 0.3 * np.linalg.norm(g0)) for c, k in zip(change, MULTIPLIERS, strict=True)
            ),
            rtol=1e-4,
        )


def wrong_ways(states, model, x, y):
    """What public code computes as "the change of the gradient", at the second step."""
    slow.set_state(model, states[0])
    _, previous = slow.loss_and_gradient(model, x[0], y[0])
    slow.set_state(model, states[1])
    _, g0 = slow.loss_and_gradient(model, x[1], y[1])
    direction = [-0.3 * g for g in g0]
    start, flat0 = slow.weights(model), slow.flat(g0)
    _, right = slow.landscape(model, x[1], y[1], MULTIPLIERS, direction)
    layer = slice(-len(slow.flat(g0[-2:])), None)

    def at(k, **options):
        slow.set_weights(model, [w + k * d for w, d in zip(start, direction, strict=True)])
        _, gradient = slow.loss_and_gradient(model, x[1], y[1], **options)
        slow.set_weights(model, start)
        return slow.flat(gradient)

    def with_another_dropout_mask(k):
        seed = next(v for v in model.variables if "seed" in v.path)
        before = seed.numpy()
        seed.assign(before + 1)
        gradient = at(k)
        seed.assign(before)
        return gradient

    largest = MULTIPLIERS[-1]
    return right, {
        "between two steps and their batches": np.linalg.norm(flat0 - slow.flat(previous)),
        "of the last layer alone": np.linalg.norm((right[-1] - flat0)[layer]),
        "of gradients that were never reset": np.linalg.norm(right[-1]),
        "of the norm": abs(np.linalg.norm(right[-1]) - np.linalg.norm(flat0)),
        "with a sum for a difference": np.linalg.norm(right[-1] + flat0),
        "as in evaluation": np.linalg.norm(at(largest, training=False) - flat0),
        "with another dropout mask": np.linalg.norm(with_another_dropout_mask(largest) - flat0),
    }


def test_it_measures_none_of_the_wrong_things(watched):
    record, states, model, x, y = watched
    right, wrong = wrong_ways(states, model, x, y)
    ours = record.gradient_change[1, -1]
    slow.set_state(model, states[1])
    _, g0 = slow.loss_and_gradient(model, x[1], y[1])
    assert ours == pytest.approx(np.linalg.norm(right[-1] - slow.flat(g0)), rel=1e-4)
    assert {name: value for name, value in wrong.items() if abs(value / ours - 1) < 0.01} == {}


def test_beta_is_not_divided_by_a_rate_or_by_nothing(watched):
    record = watched[0]
    change, distance = record.gradient_change[1], record.distance[1]
    assert record.effective_beta[1] == pytest.approx((change / distance).max())
    for wrong in (change, change / 0.3, np.diff(change) / 0.1):
        assert record.effective_beta[1] != pytest.approx(wrong.max(), rel=0.01)


def test_the_regularizer_sees_the_moved_weights(watched):
    """A model's own `losses` know the weights that it has, not those of the point."""
    record, states, model, x, y = watched
    slow.set_state(model, states[0])
    _, g0 = slow.loss_and_gradient(model, x[0], y[0])
    penalty = float(model.losses[0])
    kernel, change = model.trainable_variables[0].numpy(), -0.3 * g0[0]
    moved = 0.1 * np.sum((kernel + MULTIPLIERS[-1] * change) ** 2)
    assert moved != pytest.approx(penalty, rel=0.01)
    losses, _ = slow.landscape(model, x[0], y[0], MULTIPLIERS, [-0.3 * g for g in g0])
    assert record.losses[0, -1] == pytest.approx(losses[-1], rel=1e-5)


def test_mixed_precision_is_measured_in_full_precision():
    """Half a step in float16 is mostly rounding; the loss scale must not be in it either."""
    x, y = batch((5, 5, 2), examples=8)
    records = []
    for policy in ("float32", "mixed_float16"):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        model = convnet()
        tracker = LandscapeTracker(1, multipliers=[0.01, 1.0], verbose=0)
        fit(model, x, y, tracker)
        assert {layer.compute_dtype for layer in model.layers} == {
            "float16" if "mixed" in policy else "float32"
        }
        records.append(tracker.record)
    for name, array in records[0].to_arrays().items():
        np.testing.assert_allclose(getattr(records[1], name), array, rtol=1e-4, err_msg=name)


def test_pruned_weights_take_no_part():
    model = convnet(sparse=True)
    x, y = batch((5, 5, 2), examples=8)
    before = slow.weights(model)
    tracker = LandscapeTracker(1, multipliers=[1.0], verbose=0)
    fit(model, x, y, tracker)
    # The step that was looked along is the one that was made: there, pruned weights stay where
    # they are. (The regularizer's gradient is 0 at a weight of 0, that of the data isn't.)
    moved = slow.flat([after - b for after, b in zip(slow.weights(model), before, strict=True)])
    assert tracker.record.direction_norm[0] == pytest.approx(np.linalg.norm(moved), rel=1e-5)


def test_sample_weights_count():
    x, y = batch((5, 5, 2), examples=8)
    weights = np.array([1.0, 0] * 4)
    records = []
    for arguments in ({"sample_weight": weights}, {}):
        keras.utils.set_random_seed(0)
        tracker = LandscapeTracker(1, multipliers=[1.0], verbose=0)
        fit(convnet(), x, y, tracker, **arguments)
        records.append(tracker.record)
    assert records[0].loss != pytest.approx(records[1].loss, rel=1e-3)


def test_a_fixed_batch_is_the_same_at_each_step():
    x, y = batch((5, 5, 2), examples=16)
    model = convnet()
    tracker = LandscapeTracker(1, multipliers=[1.0], batch=(x[:4], y[:4]), verbose=0)
    recorder = slow.Recorder()
    fit(model, x, y, tracker, recorder, batch_size=8)
    for moment, values in enumerate(recorder.states):
        slow.set_state(model, values)
        loss, _ = slow.loss_and_gradient(model, x[:4], y[:4])
        assert tracker.record.loss[moment] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    ("when", "per_execution", "expected"),
    [
        (2, 1, [0, 2, 4]),
        (Every(2, start=1), 1, [1, 3, 5]),
        (At((0, 5)), 1, [0, 5]),
        (At((1, 3)), 3, [0, 3]),  # at the first step of the execution that holds the step
        (4, 2, [0, 4]),
    ],
)
def test_it_measures_when_it_is_due(when, per_execution, expected):
    model = linear([1.0])
    model.compile(
        keras.optimizers.SGD(0.1), "mse", steps_per_execution=per_execution, jit_compile=False
    )
    tracker = LandscapeTracker(when, multipliers=[1.0], verbose=0)
    fit(model, np.ones((6, 1)), np.zeros((6, 1)), tracker, batch_size=1)
    assert list(tracker.record.step) == expected


def test_the_budget_waits_until_all_measurements_are_paid_for(monkeypatch):
    """By a clock that ticks when it is read: each step takes some ticks, a measurement one more."""
    monkeypatch.setattr(observer, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    tracker = LandscapeTracker(multipliers=[1.0], budget=0.1, verbose=0)
    fit(linear([1.0]), np.ones((200, 1)), np.zeros((200, 1)), tracker, batch_size=1)
    steps = list(tracker.record.step)
    assert steps[0] == 0
    assert 10 < len(steps) < 40
    # The first is paid back before the second, and as much again must be there for that one.
    assert steps[1] >= 2 / 0.1 / 4
    cost = tracker.cost
    assert cost.measurements == len(steps)
    assert 0 < cost.first_seconds < cost.seconds
    assert cost.share <= 0.08 / 1.08  # a fifth of the budget is kept back


def test_it_can_be_used_again_and_forgets():
    tracker = LandscapeTracker(1, multipliers=[1.0], verbose=0)
    assert len(tracker.record) == 0
    for start, steps in ((1.0, 3), (2.0, 1)):
        fit(linear([start]), np.ones((2, 1)), np.zeros((2, 1)), tracker, epochs=steps)
        assert tracker.record.loss[0] == pytest.approx(start**2)
        assert len(tracker.record) == steps


def test_what_is_measured_is_passed_on_printed_and_written_for_tensorboard(tmp_path):
    heard = []
    tracker = LandscapeTracker(
        1, multipliers=[1.0], on_record=heard.append, log_dir=tmp_path, verbose=2
    )
    with redirect_stdout(io.StringIO()) as printed:
        fit(linear([1.0]), np.ones((2, 1)), np.zeros((2, 1)), tracker, epochs=2)
    assert [moment.step[0] for moment in heard] == [0, 1]
    assert "step 1: beta 2" in printed.getvalue()
    assert "2 measurements in" in printed.getvalue()
    (events,) = tmp_path.glob("events*")
    assert b"landscape/beta" in events.read_bytes()


def test_models_that_cannot_be_probed_are_refused():
    keras.config.set_dtype_policy("float16")
    model = linear([1.0])
    with pytest.raises(ModelError, match="must be float32 or float64"):
        fit(model, np.ones((2, 1)), np.zeros((2, 1)), LandscapeTracker(1, verbose=0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"multipliers": [1.0, 0.5]}, "`multipliers` must be numbers above 0"),
        ({"multipliers": [0.0, 0.5]}, "`multipliers` must be numbers above 0"),
        ({"direction": "momentum"}, "`direction` must be"),
        ({"budget": 5}, "`budget` must be a share"),
        ({"batch": "validation"}, "`batch` must be 'train'"),
        ({"when": 0}, "`interval` must be at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LandscapeTracker(**options)
