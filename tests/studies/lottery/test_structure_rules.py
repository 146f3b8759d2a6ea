import pytest
from tiny_recipe import recipe, tables

from tfticket.errors import RecipeError
from tfticket.recipe import parsing

pytestmark = pytest.mark.slow

TWO_OF_FOUR = ("lottery.structure=n_of_m", "lottery.pattern=[2, 4]")
CHANNEL = "lottery.structure=channel"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["lottery.structure=rows"], r"lottery.structure: must be"),
        (
            ["lottery.structure=n_of_m"],
            r"lottery.pattern: is for structure = 'n_of_m', which needs",
        ),
        (["lottery.pattern=[2, 4]"], r"lottery.pattern: is for .* structure = 'unstructured'"),
        ([CHANNEL, "lottery.pattern=[2, 4]"], r"lottery.pattern: is for .* structure = 'channel'"),
        ([*TWO_OF_FOUR, "lottery.pattern=[4, 4]"], r"n below m.*Received: \[4, 4\]"),
        ([*TWO_OF_FOUR, "lottery.pattern=[0, 4]"], r"lottery.pattern.*whole number"),
        ([*TWO_OF_FOUR, "lottery.pattern=[2]"], r"lottery.pattern"),
        (
            [*TWO_OF_FOUR, "lottery.levels=4"],
            r"lottery.levels: must not lead below a density of 2/4 = 0.5.*Received: 0.4096 .*"
            r"final_sparsity = 0.5",
        ),
        ([*TWO_OF_FOUR, "lottery.rates={dense=0.4}"], r"lottery.levels: must not .*: 0.36 at the"),
        (
            [*TWO_OF_FOUR, "lottery.schedule=polynomial", "lottery.final_sparsity=0.51"],
            r"lottery.final_sparsity: must not lead below.*Received: 0.49 at",
        ),
        (
            [*TWO_OF_FOUR, "lottery.pruner=erk"],
            r"lottery.pruner: must be global or layerwise.*of m",
        ),
        ([CHANNEL, "lottery.pruner=erk"], r"lottery.pruner: must be global or layerwise.*several"),
        ([CHANNEL, "lottery.rates={output=0.1}"], r"lottery.rates: .* are the classes, which stay"),
        (
            [CHANNEL, "lottery.score=random", "lottery.pruner=global"],
            r"lottery.pruner: must be layerwise for random channels",
        ),
    ],
)
def test_what_does_not_go_with_a_structure_is_told(changes, message):
    with pytest.raises(RecipeError, match=message):
        parsing.parse(tables(*changes))


@pytest.mark.parametrize(
    "changes",
    [
        ["lottery.structure=block_1x4", "lottery.pruner=erk", "lottery.score=synflow"],
        [*TWO_OF_FOUR, "lottery.levels=3"],
        [*TWO_OF_FOUR, "lottery.rate=0.2929"],
        [*TWO_OF_FOUR, "lottery.schedule=polynomial", "lottery.final_sparsity=0.5"],
        [CHANNEL, "lottery.pruner=global", "lottery.score=snip"],
        [CHANNEL, "lottery.score=random", "lottery.rates={conv=0.1}"],
    ],
)
def test_what_goes_with_a_structure_is_accepted(changes):
    given = recipe(*changes)
    assert parsing.parse(parsing.resolve(given)) == given


def test_keys_that_came_later_are_not_in_older_recipes():
    assert not {"structure", "pattern"} & parsing.resolve(recipe())["lottery"].keys()
    assert parsing.resolve(recipe("lottery.structure=unstructured")) == parsing.resolve(recipe())
    assert parsing.resolve(recipe(CHANNEL))["lottery"]["structure"] == "channel"
    assert "pattern" not in parsing.resolve(recipe(CHANNEL))["lottery"]
    assert parsing.resolve(recipe(*TWO_OF_FOUR))["lottery"]["pattern"] == [2, 4]
