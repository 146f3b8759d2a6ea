"""The figures of panels, depth, shifts, curves and training: what is drawn is what was measured."""

import numpy as np
import pytest
from drawn import domain, layers, legend, panels, rows, scale, series, ticks
from synthetic_runs import write_norms

from tfticket.report.reading import read_run
from tfticket.studies.norms import curves, figures
from tfticket.studies.norms.networks import read_study
from tfticket.studies.norms.summary import summarize_study


def study_of(path, *args, **options):
    return read_study(read_run(write_norms(path, *args, **options)))


def test_figure_4_draws_the_bands_of_none_and_batch(panels_study):
    loss, change, beta = panels(figures.figure4(panels_study))
    assert list(series(loss, "area", None)) == legend(loss) == ["none", "batch"]
    assert scale(loss, "y") == "log"
    assert domain(change, "y")[0] == 0
    batch = panels_study.conditions[2]
    bands = [r.gradient_predictiveness for r in panels_study.landscapes(batch).values()]
    drawn = series(change, "area")["batch"]
    low, high = np.median(bands, axis=0).T
    assert drawn["low"] == pytest.approx(low)
    assert drawn["high"] == pytest.approx(high)
    assert set(series(beta, "line", None)) == {"none", "batch"}


def test_saturated_moments_are_hollow(panels_study):
    beta = panels(figures.figure4(panels_study))[2]
    points = [each for each in layers(beta, "point") if each["data"]["values"][0]["name"] == "none"]
    (hollow,) = (each for each in points if each["mark"].get("fill") == "var(--paper)")
    (full,) = (each for each in points if each is not hollow)
    none = panels_study.conditions[0]
    saturated = np.median(
        [r.saturated for r in panels_study.landscapes(none).values()], axis=0
    ).sum()
    assert saturated > 0
    assert len(hollow["data"]["values"]) == saturated
    assert len(full["data"]["values"]) == 100 - saturated


def test_the_paper_s_curves_lie_behind_its_own_experiment_only(panels_study, tmp_path):
    figure = figures.over_paper(panels_study)
    assert len(panels(figure)) == 6
    gray, own = layers(panels(figure)[0], "area")
    assert gray["encoding"]["color"] == {"value": "var(--muted)"}
    assert max(row["x"] for row in gray["data"]["values"]) == pytest.approx(1500)
    assert {row["name"] for row in own["data"]["values"]} == {"none"}
    other = study_of(tmp_path, recipe={"model": {"name": "dln"}})
    assert figures.over_paper(other) is None
    assert figures.figure4(other) is not None


def test_every_norm_has_a_row_when_there_are_more_than_two(panels_study, tmp_path):
    assert len(panels(figures.rows_by_norm(panels_study))) == 2 * 3
    assert figures.rows_by_norm(study_of(tmp_path)) is None


def test_ranges_of_many_orders_are_logarithmic():
    low, high = np.array([[1.0, 2.0]] * 20), np.array([[1.0, 5000.0]] * 20)
    for drawn, expected in (([low, low], False), ([low, high], True)):
        assert figures.scale("predictiveness", drawn).log == expected


def test_beta_is_drawn_at_every_step_size_at_five_moments(panels_study):
    found = panels(figures.beta_curves(panels_study))
    assert [panel["title"] for panel in found] == ["none", "batch", "group"]
    none = panels_study.conditions[0]
    at_start = series(found[0])["at 0\N{NARROW NO-BREAK SPACE}%"]
    curves_at_start = [r.beta_curve[0] for r in panels_study.landscapes(none).values()]
    assert at_start["y"] == pytest.approx(np.median(curves_at_start, axis=0))
    # The gradient gone at distance k ||d||: 1 / (k lr) along the gradient.
    assert series(found[0])["gradient gone"]["y"][0] == pytest.approx(1 / (0.5 * 0.1))


def test_changes_without_units_and_what_follows_are_drawn_for_each_norm(panels_study):
    for draw in (figures.relative_change, figures.gauge, figures.sharpness, figures.usable):
        (panel,) = panels(draw(panels_study))
        assert set(series(panel)) == {"none", "batch", "group"}
    (gauge,) = panels(figures.gauge(panels_study))
    assert [row["y"] for row in rows(gauge, "rule")] == [1]


def test_a_running_median_is_centered_and_ignores_what_is_missing():
    values = np.arange(40.0)
    values[20] = np.nan
    smooth = figures.running_median(values)
    assert smooth[10] == 10
    assert smooth[20] == 20
    assert figures.running_median(values[:10]) is not None
    assert np.array_equal(figures.running_median(values[:10]), values[:10])


def test_shift_has_a_panel_for_each_norm_and_learning_rate(panels_study):
    figure = curves.shift(panels_study, measure="cosine")
    assert {panel["title"] for panel in panels(figure)} == {
        f"{norm}, learning rate {rate}"
        for norm in ("none", "batch", "group")
        for rate in (0.1, 0.5)
    }
    assert set(series(panels(figure)[0])) == {"conv2", "conv5", "conv8", "dense1"}
    assert domain(panels(curves.shift(panels_study, measure="l2"))[0], "y")[0] == 0


def test_many_layers_make_a_heat_map(panels_study, monkeypatch):
    monkeypatch.setattr(curves, "_MOST_LINES", 3)
    panel = panels(curves.shift(panels_study, measure="cosine"))[0]
    assert ticks(panel, "y")[1].startswith('["conv2", ')
    assert len(layers(panel, "image")) == 1
    assert layers(panel, "line") == []


def test_learning_rates_mark_what_diverged(panels_study):
    summary = summarize_study(panels_study)
    (panel,) = panels(curves.learning_rates(summary))
    drawn = series(panel)
    assert set(drawn) == {"none", "batch", "group"}
    expected = [
        100 * e.measures["accuracy"].mean for e in summary.conditions if e.condition.norm == "batch"
    ]
    assert drawn["batch"]["y"] == pytest.approx(expected)
    crosses = [row["x"] for row in rows(panel, "point") if "name" not in row]
    assert crosses == [0.5]


def test_batch_sizes_fall_from_left_to_right_and_show_errors(batches_run):
    summary = summarize_study(read_study(read_run(batches_run)))
    (panel,) = panels(curves.batch_sizes(summary))
    assert domain(panel, "x")[0] > domain(panel, "x")[1]
    drawn = series(panel)["batch"]
    assert drawn["x"] == [64, 8, 2]
    errors = [
        100 - 100 * e.measures["accuracy"].mean
        for e in summary.conditions
        if e.condition.norm == "batch"
    ]
    assert drawn["y"] == pytest.approx(errors)


def test_only_norms_with_moving_statistics_are_tested_with_others(batches_run):
    summary = summarize_study(read_study(read_run(batches_run)))
    assert list(curves.with_statistics(summary)) == ["batch"]
    assert set(series(panels(curves.statistics(summary))[0])) == {
        "moving statistics", "statistics taken again", "EvalNorm", "the test batch's own",
    }  # fmt: skip


def test_tickets_stand_beside_their_controls(tickets_run):
    summary = summarize_study(read_study(read_run(tickets_run)))
    drawn = series(panels(curves.subnetworks(summary))[0], "point")
    assert set(drawn) == {"dense", "ticket", "random"}
    assert len(drawn["ticket"]["x"]) == 2


def test_learning_curves_leave_out_what_diverged(panels_study):
    figure = curves.learning_curves(panels_study, name="accuracy")
    assert [panel["title"] for panel in panels(figure)] == [
        "learning rate 0.1",
        "learning rate 0.5",
    ]
    none = panels_study.of(panels_study.conditions[1])
    kept = [n.curves["validation", "accuracy"] for s, n in none.items() if s != 1]
    assert len(kept) == 2
    assert series(panels(figure)[1])["none"]["y"][-1] == pytest.approx(
        100 * np.median([curve.values[-1] for curve in kept])
    )


def test_what_a_run_does_not_hold_is_no_figure(batches_run, panels_study, tmp_path):
    study = read_study(read_run(batches_run))
    for draw in (figures.figure4, figures.rows_by_norm, figures.over_paper, figures.beta_curves,
                 figures.relative_change, figures.gauge, figures.usable):  # fmt: skip
        assert draw(study) is None
    assert curves.shift(study, measure="l2") is None
    summary = summarize_study(panels_study)
    assert curves.batch_sizes(summary) is None
    assert curves.statistics(summary) is None
    assert curves.subnetworks(summary) is None
    assert curves.learning_curves(study_of(tmp_path, regression=True), name="accuracy") is None
