import numpy as np
from synthetic_records import smoothness
from synthetic_runs import cell

from tfticket.display.charts import is_wide
from tfticket.studies.norms.figures import line_looks, norm_looks
from tfticket.studies.norms.measures import labels, medians


def test_seeds_are_joined_by_their_median_as_far_as_they_go():
    found = cell("none")
    records = {
        seed: smoothness(found, seed, np.arange(0, last, 10))
        for seed, last in enumerate((100, 100, 50))
    }
    steps, values = medians(records, lambda record: record.effective_beta)
    assert steps.tolist() == list(range(0, 100, 10))
    start = [record.effective_beta[0] for record in records.values()]
    end = [records[seed].effective_beta[-1] for seed in (0, 1)]
    assert values[0] == np.median(start)
    assert values[-1] == np.median(end)


def test_what_no_seed_has_is_a_gap():
    records = {0: smoothness(cell("none"), 0, np.arange(0, 30, 10))}
    broken = np.array([[1.0, 2.0], [np.inf, np.nan], [3.0, 4.0]])
    _, values = medians(records, lambda record: broken)
    assert np.isnan(values[1]).all()
    assert values[2].tolist() == [3.0, 4.0]


def test_norms_are_told_apart_and_keep_their_colors():
    names = ["none", "batch", "group", "layer", "l1_batch", "rms", "instance"]
    looks = norm_looks(names)
    assert len({(look.color, look.shape) for look in looks.values()}) == len(names)
    assert norm_looks(["batch"])["batch"] == looks["batch"]
    assert line_looks(names)["batch"].shape is None


def test_a_range_is_wide_beyond_its_outliers():
    assert is_wide([np.geomspace(1, 1e6, 50)])
    assert not is_wide([np.append(np.linspace(1, 20, 200), 1e9)])
    assert not is_wide([np.array([np.nan, -1.0])])
    assert not is_wide([])


def test_labels_are_said_once():
    assert labels([]) == []
