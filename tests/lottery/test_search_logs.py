"""What a search says, shows and writes for other tools."""

import re

import events
import numpy as np
import pandas
import pytest
from small_search import LEVEL_STEPS, compiled, network, searched

from tfticket.lottery import RandomMask, RandomReinit, TicketSearch
from tfticket.schedules import IterativePruning
from tfticket.sparsity import ERKPruner, GlobalPruner, SaliencyScore, movement

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A search of one level with a control, its folder of TensorBoard, and what a logger got."""
    folder, heard = tmp_path_factory.mktemp("logs"), []
    found = searched(
        compiled(network()),
        levels=1,
        controls=["reinit"],
        log_dir=folder,
        log=lambda values, step: heard.append((step, values)),
    )
    return found, events.scalars(folder), heard


def test_tensorboard_gets_a_run_for_each_network_with_the_rows_of_the_search(logged):
    found, written, _ = logged
    for row in found.rows:
        if row.split in ("train", "validation"):
            name = f"{row.branch}_level_{row.level:02d}/{row.split}/{row.name}"
            values = dict(written[name])
            assert values[row.step] == pytest.approx(row.value, rel=1e-6)
    (ticket,) = written["ticket_level_01/summary/density"]
    assert ticket == (LEVEL_STEPS, pytest.approx(found.search.tickets[1].mask.density))


def test_a_logger_gets_steps_that_rise_from_network_to_network(logged):
    found, _, heard = logged
    steps = [step for step, _ in heard]
    assert steps == sorted(steps)
    assert steps[-1] == 3 * LEVEL_STEPS  # dense, ticket, twin
    last = {name: value for _, values in heard for name, value in values.items()}
    accuracy = found.search.results[-1].at_end["accuracy"]
    assert last["reinit_level_01/test/accuracy_at_end"] == accuracy
    assert all(type(value) is float for value in last.values())


def test_logging_changes_no_bit(logged):
    found, _, _ = logged
    silent = searched(compiled(network()), levels=1, controls=[RandomReinit()])
    assert [t.sha256 for t in silent.search.tickets] == [t.sha256 for t in found.search.tickets]
    for ours, theirs in zip(found.model.weights, silent.model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_search_shows_its_results(logged, tmp_path):
    search = logged[0].search
    rows = search.to_rows()
    assert [(row["branch"], row["level"]) for row in rows] == [
        ("ticket", 0),
        ("ticket", 1),
        ("reinit", 1),
    ]
    frame = search.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.density.tolist() == [result.density for result in search.results]
    assert re.match(
        r"2 networks trained, dense to 70\..*test accuracy .*One seed", search.summary()
    )
    assert search.plot().save(tmp_path / "x.svg").read_text().startswith("<svg")
    assert "<table>" in search._repr_html_()
    assert repr(search).startswith("TicketSearch(IterativePruning(rate_per_level=0.3, levels=1), 3")


def test_an_unused_search_has_nothing_to_draw():
    search = TicketSearch(IterativePruning(0.5, levels=2), 10)
    assert search.summary() == "No ticket was trained by this search. 3 networks left to train."
    with pytest.raises(ValueError, match="nothing to draw of this TicketSearch: No ticket"):
        search.plot()
    assert search.to_rows() == []


def test_names_stand_for_objects():
    search = TicketSearch(
        IterativePruning(0.5, levels=2), 10, pruner="erk", score="movement", controls=["random"]
    )
    procedure = search.procedure
    assert isinstance(procedure.pruner, ERKPruner)
    assert procedure.score is movement
    assert procedure.controls == (RandomMask(),)
    assert isinstance(TicketSearch(IterativePruning(0.5, 2), 10).procedure.pruner, GlobalPruner)
    assert TicketSearch(IterativePruning(0.5, 2), 10, score="random").procedure.score is None
    synflow = TicketSearch(IterativePruning(0.5, 2), 10, score="synflow").procedure.score
    assert isinstance(synflow, SaliencyScore)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pruner": "layerwize"}, ValueError, "'global', 'layerwise', 'erk'.*mean 'layerwise'"),
        ({"pruner": GlobalPruner}, TypeError, "Give an instance, not the class"),
        ({"controls": ["reint"]}, ValueError, "'reinit', 'shuffle', .* mean 'reinit'"),
        ({"controls": "reinit"}, TypeError, r"must be a list\. Received: 'reinit'"),
        ({"controls": [3]}, TypeError, "Received: 3"),
        ({"score": "snip"}, ValueError, r"`SaliencyScore\('snip', x, y\)`"),
    ],
)
def test_what_is_not_known_is_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        TicketSearch(IterativePruning(0.5, levels=2), 10, **options)


def test_a_share_is_no_schedule():
    with pytest.raises(TypeError, match=r"such as IterativePruning.*Received: 0\.2"):
        TicketSearch(0.2, 10)
