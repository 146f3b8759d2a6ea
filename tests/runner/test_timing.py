"""How long a run of each kind will take is found out by training a little, if that is worth it."""

import os

import pytest
import tiny_edge
import tiny_noisy
import tiny_norms
import tiny_recipe

from tfticket.recipe.rates import load_data
from tfticket.runs import progress
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
    monkeypatch.setattr(progress, "_TIMED_STEPS", 1)
    assert work.plan(RunDir(os.devnull), timed=True).seconds > 0
    assert work.plan(RunDir(os.devnull), timed=False).seconds is None
    monkeypatch.setattr(progress, "_TIMED_STEPS", 10**9)
    assert work.plan(RunDir(os.devnull), timed=True).seconds is None
