import numpy as np
import pytest
from drawn import panels, series, title

from tfticket.studies.norms import curves as views
from tfticket.studies.norms import tables
from tfticket.studies.norms.memorization import summarize_memorization
from tfticket.studies.norms.results import summarize_conditions


@pytest.fixture(scope="module")
def summary(noise_study):
    return summarize_memorization(noise_study, summarize_conditions(noise_study, first=1.0))


def test_every_network_has_a_row_with_what_it_knows(summary):
    table = tables.memorized_table(summary)
    assert table.columns[:3] == ("<norm", "<network", "weights left")
    assert [row[1].text for row in table.rows[:3]] == [
        "dense",
        "ticket",
        "random subnetwork",
    ]
    dense, ticket = table.rows[0], table.rows[1]
    assert (dense[2].text, ticket[2].text[:4]) == ("", "20.0")
    assert ticket[3].text.startswith("99.")
    assert ticket[3].detail
    assert [row[-1].text for row in table.rows] == ["3"] * 5 + ["2"]


def test_differences_are_in_points_with_their_intervals(summary):
    table = tables.differences_table(summary)
    assert [cell.text for cell in table.rows[2][:3]] == [
        "batch",
        "ticket",
        "random subnetwork",
    ]
    mean = summary.contrasts[0].measures["memorized_last"].mean
    assert table.rows[0][3].text == f"+{100 * mean:.2f}"
    assert " to " in table.rows[0][3].detail


def test_the_figure_draws_the_means_over_seeds(noise_study):
    found = panels(views.memorization(noise_study))
    assert len(found) == 6
    memorized, clean, learned = found[:3]
    lines = series(memorized)
    assert set(lines) == {"dense", "ticket", "random subnetwork"}
    values = [
        network.curves["memorization", "memorized"].values
        for network in noise_study.of(noise_study.conditions[1]).values()
    ]
    np.testing.assert_allclose(lines["ticket"]["y"], 100 * np.mean(values, axis=0))
    np.testing.assert_allclose(lines["ticket"]["low"], 100 * np.min(values, axis=0))
    assert title(clean, "y") == "clean test accuracy (%)"
    drawn = series(learned)["dense"]
    assert (np.diff(drawn["x"]) > 0).all()
    assert len(drawn["y"]) == 10


def test_a_run_without_noise_has_no_figure(panels_study):
    assert views.memorization(panels_study) is None
