import numpy as np
import pytest
from tiny_norms import recipe

from tfticket.lottery import TicketSearch
from tfticket.lottery.trial import TrialListener
from tfticket.metrics import read_metrics
from tfticket.runner import runner
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies.norms import tickets as tickets_module
from tfticket.studies.norms.conditions import conditions
from tfticket.studies.norms.study import NormsStudy, in_order
from tfticket.studies.norms.tickets import Tickets

pytestmark = pytest.mark.slow

CHANGES = (
    'arms=[{norms=["batch"], subnetworks=["dense", "ticket", "random"]}]',
    "tickets={levels=1, rate=0.5, rewind_step=2}",
    "model={name='lenet_300_100', width=0.05}",
)


@pytest.fixture(scope="module")
def experiment():
    return NormsStudy.load(recipe(*CHANGES))


def test_tickets_of_whole_channels_have_random_controls_of_whole_channels(experiment):
    table = "tickets={levels=1, rate=0.5, rewind_step=2, structure='channel'}"
    structured = NormsStudy(recipe(*CHANGES, table), experiment.given(0))
    tickets = Tickets(structured)
    starts = {c.subnetwork: tickets.start(0, c, Counts()) for c in conditions(structured.recipe)}
    assert starts["random"].mask != starts["ticket"].mask
    for name in ("ticket", "random"):
        for array in starts[name].mask.values():
            sides = array.any(axis=1), array.any(axis=0)
            np.testing.assert_array_equal(array, np.outer(*sides))  # no hole in what is left


class Counts(TrialListener):
    def __init__(self):
        self.trained = 0

    def end(self, result):
        self.trained += 1


def test_all_three_begin_at_the_same_state_from_one_search(experiment):
    counts, tickets = Counts(), Tickets(experiment)
    starts = {
        cell.subnetwork: tickets.start(0, cell, counts) for cell in conditions(experiment.recipe)
    }
    assert counts.trained == 2  # the dense network and the ticket, once
    dense, ticket, random = (starts[name] for name in ("dense", "ticket", "random"))
    assert dense.mask is None
    assert ticket.mask.density == pytest.approx(0.5, abs=0.01)
    assert random.mask.kept == ticket.mask.kept
    assert random.mask != ticket.mask
    for start in (ticket, random):
        assert start.snapshot.step == dense.snapshot.step == 2
        for key, value in dense.snapshot.variables.items():
            np.testing.assert_array_equal(start.snapshot.variables[key], value)


def test_statistics_are_taken_again_before_each_level(experiment, monkeypatch):
    given = []

    class Watched(TicketSearch):
        def __init__(self, *args, recalibrate, **kwargs):
            given.append(recalibrate)
            super().__init__(*args, recalibrate=recalibrate, **kwargs)

    monkeypatch.setattr(tickets_module, "TicketSearch", Watched)
    Tickets(experiment).start(0, conditions(experiment.recipe)[0], Counts())
    (batches,) = given
    (size,) = {len(batch) for batch in batches}
    assert size == conditions(experiment.recipe)[0].batch_size
    assert 2_000 <= size * len(batches) < 2_000 + size
    without = NormsStudy.load(
        recipe('arms=[{norms=["none"], subnetworks=["ticket"]}]', *CHANGES[1:])
    )
    Tickets(without).start(0, conditions(without.recipe)[0], Counts())
    assert given[1] is None


def test_a_run_compares_them(experiment, tmp_path):
    with writing(RunDir(tmp_path), experiment.recipe, toml=b"") as run:
        runner.run(experiment.recipe, run)
    rows = read_metrics(run.metrics)
    density = {row.branch: row.value for row in rows if row.name == "density"}
    assert set(density) == {"batch-ticket", "batch-random"}
    assert density["batch-ticket"] == pytest.approx(0.5, abs=0.01)
    # From the rewind step on, whose state they share.
    assert {row.step for row in rows if row.split == "train"} == {4}


def test_networks_that_share_a_search_are_trained_together():
    arm = 'arms=[{norms=["none", "batch"], subnetworks=["dense", "ticket"]}]'
    planned = conditions(recipe(arm, "tickets={levels=1}"))
    assert [cell.branch for _, cell in in_order((0,), planned)] == [
        "none-dense",
        "none-ticket",
        "batch-dense",
        "batch-ticket",
    ]


def test_the_seeds_come_one_after_the_other():
    given = recipe("seeds=[3, 1]", 'arms=[{norms=["none"]}, {norms=["batch"], seeds=[1]}]')
    order = [(seed, cell.branch) for seed, cell in in_order(given.seeds, conditions(given))]
    assert order == [(3, "none"), (1, "none"), (1, "batch")]
