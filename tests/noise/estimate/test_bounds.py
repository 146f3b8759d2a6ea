import numpy as np
import pytest

from tfticket.noise.estimate.bounds import IMPURITY, interval

SIZES = np.array([8000, 5657, 4000, 2828, 2000])


def ends(rates, window, *, resampled=None, sizes=SIZES):
    rates = np.array(rates)
    resampled = np.full(100, rates[window]) if resampled is None else resampled
    return interval(
        rates,
        sizes[: len(rates)],
        window=window,
        resampled=resampled,
        confidence=0.95,
    )


def test_what_resampling_shows_is_inside():
    low, high = ends([0.2] * 5, 0, resampled=np.linspace(0.1, 0.3, 1001))
    assert low <= 0.105
    assert high == pytest.approx(0.295 + IMPURITY)


def test_no_disagreement_at_all_leaves_room():
    low, high = ends([0.0] * 5, 0)
    assert low == 0
    assert 0.0001 < high - IMPURITY < 0.001  # Wilson: z^2 / n


def test_a_window_that_chance_made_low_reaches_up_to_a_wider_one():
    _, alone = ends([0.2] * 5, 2)
    _, high = ends([0.215, 0.21, 0.2, 0.2, 0.2], 2)
    assert alone < 0.215 + IMPURITY < high
    # But no further than chance may hide, however wrong wide windows are.
    _, capped = ends([0.6, 0.5, 0.2, 0.2, 0.2], 2)
    assert capped == pytest.approx(0.2 + 3 * np.sqrt(0.2 * 0.8 / 4000) + IMPURITY)


def test_what_still_falls_may_fall_on():
    level, _ = ends([0.2] * 5, 2)
    falling, _ = ends([0.2, 0.2, 0.2, 0.19, 0.18], 2)
    assert level - falling == pytest.approx(2 * 0.02)
    few, _ = ends([0.2, 0.2], 0)
    assert few == 0
