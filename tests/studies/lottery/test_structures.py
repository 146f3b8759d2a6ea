"""Searches for tickets of each structure, from the recipe to the page."""

import keras
import numpy as np
import pytest
from tiny_recipe import recipe

from tfticket.lottery.ticket import Ticket
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.sparsity.mask import Mask
from tfticket.studies.lottery.plan import planned_levels
from tfticket.studies.lottery.search import pruner, schedule
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.training import search_tickets
from tfticket.studies.report import render

pytestmark = pytest.mark.slow

SMALL = (
    "data.limit=200",
    "data.validation=200",  # of one shape with the test data: one trace less
    "data.batch_size=32",
    "train.optimizer={name='sgd', momentum=0.9}",
    "train.learning_rate=0.1",
    "train.steps=2",
    "train.evaluate_every=1",
    "train.jit=false",
    "seeds=[0]",
    "controls={shuffle=true, random=true, oneshot=true, levels=[2]}",
)
STRUCTURES = {
    "block_1x4": ["lottery.rate=0.4", "lottery.pruner=erk"],
    "n_of_m": [
        "lottery.pattern=[2, 4]",
        "lottery.schedule=polynomial",
        "lottery.final_sparsity=0.5",
        "lottery.skip=['stem/*']",
    ],
    "channel": ["lottery.rate=0.4", "lottery.pruner=global"],
}
BRANCHES = ("ticket", "shuffle", "random", "oneshot")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A residual network in a file."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = stem = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="inner")(x)
    x = layers.Conv2D(8, 3, padding="same", name="outer")(x)
    x = layers.MaxPooling2D(4)(layers.ReLU()(layers.Add()([stem, x])))
    model = keras.Model(inputs, layers.Dense(10, name="output")(layers.Flatten()(x)))
    path = tmp_path_factory.mktemp("models") / "network.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def data():
    return LotteryStudy.load(recipe(*SMALL)).data


class PulledPlugError(Exception):
    pass


class PullsThePlug(Silence):
    """When the ticket of level 2 has ended, before its controls."""

    def end(self, trial, summary):
        if trial.level == 2:
            raise PulledPlugError


def arrays(run):
    """Everything that a search leaves, byte by byte."""
    return {
        path.relative_to(run.path): path.read_bytes()
        for path in sorted(run.path.glob("seeds/**/*.npz"))
    }


@pytest.fixture(scope="module", params=STRUCTURES)
def searched(request, network, data, tmp_path_factory):
    """A run and its experiment, and a run that was interrupted and taken up again."""
    name = request.param
    changes = [f"lottery.structure={name}", f"model={{file='{network}'}}", *STRUCTURES[name]]
    tiny = recipe(*SMALL, *changes)
    experiment = LotteryStudy(tiny, data)
    whole, cut = (RunDir(tmp_path_factory.mktemp(name) / end) for end in ("whole", "cut"))

    def search(run, progress):
        with writing(run, tiny, toml=b""):
            search_tickets(experiment, run, progress, 0)

    search(whole, Silence())
    with pytest.raises(PulledPlugError):
        search(cut, PullsThePlug())
    search(cut, Silence())
    return whole, experiment, cut


def masks(run, level):
    branches = BRANCHES if level == 2 else ("ticket",)
    return {branch: Ticket.load(run.ticket(0, branch, level)).mask for branch in branches}


def test_tickets_and_controls_have_the_structure(searched):
    run, experiment, _ = searched
    lottery = experiment.recipe.lottery
    model = experiment.model(0)
    structure = pruner(lottery, model).structure
    assert structure.name == lottery.structure
    before = masks(run, 1)["ticket"]
    found = masks(run, 2)
    ticket = found["ticket"]
    assert ticket.is_subset_of(before)
    assert len(set(found.values())) == len(BRANCHES)
    for mask in found.values():
        units = structure.units(mask)
        assert units.kept == structure.units(ticket).kept < structure.units(before).kept
        assert structure.expand(units, Mask.ones(mask.shapes)) == mask
        if structure.name == "n_of_m":  # complete: exactly 2 of each 4
            for array in mask.values():
                counts = np.add.reduceat(array.astype(int), np.arange(0, array.shape[-2], 4), -2)
                assert np.all(counts == 2)
    shuffled = structure.units(found["shuffle"])
    assert shuffled.counts() == structure.units(ticket).counts()


def test_the_networks_keep_their_zeros_where_the_mask_is(searched):
    run, _, _ = searched
    for branch in BRANCHES:
        ticket = Ticket.load(run.ticket(0, branch, 2))
        for key, kept in ticket.mask.items():
            np.testing.assert_array_equal(ticket.weights[key] != 0, kept, err_msg=key)


def test_a_search_that_is_taken_up_again_ends_with_the_same_bytes(searched):
    whole, _, cut = searched
    assert arrays(cut) == arrays(whole)


def test_a_plan_tells_about_how_many_weights_survive(searched):
    run, experiment, _ = searched
    lottery, model = experiment.recipe.lottery, experiment.model(0)
    dense = masks(run, 0)["ticket"]
    planned = planned_levels(schedule(lottery), pruner(lottery, model), dense.shapes)
    for level in (1, 2):
        survivors = masks(run, level)["ticket"]
        if planned[level].exact:
            assert planned[level].counts == survivors.counts()
        else:
            assert planned[level].remaining == pytest.approx(survivors.kept, rel=0.35)
    # The stem's blocks are of one input, all others of 4: no kernel has both.
    assert planned[2].exact == (lottery.structure != "channel")


def test_the_page_tells_the_structure(searched):
    run, experiment, _ = searched
    page = render(run.path).read_text(encoding="utf-8")
    words = {
        "block_1x4": "blocks of 4 inputs",
        "n_of_m": "at least 2 of 4 inputs kept",
        "channel": "whole channels",
    }[experiment.recipe.lottery.structure]
    assert page.count(words) == 2  # what was pruned, and what the controls are
    assert f"The controls have the structure of the ticket ({words})" in page
