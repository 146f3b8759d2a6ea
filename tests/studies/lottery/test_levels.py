import numpy as np
import pytest
from synthetic_runs import write_networks

from tfticket.report.reading import read_run
from tfticket.studies.lottery.summary import summarize


def test_means_and_bounds_over_seeds(tmp_path):
    networks = [(0, "ticket", 0, 0.90, 100), (1, "ticket", 0, 0.92, 300)]
    dense = summarize(write_networks(tmp_path, networks)).dense
    assert dense.value.mean == pytest.approx(0.91)
    assert (dense.value.smallest, dense.value.largest) == (0.90, 0.92)
    assert dense.value.values == {0: 0.90, 1: 0.92}
    # The 0.975 quantile of Student's t with one degree of freedom is 12.706.
    assert dense.value.upper == pytest.approx(0.91 + 12.7062 * 0.01, abs=1e-5)
    assert dense.value_at_end.mean == pytest.approx(0.90)
    assert dense.early_stop_step.mean == 200
    assert (dense.remaining, dense.prunable, dense.seconds) == (1000, 1000, 5.0)


def test_draws_of_a_control_are_pooled_by_seed(tmp_path):
    networks = [
        (0, "ticket", 0, 0.9, 100),
        (0, "ticket", 1, 0.9, 100),
        (0, "reinit", 1, 0.80, 100),
        (0, "reinit_2", 1, 0.82, 300),
    ]
    summary = summarize(write_networks(tmp_path, networks))
    assert summary.branches == ("ticket", "reinit")
    pooled = summary.level("reinit", 1)
    assert pooled.value.values == {0: pytest.approx(0.81)}
    assert pooled.early_stop_step.mean == 200
    assert pooled.seconds == 5.0


def test_numbers_are_those_of_the_table(run):
    files, summary = read_run(run), summarize(run)
    for level in summary.branch("random"):
        by_hand = np.mean(
            [
                files.results[seed, "random", level.level]["accuracy_at_end"][1]
                for seed in summary.seeds
            ]
        )
        assert level.value_at_end.mean == pytest.approx(by_hand)
