import pytest
import synthetic_runs
from drawn import domain, layers, legend, panels, remarks, rows, series, ticks

from tfticket.display import charts
from tfticket.lottery.over_seeds import figures
from tfticket.lottery.search_results import branch_looks
from tfticket.studies.lottery.summary import summarize

SCAN = {"k": [0, 100, 500], "instability": [[0.09, 0.11], [0.03, 0.02], [0.001, 0.0]]}


@pytest.fixture(scope="module")
def summary(run):
    return summarize(run)


def lines(panel):
    """All lines of a panel: that of the dense network is a layer of its own."""
    return series(panel, place=None)


def in_percent(values):
    return pytest.approx([100 * value for value in values])


def test_the_hypothesis_joins_the_means_of_each_branch(summary):
    speed, accuracy = panels(figures.hypothesis(summary))
    assert legend(speed) == legend(accuracy) == ["ticket", "random", "reinit", "dense"]
    assert lines(speed)["ticket"]["y"] == [
        1.0,
        *(verdict.against_dense.speedup.mean for verdict in summary.verdicts),
    ]
    assert lines(accuracy)["ticket"]["y"] == in_percent(
        level.value.mean for level in summary.branch("ticket")
    )
    # A control begins at the dense network, where there is nothing to control yet.
    for drawn in (speed, accuracy):
        assert lines(drawn)["reinit"]["x"] == in_percent(
            [1.0, *(level.density for level in summary.branch("reinit"))]
        )
    assert set(lines(speed)["dense"]["y"]) == {1.0}
    assert lines(accuracy)["dense"]["y"] == in_percent([summary.dense.value.mean] * 2)


def test_intervals_are_bands_and_whiskers(summary):
    speed, accuracy = panels(figures.hypothesis(summary))
    found = [verdict.against_dense.speedup for verdict in summary.verdicts]
    assert series(speed, "area")["ticket"]["low"] == [1.0, *(each.lower for each in found)]
    assert series(speed, "area")["ticket"]["high"] == [1.0, *(each.upper for each in found)]
    levels = [level.value for level in summary.branch("ticket")]
    assert series(accuracy, "area")["ticket"]["low"] == in_percent(s.smallest for s in levels)
    assert series(accuracy, "area")["ticket"]["high"] == in_percent(s.largest for s in levels)
    whiskers = series(accuracy, "rule", 0)["ticket"]
    assert whiskers["low"] == in_percent(spread.lower for spread in levels)
    assert whiskers["high"] == in_percent(spread.upper for spread in levels)


def test_the_accuracy_at_the_end_is_that_of_the_end(summary):
    (panel,) = panels(figures.value_at_end(summary))
    assert lines(panel)["ticket"]["y"][0] == 100 * summary.dense.value_at_end.mean


def test_the_smallest_winning_ticket_is_marked(summary):
    for panel in panels(figures.hypothesis(summary)):
        assert remarks(panel) == ["smallest winning ticket"]
        assert layers(panel, "rule")[-1]["data"]["values"][0]["x"] == pytest.approx(
            100 * summary.smallest_winning.density
        )


def test_no_ticket_leaves_the_figure(summary):
    speed, accuracy = panels(figures.hypothesis(summary))
    for level in summary.branch("ticket"):
        low, high = domain(accuracy, "y")
        assert low < 100 * level.value.smallest <= 100 * level.value.largest < high
    for verdict in summary.verdicts:
        low, high = domain(speed, "y")
        assert low < verdict.against_dense.speedup.mean < high


def test_early_stops_begin_at_zero(summary):
    (panel,) = panels(figures.early_stop(summary))
    assert domain(panel, "y")[0] == 0
    assert lines(panel)["ticket"]["y"][0] == summary.dense.early_stop_step.mean


def test_the_plane_holds_the_means_against_dense(summary):
    (panel,) = panels(figures.plane(summary))
    assert legend(panel) == ["ticket", "random", "reinit", "dense"]
    ticket = lines(panel)["ticket"]
    speeds = [verdict.against_dense.speedup.mean for verdict in summary.verdicts]
    assert ticket["x"] == [1.0, *speeds]
    assert ticket["y"] == in_percent(
        [0.0, *(verdict.against_dense.gain.mean for verdict in summary.verdicts)]
    )
    # The path is drawn from level to level, not from left to right.
    assert layers(panel, "line")[0]["encoding"]["order"] == {"value": None}
    crosses = [row for row in rows(panel, "rule") if row.get("name") == "ticket"]
    assert len(crosses) == 2 * len(speeds)


def test_connectivity_marks_the_recommended_step():
    (plain,) = panels(figures.connectivity(SCAN | {"recommended": None}))
    (marked,) = panels(figures.connectivity(SCAN | {"recommended": 500}))
    assert len(rows(marked, "rule")) == len(rows(plain, "rule")) + 1
    assert ticks(marked, "x")[1].startswith('["0", "100", "500"]')
    assert len(rows(marked, "point")) == 6


@pytest.mark.parametrize("scan", [None, {}, {"k": [], "instability": []}, {"k": [0]}])
def test_no_scan_no_figure(scan):
    assert figures.connectivity(scan) is None


@pytest.mark.parametrize("options", [{"seeds": (0,)}, {"controls": ()}, {"levels": 1}])
def test_little_is_drawn_too(tmp_path, options):
    run = synthetic_runs.write_lottery(
        tmp_path, **{"seeds": (0, 1), "levels": 2, "steps": 600} | options
    )
    summary = summarize(run)
    for figure in (
        figures.hypothesis(summary),
        figures.early_stop(summary),
        figures.plane(summary),
    ):
        assert "ticket" in lines(panels(figure)[0])
        assert charts.to_svg(figure, name="little").startswith("<svg")


def test_a_dense_network_alone_is_no_figure(tmp_path):
    summary = summarize(synthetic_runs.write_lottery(tmp_path, levels=0, steps=600))
    assert figures.hypothesis(summary) is None
    assert figures.early_stop(summary) is None
    assert figures.plane(summary) is None


def test_branches_keep_their_looks():
    looks = branch_looks(("ticket", "reinit", "mine", "yours"))
    assert len(set(looks.values())) == 4
    assert looks["ticket"] == branch_looks(("ticket",))["ticket"]
    assert len({(look.color, look.shape) for look in looks.values()}) == 4
