import pytest
from tiny_edge import recipe, tables

from tfticket.errors import RecipeError
from tfticket.recipe.parsing import parse, resolve

pytestmark = pytest.mark.slow


def refused(change):
    raw = tables()
    change(raw)
    with pytest.raises(RecipeError) as caught:
        parse(raw)
    return str(caught.value)


def test_each_search_is_a_recipe_of_its_own():
    searches = recipe().searches()
    assert list(searches) == ["unstructured", "channel"]
    assert searches["channel"].name == "tiny.channel"
    assert searches["channel"].lottery.structure == "channel"
    assert parse(resolve(searches["channel"])) == searches["channel"]


def test_the_rate_is_filled_in_for_each():
    def change(raw):
        del raw["search"][0]["rate"]

    raw = tables()
    change(raw)
    assert parse(raw).search[0].rate == 0.2


def test_a_recipe_comes_back_from_json():
    assert parse(resolve(recipe())) == recipe()


def test_a_structure_is_searched_once():
    message = refused(lambda raw: raw["search"][0].update(structure="channel"))
    assert "search[1].structure: must be another in each search. Received again: 'cha" in message


@pytest.mark.parametrize(
    ("key", "value"), [("rewind_step", 30), ("rewind", "none"), ("score_at", "early_stop")]
)
def test_searches_share_their_dense_network(key, value):
    message = refused(lambda raw: raw["search"][1].update({key: value}))
    assert f"search.{key}: must be the same in all searches" in message


def test_what_holds_for_a_search_is_told_with_its_place():
    message = refused(lambda raw: raw["search"][1].update(rewind_step=60))
    assert "search[1].rewind_step: must be below train.steps = 60" in message
    message = refused(lambda raw: raw["search"][1].update(pruner="erk"))
    assert "search[1].pruner: must be global or layerwise" in message


def test_what_all_searches_have_in_common_is_told_once():
    message = refused(lambda raw: raw["train"].update(evaluate_every=7))
    assert message.count("train.evaluate_every: must divide train.steps") == 1


@pytest.mark.parametrize(
    ("limits", "received"), [({}, "neither"), ({"at_least": 1.0, "at_most": 2.0}, "both")]
)
def test_an_expectation_has_one_limit(limits, received):
    claim = {"claim": "small", "measure": "smaller", **limits}
    message = refused(lambda raw: raw.update(expect=[claim]))
    assert f"expect[0]: must have either `at_least` or `at_most`. Received: {received}" in message


def test_no_search_and_formats_twice_are_mistakes():
    assert "search" in refused(lambda raw: raw.update(search=[]))
    message = refused(lambda raw: raw["edge"].update(formats=["fp32", "fp32"]))
    assert "edge.formats: must name each value once" in message
