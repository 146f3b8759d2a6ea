import numpy as np
import pytest
from scipy import stats

from benchmarks import fitting


def test_spoken_words_are_the_same_each_time_and_can_be_told_apart():
    (x, y), (other, words), _ = fitting.spoken((400, 200, 10), noise=0.1)
    again = fitting.spoken((400, 200, 10), noise=0.1)
    np.testing.assert_array_equal(x, again[0][0])
    assert x.shape == (400, 49, 10, 1)
    assert x.dtype == np.float32
    flat, test = x.reshape(400, -1), other.reshape(200, -1)
    nearest = ((test[:, None] - flat[None]) ** 2).sum(-1).argmin(1)
    assert 0.3 < np.mean(y[nearest] == words) < 1  # the time that words take differs
    assert set(np.unique(y)) == set(range(10))


def result(fitted, control):
    row = {"accuracy": 0.5, "flash_bytes": 8_000, "ram_bytes": 1, "parameters": 1}
    found = {
        "pruned": row | {"test_accuracy": fitted},
        "control": row | {"test_accuracy": control, "flash_bytes": 7_900},
        "chosen": "pruned",
        "tried": 3,
        "seconds": 90.0,
    }
    return {str(flash): found for flash in fitting.FLASH} | {"dense": {"test_accuracy": 0.98}}


def test_the_table_has_the_intervals_of_paired_differences():
    pairs = [(0.95, 0.93), (0.96, 0.95), (0.94, 0.93)]
    rows = fitting.table({("digits", seed): result(*pair) for seed, pair in enumerate(pairs)})
    assert [row["flash"] for row in rows] == list(fitting.FLASH)
    differences = np.array([0.02, 0.01, 0.01])
    low, high = stats.t.interval(0.95, 2, differences.mean(), differences.std(ddof=1) / np.sqrt(3))
    assert rows[0]["gain"]["lower"] == pytest.approx(low)
    text = fitting.markdown(rows)
    assert f"{100 * differences.mean():+.2f} ({100 * low:+.2f} to {100 * high:+.2f})" in text
    assert "8,000 to 8,000; 7,900 to 7,900 | pruned pruned pruned | 1.5 to 1.5 |" in text
