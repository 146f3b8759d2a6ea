import pytest

from tfticket.errors import RecipeError
from tfticket.recipe.parsing import parse

CLAIM = {"claim": "c", "measure": "accuracy", "noise": "pair0.2", "density": 0.1}
RECIPE = {
    "name": "tiny",
    "title": "Tiny",
    "kind": "memorization",
    "data": {"name": "digits"},
    "model": {"name": "lenet_300_100"},
    "train": {"optimizer": {"name": "sgd"}, "learning_rate": 0.1, "steps": 100},
    "noise": [{"kind": "none"}, {"kind": "pair", "rate": 0.2}],
    "lottery": {"levels": 2},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": [{"kind": "none"}] * 2}, "Received twice: none"),
        (
            {"noise": [{"kind": "open_set", "rate": 0.2, "foreign": "mnist"}]},
            "must be a noise of labels",
        ),
        ({"data": {"name": "friedman1"}}, "must have classes, since labels are made wrong"),
        ({"expect": [CLAIM | {"noise": "pair0.4", "at_least": 0}]}, "one of none, pair0.2"),
        ({"controls": {"levels": [3]}}, "must not go beyond lottery.levels = 2"),
        ({"lottery": {"levels": 2, "rewind_step": 150}}, "must be below train.steps = 100"),
        ({"noise": []}, "noise: must be a list of tables"),
    ],
)
def test_what_does_not_fit_together(changes, message):
    with pytest.raises(RecipeError, match=message):
        parse({**RECIPE, **changes})


def test_its_search_is_a_recipe_of_the_kind_lottery():
    recipe = parse({**RECIPE, "expect": [CLAIM | {"at_least": 0.5}]})
    search = recipe.shared_search()
    assert search.kind == "lottery"
    assert (search.lottery, search.train, search.seeds) == (
        recipe.lottery, recipe.train, recipe.seeds,
    )  # fmt: skip
