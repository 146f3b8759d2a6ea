import pytest
from estimates import interval
from synthetic_runs import cell, write_norms

from tfticket.lottery.comparison import t_interval
from tfticket.report.reading import read_run
from tfticket.studies.norms.networks import read_study
from tfticket.studies.norms.results import batch_losses, by_batch_size, summarize_conditions


def branches_of(run):
    return summarize_conditions(read_study(read_run(run)), first=1.0)


def test_each_smaller_batch_is_held_against_the_largest(batches_run):
    branches = branches_of(batches_run)
    losses = batch_losses(branches)
    assert [(loss.label, loss.batch_size, loss.largest) for loss in losses] == [
        ("batch", 8, 64),
        ("batch", 2, 64),
        ("group", 8, 64),
        ("group", 2, 64),
    ]
    large, small = branches[0].values("accuracy"), branches[2].values("accuracy")
    assert interval(losses[1].drop) == t_interval([large[seed] - small[seed] for seed in large])


def test_what_other_statistics_win_back_is_no_matter_of_training(batches_run):
    _, batch, _, group = batch_losses(branches_of(batches_run))
    assert batch.mismatch.mean == pytest.approx(0.15 / 2)
    # Group norm keeps no statistics that could mislead.
    assert group.mismatch is None
    assert group.to_dict()["mismatch"] is None


def test_one_batch_size_costs_nothing(panels_run):
    assert batch_losses(branches_of(panels_run)) == ()
    assert by_batch_size(branches_of(panels_run)) == {}


def test_the_best_learning_rate_of_a_batch_size_counts(tmp_path):
    cells = [cell("batch", batch_size=size, learning_rate=rate)
             for size in (64, 2) for rate in (0.1, 0.01)]  # fmt: skip
    branches = branches_of(write_norms(tmp_path, cells, landscape=False, shift=False))
    found = by_batch_size(branches)["batch"]
    for size in (64, 2):
        means = [e.measures["accuracy"].mean for e in branches if e.condition.batch_size == size]
        assert found[size].measures["accuracy"].mean == max(means)
