import json
from typing import get_args

import pytest

from tfticket.errors import RunError
from tfticket.report.page import PAGES, render
from tfticket.report.summary import SUMMARIES, summarize


def test_every_kind_has_a_summary_and_a_page():
    assert set(SUMMARIES) == set(PAGES)


def test_every_kind_of_recipe_is_reported():
    from tfticket.recipe.lottery_schema import LotteryRecipe
    from tfticket.recipe.noisy_schema import NoisyRecipe
    from tfticket.recipe.norms_schema import NormsRecipe

    kinds = {
        kind
        for recipe in (LotteryRecipe, NoisyRecipe, NormsRecipe)
        for kind in get_args(recipe.model_fields["kind"].annotation)
    }
    assert kinds <= set(SUMMARIES)


def test_the_recipe_says_which_summary_it_is(run, tmp_path):
    assert summarize(run).to_dict()["headline"].startswith("Smallest winning ticket")
    (tmp_path / "recipe.json").write_text(json.dumps({"kind": "norms", "name": "new"}))
    assert summarize(tmp_path).to_dict()["kind"] == "norms"


def test_an_unknown_kind_is_refused(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps({"kind": "alchemy"}))
    for read in (summarize, render):
        with pytest.raises(RunError, match="Received: 'alchemy'"):
            read(tmp_path)
    assert not (tmp_path / "report").exists()
