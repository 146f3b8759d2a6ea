"""The figures of panels, depth, shifts, curves and training: what is drawn is what was measured."""

import numpy as np
import pytest
from synthetic_norms import write_run

from tfticket.report import canvas
from tfticket.report.canvas import LIGHT
from tfticket.report.reading import read_run
from tfticket.studies.norms import curves, figures
from tfticket.studies.norms.networks import read_study
from tfticket.studies.norms.summary import summarize_study


@pytest.fixture(autouse=True)
def settings():
    with canvas.settings():
        yield


def study_of(path, *args, **options):
    return read_study(read_run(write_run(path, *args, **options)))


def lines(axes):
    return {
        line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")
    }


def test_figure_4_draws_the_bands_of_none_and_batch(panels_study):
    loss, change, beta = figures.figure4(panels_study).axes
    assert [band.get_label() for band in loss.collections] == ["none", "batch"]
    assert loss.get_yscale() == "log"
    assert change.get_ylim()[0] == 0
    batch = panels_study.branches[2]
    bands = [r.gradient_predictiveness for r in panels_study.landscapes(batch).values()]
    (path,) = change.collections[1].get_paths()
    drawn = path.vertices[:, 1]
    assert np.median(bands, axis=0).max() == pytest.approx(drawn.max())
    assert set(lines(beta)) == {"none", "batch"}


def test_saturated_moments_are_hollow(panels_study):
    beta = figures.figure4(panels_study).axes[2]
    hollow = [line for line in beta.get_lines() if line.get_markerfacecolor() == LIGHT["paper"]]
    none = panels_study.branches[0]
    saturated = np.median(
        [r.saturated for r in panels_study.landscapes(none).values()], axis=0
    ).sum()
    assert saturated > 0
    assert len(hollow[0].get_xdata()) == saturated
    assert len(lines(beta)["none"].get_xdata()) == 100 - saturated


def test_the_paper_s_curves_lie_behind_its_own_experiment_only(panels_study, tmp_path):
    figure = figures.over_paper(panels_study)
    assert len(figure.axes) == 6
    gray, own = figure.axes[0].collections
    assert gray.get_paths()[0].vertices[:, 0].max() == pytest.approx(1500)
    assert own.get_label() == "none"
    other = study_of(tmp_path, recipe={"model": {"name": "dln"}})
    assert figures.over_paper(other) is None
    assert figures.figure4(other) is not None


def test_every_norm_has_a_row_when_there_are_more_than_two(panels_study, tmp_path):
    assert len(figures.rows(panels_study).axes) == 2 * 3
    assert figures.rows(study_of(tmp_path)) is None


def test_ranges_of_many_orders_are_logarithmic():
    low, high = np.array([[1.0, 2.0]] * 20), np.array([[1.0, 5000.0]] * 20)
    for drawn, expected in (([low, low], "linear"), ([low, high], "log")):
        _, axes = canvas.grid(1, 1, width=4, height=3)
        figures.scale(axes[0], "predictiveness", drawn)
        assert axes[0][0].get_yscale() == expected


def test_beta_is_drawn_at_every_step_size_at_five_moments(panels_study):
    axes = figures.beta_curves(panels_study).axes
    assert [each.get_title(loc="left") for each in axes] == ["none", "batch", "group"]
    none = panels_study.branches[0]
    at_start = lines(axes[0])["at 0\N{NARROW NO-BREAK SPACE}%"]
    curves_at_start = [r.beta_curve[0] for r in panels_study.landscapes(none).values()]
    assert at_start.get_ydata() == pytest.approx(np.median(curves_at_start, axis=0))
    # The gradient gone at distance k ||d||: 1 / (k lr) along the gradient.
    assert lines(axes[0])["gradient gone"].get_ydata()[0] == pytest.approx(1 / (0.5 * 0.1))


def test_changes_without_units_and_what_follows_are_drawn_for_each_norm(panels_study):
    for draw in (figures.relative_change, figures.gauge, figures.sharpness, figures.usable):
        assert set(lines(draw(panels_study).axes[0])) == {"none", "batch", "group"}
    gauge = figures.gauge(panels_study).axes[0]
    assert [list(line.get_ydata()) for line in gauge.get_lines()][-1] == [1, 1]


def test_a_running_median_is_centered_and_ignores_what_is_missing():
    values = np.arange(40.0)
    values[20] = np.nan
    smooth = figures.running_median(values)
    assert smooth[10] == 10
    assert smooth[20] == 20
    assert figures.running_median(values[:10]) is not None
    assert np.array_equal(figures.running_median(values[:10]), values[:10])


def test_shift_has_a_panel_for_each_norm_and_learning_rate(panels_study):
    figure = figures.shift(panels_study, measure="cosine")
    assert {axes.get_title(loc="left") for axes in figure.axes} == {
        f"{norm}, learning rate {rate}"
        for norm in ("none", "batch", "group")
        for rate in (0.1, 0.5)
    }
    assert set(lines(figure.axes[0])) == {"conv2", "conv5", "conv8", "dense1"}
    assert figures.shift(panels_study, measure="l2").axes[0].get_ylim()[0] == 0


def test_many_layers_make_a_heat_map(panels_study, monkeypatch):
    monkeypatch.setattr(figures, "_MOST_LINES", 3)
    axes = figures.shift(panels_study, measure="cosine").axes[0]
    assert axes.get_yticklabels()[0].get_text() == "conv2"
    assert lines(axes) == {}


def test_learning_rates_mark_what_diverged(panels_study):
    summary = summarize_study(panels_study)
    axes = curves.learning_rates(summary).axes[0]
    drawn = lines(axes)
    assert set(drawn) == {"none", "batch", "group"}
    expected = [e.measures["accuracy"].mean for e in summary.branches if e.branch.norm == "batch"]
    assert drawn["batch"].get_ydata() == pytest.approx(expected)
    crosses = [line for line in axes.get_lines() if line.get_marker() == "x"]
    assert [list(cross.get_xdata()) for cross in crosses] == [[0.5]]


def test_batch_sizes_fall_from_left_to_right_and_show_errors(batches_run):
    summary = summarize_study(read_study(read_run(batches_run)))
    axes = curves.batch_sizes(summary).axes[0]
    assert axes.get_xlim()[0] > axes.get_xlim()[1]
    drawn = lines(axes)["batch"]
    assert list(drawn.get_xdata()) == [64, 8, 2]
    errors = [1 - e.measures["accuracy"].mean for e in summary.branches if e.branch.norm == "batch"]
    assert drawn.get_ydata() == pytest.approx(errors)


def test_only_norms_with_moving_statistics_are_tested_with_others(batches_run):
    summary = summarize_study(read_study(read_run(batches_run)))
    assert list(curves.with_statistics(summary)) == ["batch"]
    assert set(lines(curves.statistics(summary).axes[0])) == {
        "moving statistics", "statistics taken again", "EvalNorm", "the test batch's own",
    }  # fmt: skip


def test_tickets_stand_beside_their_controls(tickets_run):
    summary = summarize_study(read_study(read_run(tickets_run)))
    figure = curves.subnetworks(summary)
    assert set(lines(figure.axes[0])) == {"dense", "ticket", "random"}
    assert len(lines(figure.axes[0])["ticket"].get_xdata()) == 2


def test_learning_curves_leave_out_what_diverged(panels_study):
    figure = curves.learning_curves(panels_study, name="accuracy")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "learning rate 0.1",
        "learning rate 0.5",
    ]
    none = panels_study.of(panels_study.branches[1])
    kept = [n.curves["validation", "accuracy"] for s, n in none.items() if s != 1]
    assert len(kept) == 2
    assert lines(figure.axes[1])["none"].get_ydata()[-1] == pytest.approx(
        np.median([curve.values[-1] for curve in kept])
    )


def test_what_a_run_does_not_hold_is_no_figure(batches_run, panels_study, tmp_path):
    study = read_study(read_run(batches_run))
    for draw in (figures.figure4, figures.rows, figures.over_paper, figures.beta_curves,
                 figures.relative_change, figures.gauge, figures.usable):  # fmt: skip
        assert draw(study) is None
    assert figures.shift(study, measure="l2") is None
    summary = summarize_study(panels_study)
    assert curves.batch_sizes(summary) is None
    assert curves.statistics(summary) is None
    assert curves.subnetworks(summary) is None
    assert curves.learning_curves(study_of(tmp_path, regression=True), name="accuracy") is None
