import numpy as np
import pytest
import synthetic_run

from tfticket.report import canvas
from tfticket.studies.lottery import figures
from tfticket.studies.lottery.summary import summarize

SCAN = {"k": [0, 100, 500], "instability": [[0.09, 0.11], [0.03, 0.02], [0.001, 0.0]]}


def lines(figure, place=0):
    return {
        line.get_label(): line
        for line in figure.axes[place].get_lines()
        if not line.get_label().startswith("_")
    }


@pytest.fixture(scope="module")
def summary(run):
    return summarize(run)


@pytest.fixture(autouse=True)
def settings():
    with canvas.settings():
        yield


def test_the_hypothesis_joins_the_means_of_each_branch(summary):
    figure = figures.hypothesis(summary)
    speed, accuracy = lines(figure, 0), lines(figure, 1)
    assert list(speed) == list(accuracy) == ["ticket", "random", "reinit", "dense"]
    assert speed["ticket"].get_ydata().tolist() == [
        1.0,
        *(verdict.against_dense.speedup.mean for verdict in summary.verdicts),
    ]
    assert accuracy["ticket"].get_ydata().tolist() == [
        level.accuracy.mean for level in summary.branch("ticket")
    ]
    # A control begins at the dense network, where there is nothing to control yet.
    for drawn in (speed, accuracy):
        assert drawn["reinit"].get_xdata().tolist() == [
            1.0,
            *(level.density for level in summary.branch("reinit")),
        ]
    assert set(np.ravel(speed["dense"].get_ydata())) == {1.0}
    assert set(np.ravel(accuracy["dense"].get_ydata())) == {summary.dense.accuracy.mean}


def test_the_accuracy_at_the_end_is_that_of_the_end(summary):
    at_end = lines(figures.accuracy_at_end(summary))["ticket"]
    assert at_end.get_ydata()[0] == summary.dense.accuracy_at_end.mean


def test_the_smallest_winning_ticket_is_marked(summary):
    for axes in figures.hypothesis(summary).axes:
        assert [text.get_text() for text in axes.texts] == ["smallest winning ticket"]


def test_no_ticket_leaves_the_figure(summary):
    speed, accuracy = figures.hypothesis(summary).axes
    for level in summary.branch("ticket"):
        low, high = accuracy.get_ylim()
        assert low < level.accuracy.smallest <= level.accuracy.largest < high
    for verdict in summary.verdicts:
        low, high = speed.get_ylim()
        assert low < verdict.against_dense.speedup.mean < high


def test_early_stops_begin_at_zero(summary):
    figure = figures.early_stop(summary)
    assert figure.axes[0].get_ylim()[0] == 0
    assert lines(figure)["ticket"].get_ydata()[0] == summary.dense.early_stop_step.mean


def test_the_plane_holds_the_means_against_dense(summary):
    drawn = lines(figures.plane(summary))
    assert list(drawn) == ["ticket", "random", "reinit", "dense"]
    assert drawn["ticket"].get_xdata().tolist() == [
        1.0,
        *(verdict.against_dense.speedup.mean for verdict in summary.verdicts),
    ]
    assert drawn["ticket"].get_ydata().tolist() == [
        0.0,
        *(verdict.against_dense.gain.mean for verdict in summary.verdicts),
    ]


def test_connectivity_marks_the_recommended_step():
    plain = figures.connectivity(SCAN | {"recommended": None})
    marked = figures.connectivity(SCAN | {"recommended": 500})
    assert len(marked.axes[0].get_lines()) == len(plain.axes[0].get_lines()) + 1
    assert [label.get_text() for label in marked.axes[0].get_xticklabels()] == ["0", "100", "500"]


@pytest.mark.parametrize("scan", [None, {}, {"k": [], "instability": []}, {"k": [0]}])
def test_no_scan_no_figure(scan):
    assert figures.connectivity(scan) is None


@pytest.mark.parametrize("options", [{"seeds": (0,)}, {"controls": ()}, {"levels": 1}])
def test_little_is_drawn_too(tmp_path, options):
    run = synthetic_run.write_run(
        tmp_path, **{"seeds": (0, 1), "levels": 2, "steps": 600} | options
    )
    summary = summarize(run)
    for figure in (
        figures.hypothesis(summary),
        figures.early_stop(summary),
        figures.plane(summary),
    ):
        assert "ticket" in lines(figure)
        assert canvas.to_svg(figure, name="little").startswith("<svg")


def test_a_dense_network_alone_is_no_figure(tmp_path):
    summary = summarize(synthetic_run.write_run(tmp_path, levels=0, steps=600))
    assert figures.hypothesis(summary) is None
    assert figures.early_stop(summary) is None
    assert figures.plane(summary) is None
