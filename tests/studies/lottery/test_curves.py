import numpy as np
import pytest
import synthetic_runs
from drawn import layers, rows, series

from tfticket.lottery.over_seeds import figures
from tfticket.report.reading import read_run
from tfticket.studies.lottery.summary import summarize


@pytest.mark.parametrize("name", ["loss", "accuracy"])
def test_learning_curves_from_dense_to_sparsest(run, name):
    files, summary = read_run(run), summarize(run)
    drawn = series(figures.learning_curves(files, summary, name=name))
    assert next(iter(drawn)) == "dense"
    assert len(drawn) == 7
    by_seed = [files.curves[seed, "ticket", 0]["validation", name].values for seed in range(3)]
    assert drawn["dense"]["y"] == pytest.approx((1 if name == "loss" else 100) * sum(by_seed) / 3)


def test_many_evaluations_are_smoothed_over_what_was_measured(tmp_path):
    run = synthetic_runs.write_lottery(
        tmp_path, seeds=(0,), levels=0, steps=9000, evaluate_every=100
    )
    files = read_run(run)
    figure = figures.learning_curves(files, summarize(run), name="loss")
    measured = files.curves[0, "ticket", 0]["validation", "loss"].values
    thin, thick = (series(figure, place=place)["dense"]["y"] for place in (0, 1))
    np.testing.assert_array_equal(thin, measured)
    assert thick[10] == pytest.approx(measured[8:13].mean())
    assert thick[0] == pytest.approx(measured[:3].mean())
    faint, clear = layers(figure, "line")
    assert faint["mark"]["strokeWidth"] < clear["mark"]["strokeWidth"]
    assert rows(figure, "point")[0]["x"] == summarize(run).dense.early_stop_step.mean


def test_curves_that_were_not_recorded_are_not_drawn(run):
    assert figures.learning_curves(read_run(run), summarize(run), name="temperature") is None
