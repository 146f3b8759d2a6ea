"""The contract of every built-in recipe."""

import json

import pytest

from tfticket.cli import main
from tfticket.recipe import catalog
from tfticket.recipe.parsing import load, parse, resolve
from tfticket.runs.rundir import RunDir
from tfticket.studies.edge.schema import EdgeRecipe
from tfticket.studies.lottery.schema import LotteryRecipe
from tfticket.studies.noisy.schema import NoisyRecipe
from tfticket.studies.noisy.schema import conditions as noisy_conditions
from tfticket.studies.norms.conditions import conditions
from tfticket.studies.variants.schema import VariantsRecipe

ENTRIES = catalog.list_recipes()
BOTH_FORMS = pytest.mark.parametrize("smoke", [False, True], ids=["whole", "smoke"])
EACH = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
NO_NETWORK = ("digits", "mnist1d", "linear", "friedman1", "shapes")


def test_the_recipes_of_the_main_job_are_there():
    assert {entry.name for entry in ENTRIES} >= {
        "lth_digits",
        "lth_mnist",
        "lth_mnist_paper",
        "lth_cifar10",
        "lth_cifar10_resnet20",
        "lth_oneshot_vs_iterative",
    }


@EACH
@BOTH_FORMS
def test_it_resolves_and_comes_back_from_json(entry, smoke):
    recipe = load(entry.path, smoke=smoke)
    resolved = json.loads(json.dumps(resolve(recipe)))
    again = parse(resolved)
    assert resolve(again) == resolved
    assert again.model_copy(update={"smoke": recipe.smoke}) == recipe
    assert recipe.name == entry.name


@EACH
def test_its_smoke_form_needs_no_network_and_takes_seconds(entry):
    recipe = load(entry.path, smoke=True)
    assert recipe.data.name in NO_NETWORK
    if isinstance(recipe, LotteryRecipe):
        levels = recipe.lottery.levels + 1
        assert recipe.train.steps * levels * len(recipe.seeds) <= 200
        assert recipe.export.levels != "smallest_winning"  # it exports, whatever the verdict
    elif isinstance(recipe, EdgeRecipe):
        networks = 1 + sum(search.levels for search in recipe.search)
        assert recipe.train.steps * networks * len(recipe.seeds) <= 200
        assert recipe.edge.margin >= 0.5  # it ships something, however little was learned
    elif isinstance(recipe, VariantsRecipe):
        searches = len(recipe.variants) * len(recipe.seeds)
        assert recipe.train.steps * (recipe.lottery.levels + 1) * searches <= 200
    elif isinstance(recipe, NoisyRecipe):
        assert sum(cell.steps for cell in noisy_conditions(recipe)) * len(recipe.seeds) <= 400
        assert recipe.data.limit
        assert recipe.data.limit <= 200
        assert recipe.selection is None or recipe.selection.epochs <= 30
    else:
        assert sum(cell.steps * len(cell.seeds) for cell in conditions(recipe)) <= 400


@EACH
def test_what_it_owes_to_a_paper_stands_in_it(entry):
    recipe = load(entry.path)
    if recipe.paper:
        assert recipe.deviations, "a recipe that follows a paper says where it doesn't"
        assert all(text.endswith(".") for text in recipe.deviations)
    for claim in recipe.expect if recipe.kind != "edge" else ():  # those are about files
        assert recipe.paper
        assert claim.source, f"where does the paper say so: {claim.claim}"


@EACH
def test_its_comments_are_complete_sentences_at_the_top(entry):
    first = entry.path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")


@pytest.mark.slow
def test_selecting_networks_of_a_smoke_form_learn(tmp_path):
    # Networks that haven't learned are refused, which no test of the recipe's text can see.
    assert main(["recipe", "run", "noisy_digits", "--smoke", "--runs", str(tmp_path)]) == 0
    assert RunDir(tmp_path / "noisy_digits" / "smoke").complete
