import json
import math

import helpers
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import TicketError
from tfticket.lottery.connectivity import (
    Connectivity,
    ConnectivityScan,
    connectivity,
    error_along_line,
    instability,
    interpolate,
    scan,
)
from tfticket.sparsity.convert import sparsify
from tfticket.state import Snapshot
from tfticket.statistics import recalibrate as recalibrate_statistics

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

NUMBERS = st.floats(-100, 100, width=32)


@given(NUMBERS, NUMBERS, st.floats(0, 1))
def test_points_lie_on_the_line_and_its_ends_are_exact(one, other, alpha):
    a, b = {"w": np.float32([one])}, {"w": np.float32([other])}
    point = interpolate(a, b, alpha)["w"]
    assert point.dtype == np.float32
    assert point[0] == pytest.approx((1 - alpha) * one + alpha * other, abs=1e-4)
    assert min(one, other) - 1e-5 <= point[0] <= max(one, other) + 1e-5
    np.testing.assert_array_equal(interpolate(a, b, 0.0)["w"], a["w"])
    np.testing.assert_array_equal(interpolate(a, b, 1.0)["w"], b["w"])
    np.testing.assert_array_equal(interpolate(a, a, alpha)["w"], a["w"])


def test_seed_generators_are_not_interpolated():
    a, b = {"seed": np.uint32([1, 2])}, {"seed": np.uint32([5, 6])}
    for alpha in (0.0, 0.5, 1.0):
        np.testing.assert_array_equal(interpolate(a, b, alpha)["seed"], [1, 2])


@pytest.mark.parametrize(
    "other", [{"w": np.zeros(3)}, {"v": np.zeros(2)}, {"w": np.zeros(2), "v": np.zeros(())}]
)
def test_ends_that_do_not_fit(other):
    with pytest.raises(TicketError, match=r"Differing: \['"):
        interpolate({"w": np.zeros(2)}, other, 0.5)


def test_instability_is_the_rise_over_the_mean_of_the_ends():
    assert instability([0.1, 0.5, 0.3], 0.1, 0.3) == pytest.approx(0.3)
    assert instability([0.1, 0.1], 0.1, 0.1) == 0.0
    # The ends belong to the line: it can't be below half their difference.
    assert instability([0.0], 0.1, 0.3) == pytest.approx(0.1)


def error(x, y):
    def evaluate(model):
        return float(np.mean(np.argmax(model(x, training=False), -1) != y))

    return evaluate


def mirrored():
    """A perfect network, its twin with the hidden units swapped, and the data: halfway is a wall.

    Two hidden units tell which of two inputs is larger.
    """
    model = helpers.mlp((2, 2, 2), activation="relu")
    w = np.float32([[1, -1], [-1, 1]])
    zero = np.zeros(2, "float32")
    states = []
    for signed in (w, -w):
        model.set_weights([signed, zero, signed, zero])
        states.append(Snapshot.capture(model, step=0))
    x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    return model, states, error(x, np.argmax(x, -1))


def test_a_wall_between_two_equal_networks():
    model, (a, b), evaluate = mirrored()
    before = Snapshot.capture(model, step=0)
    errors = error_along_line(model, a, b, evaluate, points=5)
    assert errors[0] == errors[-1] == 0.0
    assert errors[2] > 0.3  # all weights are zero there
    assert instability(errors, errors[0], errors[-1]) == errors.max()
    np.testing.assert_array_equal(error_along_line(model, a, a, evaluate, points=3), 0.0)
    for key, array in Snapshot.capture(model, step=0).variables.items():
        np.testing.assert_array_equal(array, before.variables[key])
    with pytest.raises(ValueError, match="at least 2"):
        error_along_line(model, a, b, evaluate, points=1)


def test_recalibration_takes_a_false_barrier_away():
    # Two networks that differ in the scale before a normalization compute the same function; the
    # interpolated variance belongs to neither of the networks between them.
    model = helpers.noisy_convnet()
    x, _ = helpers.batch((6, 6, 2), examples=60)
    model.get_layer("norm").beta.assign([0.5, -0.5, 1.0, -1.0])
    batches = [x]
    recalibrate_statistics(model, batches)
    a = Snapshot.capture(model, step=0)
    y = np.argmax(model(x, training=False), -1)
    conv = model.get_layer("conv")
    conv.set_weights([30 * w for w in conv.get_weights()])
    recalibrate_statistics(model, batches)
    b = Snapshot.capture(model, step=0)
    lines = {
        name: error_along_line(model, a, b, error(x, y), points=9, recalibrate=given)
        for name, given in (("interpolated", None), ("recalibrated", batches))
    }
    assert lines["recalibrated"].max() <= 0.05 < lines["interpolated"].max()


class Trainer:
    """Trains for some epochs in an order that the seed decides, as a recipe would."""

    def __init__(self, model, x, y, *, epochs=1):
        self.model, self.x, self.y, self.epochs = model, x, y, epochs

    def __call__(self, snapshot, order_seed):
        snapshot.restore(self.model)
        order = np.random.default_rng(order_seed).permutation(len(self.x))
        self.model.fit(
            self.x[order], self.y[order], shuffle=False, batch_size=8, verbose=0, epochs=self.epochs
        )
        return Snapshot.capture(self.model, step=snapshot.step + 1)


def test_two_copies_and_the_line_between_them():
    x, y = helpers.batch((6, 6, 2), examples=32)
    model = helpers.compiled(helpers.noisy_convnet(), keras.optimizers.SGD(0.05, momentum=0.9))
    start = Snapshot.capture(model, step=3)
    result = connectivity(model, start, train=Trainer(model, x, y), evaluate=error(x, y), points=4)
    assert result.k == 3
    assert len(result.errors) == 4
    assert result.statistics == "interpolated"
    assert json.loads(json.dumps(result.to_dict())) == {
        "k": 3,
        "errors": list(result.errors),
        "instability": result.instability,
        "stable": result.instability < 0.02,
        "statistics": "interpolated",
    }
    after = Snapshot.capture(model, step=3)
    for key, array in start.variables.items():
        np.testing.assert_array_equal(after.variables[key], array)
    for one, other in zip(start.optimizer, after.optimizer, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_sparse_network_stays_sparse_along_the_line():
    x, y = helpers.batch(examples=32)
    model = helpers.mlp()
    mask = helpers.random_mask(model)
    sparse = helpers.compiled(sparsify(model, mask))
    leaks = []

    def evaluate(at_point):
        leaks.append(helpers.leaked(at_point, mask))
        return 0.0

    connectivity(
        sparse,
        Snapshot.capture(sparse, step=0),
        train=Trainer(sparse, x, y),
        evaluate=evaluate,
        points=5,
    )
    assert leaks == [0] * 5


def test_the_same_order_twice_is_no_experiment():
    x, y = helpers.batch(examples=32)
    model = helpers.compiled(helpers.mlp())
    train = Trainer(model, x, y)
    with pytest.raises(TicketError, match="must shuffle by its seed"):
        connectivity(
            model,
            Snapshot.capture(model, step=0),
            train=lambda snapshot, seed: train(snapshot, 1),
            evaluate=error(x, y),
        )


def test_scan_recommends_the_smallest_stable_step():
    x, y = helpers.batch(examples=32)
    model = helpers.compiled(helpers.mlp())
    snapshots = [Snapshot.capture(model, step=step) for step in (20, 0)]
    seeds = []

    def train(snapshot, order_seed):
        seeds.append((snapshot.step, order_seed))
        return Trainer(model, x, y)(snapshot, order_seed)

    result = scan(
        model, snapshots, train=train, evaluate=lambda m: 0.5, pairs=2, points=3, recalibrate=[]
    )
    assert seeds == [(0, 0), (0, 1), (0, 2), (0, 3), (20, 0), (20, 1), (20, 2), (20, 3)]
    assert json.loads(json.dumps(result.to_dict())) == {
        "k": [0, 20],
        "instability": [[0.0, 0.0], [0.0, 0.0]],
        "recommended": 0,
        "points": 3,
        "statistics": "recalibrated",
    }


@pytest.mark.parametrize(
    ("instabilities", "recommended"),
    [
        ([(0.5, 0.6), (0.03, 0.0), (0.0, 0.01)], 10),
        ([(0.5, 0.6), (0.03, 0.02), (0.0, 0.01)], 20),
        ([(0.5,), (0.4,), (0.02,)], None),
        ([(math.nan,), (math.nan,), (0.01,)], 20),
    ],
)
def test_a_step_is_stable_below_two_percent_in_the_mean(instabilities, recommended):
    result = ConnectivityScan((0, 10, 20), tuple(instabilities), 30, "interpolated")
    assert result.recommended == recommended


def test_stable_is_below_two_percent():
    assert Connectivity(0, (0.1, 0.119, 0.1), "interpolated").stable
    assert not Connectivity(0, (0.1, 0.13, 0.1), "interpolated").stable
