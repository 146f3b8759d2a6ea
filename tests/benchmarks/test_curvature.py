"""Benchmarks of curvature: both sides get the same network, and compute what they claim."""

import numpy as np
import pytest

from benchmarks import curvature
from tfticket.norms import SharpnessAware

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def test_products_and_gradients_are_of_one_network():
    for make in (curvature.products, curvature.gradients):
        make(None, count=2)()


def test_the_steps_of_both_fits_are_as_many(monkeypatch):
    monkeypatch.setattr(curvature, "_IMAGES", 1)
    made = []
    monkeypatch.setattr(
        curvature, "compiled", lambda m, do=curvature.compiled: made.append(m) or do(m)
    )
    for wrapped in (True, False):
        curvature.fitting(wrapped=wrapped)()
    assert [type(model) is SharpnessAware for model in made] == [False, True, False]
    assert [int(model.optimizer.iterations) for model in made[1:]] == [20, 20]


def test_differences_are_relative_to_the_peer():
    assert curvature.differences([1.0, 2.2], [1.0, 2.0]) == pytest.approx(0.1)
    model, x, _, own = curvature.ours("dense")
    assert model(x).shape == (64, 4)
    assert len(own["eigenvalues"]) == curvature.K
    assert np.all(np.diff(own["eigenvalues"]) < 0)
