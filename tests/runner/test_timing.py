"""How long a run of each kind will take is found out by training a little, if that is worth it."""

import os

import pytest
import tiny_edge
import tiny_noisy
import tiny_norms
import tiny_recipe

from tfticket.recipe.rates import load_data
from tfticket.runs import plan
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import make_study

RECIPES = {
    "edge": tiny_edge.recipe,
    "lottery": tiny_recipe.recipe,
    "noisy": tiny_noisy.recipe,
    "norms": tiny_norms.recipe,
}


SMALL = ("model.width=0.05", "train.jit=false")


@pytest.mark.parametrize("kind", RECIPES)
def test_time_is_told_where_it_can_be_and_is_worth_it(kind, monkeypatch):
    given = RECIPES[kind](*SMALL)
    work = make_study(given, load_data(given.data), None)
    monkeypatch.setattr(plan, "_TIMED_STEPS", 1)
    assert work.plan(RunDir(os.devnull), timed=True).seconds > 0
    assert work.plan(RunDir(os.devnull), timed=False).seconds is None
    monkeypatch.setattr(plan, "_TIMED_STEPS", 10**9)
    assert work.plan(RunDir(os.devnull), timed=True).seconds is None


CONDITIONS = {
    "noisy": tiny_noisy.recipe(
        'methods=["cross_entropy", "coteaching"]', tiny_noisy.SELECTION, "seeds=[0, 1]", *SMALL
    ),
    "norms": tiny_norms.recipe(
        'arms=[{norms=["batch"], subnetworks=["dense", "ticket"]}]',
        "tickets={levels=1}",
        *SMALL,
    ),
}
# Of a step: a fold trains one network, a method two.
SEARCHING = {"noisy": 0.5, "norms": 1.0}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_searches_and_selections_take_time(kind, monkeypatch):
    given = CONDITIONS[kind]
    module = f"tfticket.studies.{kind}.study"
    monkeypatch.setattr(f"{module}.seconds_per_step", lambda *arguments: 2.0)
    monkeypatch.setattr(f"{module}._TRACING_SECONDS", 0.0)
    monkeypatch.setattr(plan, "_TIMED_STEPS", 1)
    made = make_study(given, load_data(given.data), None).plan(RunDir(os.devnull), timed=True)
    assert any(condition.searched for condition in made.conditions)
    assert made.seconds == 2 * sum(
        len(each.seeds) * (each.steps + SEARCHING[kind] * each.searched) for each in made.conditions
    )
