import helpers
import numpy as np
import pytest

from tfticket.lottery.recalibration import recalibrate_statistics
from tfticket.state import Snapshot

pytestmark = pytest.mark.usefixtures("seeded")


def test_recalibrated_statistics_are_the_means_over_batches():
    model = helpers.noisy_convnet()
    x, _ = helpers.batch((6, 6, 2), examples=24)
    norm = model.get_layer("norm")
    norm.moving_mean.assign(np.full(4, 9.0))
    recalibrate_statistics(model, np.split(x, 3))
    features = [model.get_layer("conv")(part).numpy() for part in np.split(x, 3)]
    np.testing.assert_allclose(
        norm.moving_mean, np.mean([f.mean((0, 1, 2)) for f in features], 0), atol=1e-5
    )
    np.testing.assert_allclose(
        norm.moving_variance, np.mean([f.var((0, 1, 2)) for f in features], 0), rtol=1e-4
    )
    assert norm.momentum == 0.99


def test_a_network_without_statistics_is_left_alone():
    model = helpers.mlp()
    before = Snapshot.capture(model, step=0)
    recalibrate_statistics(model, [helpers.batch()[0]])
    for key, array in Snapshot.capture(model, step=0).variables.items():
        np.testing.assert_array_equal(array, before.variables[key])
