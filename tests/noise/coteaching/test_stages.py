import numpy as np
import pytest
from noisy_splits import split
from small_pair import compiled_pair

from tfticket.errors import ModelError
from tfticket.noise.coteaching.monitor import SelectionMonitor
from tfticket.noise.coteaching.stages import fit_in_stages, stages

SPLIT = split()
X = np.random.default_rng(0).normal(size=(6, 6)).astype("float32")
LABELS = np.asarray(SPLIT.labels)


def test_residual_noise_is_forgotten_and_then_as_much_as_candidates_add():
    first, second = stages(SPLIT)
    np.testing.assert_array_equal(first.ids, [0, 2, 3])
    np.testing.assert_array_equal(second.ids, [0, 2, 3, 5])
    # Chen et al.: e^2 / (e^2 + (k - 1)(1 - e)^2), here e = 0.2 and k = 3.
    residual = 0.04 / (0.04 + 2 * 0.64)
    assert first.forget_rate == pytest.approx(residual)
    assert 1 - second.forget_rate == pytest.approx((1 - residual) * 3 / 4)


def test_each_stage_has_its_examples_and_its_rate():
    planned = stages(SPLIT)
    pair = compiled_pair(forget_rate=planned[1].forget_rate)
    seen = []

    class Watch(SelectionMonitor):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            seen.append((epoch, logs["forget_rate"]))

    histories = fit_in_stages(
        pair, X, LABELS, SPLIT, warmup_epochs=2, epochs=3, batch_size=4, verbose=0,
        callbacks=[Watch(per_class=False)],
    )  # fmt: skip
    assert [history.epoch for history in histories] == [[0, 1], [2]]
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    rates = [rate for _, rate in seen]
    np.testing.assert_allclose(
        rates, [planned[0].forget_rate] * 2 + [planned[1].forget_rate], rtol=1e-5
    )
    assert int(pair.optimizer.iterations) == 3  # 3, 3 and 4 examples in batches of 4


def test_without_warmup_candidates_are_there_from_the_start():
    pair = compiled_pair(forget_rate=0.5)
    histories = fit_in_stages(pair, X, LABELS, SPLIT, warmup_epochs=0, epochs=1, verbose=0)
    assert len(histories) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 2}, "`warmup_epochs` must be at least 0"),
        ({"warmup_epochs": -1}, "`warmup_epochs` must be at least 0"),
        ({"x": X[:5]}, "must be the 6 examples of the split"),
        ({"pair": compiled_pair(forget_rate=0.1)}, "must be able to forget 0.27"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(changes, message):
    given = {"pair": compiled_pair(), "x": X, "y": LABELS, "split": SPLIT, "warmup_epochs": 2}
    given |= {"epochs": 3, **changes}
    with pytest.raises(ModelError, match=message):
        fit_in_stages(**given)
    assert int(given["pair"].optimizer.iterations) == 0
