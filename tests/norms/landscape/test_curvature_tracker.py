"""Curvature along a `fit`: what is measured when, and on which weights."""

import keras
import numpy as np
import pytest
from helpers import batch, compiled, noisy_convnet

from tfticket.errors import DataError, ModelError
from tfticket.norms import (
    CurvatureRecord,
    CurvatureTracker,
    batch_sharpness,
    critical_sharpness,
    hessian_eigenvalues,
    hessian_trace,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
X, Y = batch((6, 6, 2), examples=24)


def test_a_moment_is_what_the_functions_give_at_these_weights(tmp_path):
    """With batch statistics and dropout, whose masks are those of the coming step."""
    model = compiled(noisy_convnet(), keras.optimizers.SGD(0.1), jit_compile=False)
    tracker = CurvatureTracker(
        3,
        batch=(X, Y),
        k=2,
        layers=["out*"],
        trace_products=6,
        batch_size=8,
        batches=2,
        verbose=0,
    )
    model.fit(X, Y, batch_size=8, epochs=1, shuffle=False, callbacks=[tracker], verbose=0)
    copy = compiled(noisy_convnet(), keras.optimizers.SGD(0.1), jit_compile=False)
    copy.set_weights(model.get_weights())
    for layer in (model, copy):
        layer.get_layer("drop").seed_generator.state.assign([3, 3])
    model.fit(X, Y, batch_size=24, callbacks=[tracker], verbose=0)  # step 3, forgets the first fit
    record = tracker.record
    assert record.step.tolist() == [3]
    assert record.names.tolist() == ["model/1", "model/2", "output/1", "output/2"]
    assert record.edge[0] == pytest.approx(20)
    assert record.converged.all()

    whole = hessian_eigenvalues(copy, X, Y, k=2)
    output = hessian_eigenvalues(copy, X, Y, k=2, layer="output")
    expected = np.concatenate([whole.values, output.values])
    np.testing.assert_allclose(record.eigenvalues[0], expected, rtol=1e-4)
    assert record.products[0] == whole.products + output.products
    assert record.critical_sharpness[0] == pytest.approx(critical_sharpness(copy, X, Y), rel=0.03)
    trace = hessian_trace(copy, X, Y, products=6)
    assert (record.trace[0], record.trace_error[0]) == pytest.approx(trace[:2], rel=1e-3)
    sharp = batch_sharpness(copy, X, Y, batch_size=8, batches=2, seed=3)
    assert record.batch_sharpness[0] == pytest.approx(sharp.mean, rel=1e-3)

    again = CurvatureRecord.load(record.save(tmp_path / "curvature.npz"))
    np.testing.assert_array_equal(again.eigenvalues, record.eigenvalues)


def test_gradient_descent_above_two_over_the_rate_climbs():
    """One weight, L = 4 w^2: sharpness 8, stable up to a rate of 1 / 4."""
    for rate, climbs in ((0.24, False), (0.26, True)):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        model.compile(keras.optimizers.SGD(rate), "mse", jit_compile=False)
        tracker = CurvatureTracker(1, verbose=0)
        x, y = np.full((2, 1), 2.0), np.zeros((2, 1))
        model.fit(x, y, epochs=2, callbacks=[tracker], verbose=0)
        np.testing.assert_allclose(tracker.record.sharpness, 8, rtol=1e-5)
        assert (tracker.record.loss[1] > tracker.record.loss[0]) == climbs
        assert (tracker.record.edge < tracker.record.sharpness).all() == climbs


def test_a_training_that_diverges_goes_on_with_nothing_to_measure():
    model = keras.Sequential([keras.Input((1,)), *(keras.layers.Dense(1) for _ in range(2))])
    model.compile(keras.optimizers.SGD(1e30), "mse", jit_compile=False)
    tracker = CurvatureTracker(1, batch_size=1, batches=1, trace_products=3, verbose=0)
    x, y = np.full((2, 1), 2.0), np.zeros((2, 1))
    model.fit(x, y, epochs=4, callbacks=[tracker], verbose=0)
    last = {name: column[-1] for name, column in tracker.record.columns().items()}
    assert np.isnan([last["loss"], last["eigenvalue/model/1"], last["critical_sharpness"]]).all()
    assert not tracker.record.converged[-1]
    assert len(tracker.record) == 4


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, ValueError, "`k` must be in"),
        ({"k": 5, "max_products": 4}, ValueError, "k=5, max_products=4"),
        ({"direction": "momentum"}, ValueError, "`direction` must be"),
        ({"trace_products": 2}, ValueError, "0 or at least 3"),
        ({"batch": (X, Y), "batch_size": 25}, DataError, "can't be drawn from 24"),
    ],
)
def test_arguments_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        CurvatureTracker(**options)


def test_a_batch_that_is_too_small_and_a_layer_that_is_not_there_are_refused():
    model = compiled(noisy_convnet(), jit_compile=False)
    with pytest.raises(ModelError, match="'dense', which fits none"):
        model.fit(X, Y, callbacks=[CurvatureTracker(layers=["dense"])], verbose=0)
    tracker = CurvatureTracker(batch_size=9, max_products=1)
    with pytest.raises(DataError, match="can't be drawn from 8"):
        model.fit(X, Y, batch_size=8, callbacks=[tracker], verbose=0)
