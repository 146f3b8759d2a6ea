import json
from pathlib import Path
from typing import get_args

import pytest
from tiny_norms import recipe, tables

from tfticket.errors import RecipeError
from tfticket.norms.catalog import NORMS
from tfticket.recipe import parsing
from tfticket.recipe.parsing import parse
from tfticket.studies.norms.conditions import NormName
from tfticket.studies.norms.schema import Network

pytestmark = pytest.mark.slow

SAVED = Path(__file__).parents[3] / "saved_models"
CLAIM = 'expect=[{claim="a", measure="%s", norm="%s"%s}]'


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["train.evaluate_every=3"], r"evaluate_every: must divide train.steps = 4"),
        (
            ['arms=[{norms=["batch"], steps=5}]'],
            r"evaluate_every: must divide arms\[0\].steps = 5",
        ),
        (
            ['arms=[{norms=["batch"]}, {norms=["batch"]}]'],
            r"arms: must name each network once. Received twice: batch",
        ),
        (['arms=[{norms=["batch"], seeds=[7]}]'], r"arms: must leave something to train"),
        (
            ['arms=[{norms=["batch"], learning_rates=[1, 1]}]'],
            r"arms\[0\].learning_rates: must name each value once",
        ),
        (
            ['arms=[{norms=["batch"], batch_sizes=[5], learning_rate_rule="linear"}]'],
            r"arms\[0\].batch_sizes: must divide the examples .* = 32,",
        ),
        (["model.depth=11"], r"model.depth: belongs to vgg and dln; conv2 has its own"),
        (["model={name='vgg', depth=12}"], r"model.depth: must be one of 11, 13, 16, 19 for vgg"),
        (
            ["landscape={every=2, multipliers={low=2, high=1}}"],
            r"landscape.multipliers.low: must be below `high`",
        ),
        (
            ["data.name=linear", "statistics={kinds=['batch']}"],
            r"statistics: needs data with classes",
        ),
        (["data.name=linear", "train.label_smoothing=0.1"], r"label_smoothing: needs data with"),
        (
            ['arms=[{norms=["batch"], subnetworks=["ticket"]}]'],
            r"arms\[0\].subnetworks: asks for tickets",
        ),
        (["tickets={levels=1}"], r"tickets: is of use only where an arm has `subnetworks`"),
        (
            [CLAIM % ("beta", "group", ', against="none"')],
            r"expect\[0\].norm: must be one of batch, none",
        ),
        ([CLAIM % ("beta", "batch", "")], r"expect\[0\].against: must say what"),
        ([CLAIM % ("accuracy_drop", "batch", ', against="none"')], r"expect\[0\].against: must"),
        (["noise={kind='pair'}", "last=1"], r"noise.rate: must be greater than 0"),
        (["noise={kind='none'}", "last=1"], r"noise.kind: must be another one than"),
        (
            ["noise={kind='open_set', rate=0.2, foreign='mnist'}", "last=1"],
            r"noise.kind: must be a noise of labels",
        ),
        (["noise={kind='pair', rate=0.2}"], r"last: must not be more than the 2 evaluations"),
        (
            [
                "noise={kind='pair', rate=0.2}",
                "last=2",
                'arms=[{norms=["batch"], subnetworks=["dense", "ticket"]}]',
                "tickets={levels=1, rewind_step=2}",
            ],
            r"last: must not be more than the 1 evaluations",
        ),
        (["last=2"], r"last: is of use only with a table \[noise\]"),
        (
            ["data.name=linear", "noise={kind='pair', rate=0.2}", "last=1"],
            r"noise: needs data with classes",
        ),
        (
            ["train.optimizer={name='sgd', nesterov=true}"],
            r"train.optimizer.nesterov: needs a `momentum`",
        ),
    ],
)
def test_a_conflict_is_told_with_what_to_do(changes, message):
    with pytest.raises(RecipeError, match=message):
        parse(tables(*changes))


def test_all_mistakes_are_told_at_once_with_the_places_in_lists():
    raw = tables(
        'arms=[{norms=["none"]}, {norms=["bacth", {name="group", grups=2}], learning_rate=[1]}]',
        "landscape={every=0}",
        "lottery={levels=1}",
    )
    with pytest.raises(RecipeError) as caught:
        parse(raw, source="bad.toml")
    first, *lines = str(caught.value).splitlines()
    told = dict(line.strip().split(": ", maxsplit=1) for line in lines)
    assert first == "bad.toml has 5 mistakes:"
    assert "Did you mean `batch`?" in told["arms[1].norms[0].name"]
    assert "Did you mean `groups`?" in told["arms[1].norms[1].grups"]
    assert "Did you mean `learning_rates`?" in told["arms[1].learning_rate"]
    assert {"landscape.every", "lottery"} <= told.keys()


def test_the_names_of_the_schema_are_those_of_the_catalog_and_the_zoo():
    from tfticket.models import MODELS

    assert set(get_args(NormName)) == set(NORMS)
    other_tasks = {"mlp", "unet"}  # regression, segmentation
    names = set(get_args(Network.model_fields["name"].annotation))
    assert names | other_tasks == set(MODELS)
    assert not names & other_tasks


def test_a_resolved_recipe_parses_to_the_same_one():
    given = recipe(
        'arms=[{norms=["none", {name="group", groups=2}], learning_rates=[0.1, 0.5]}]',
        "landscape={every=2, multipliers={spacing='log'}}",
        "shift={every=2}",
    )
    resolved = json.loads(json.dumps(parsing.resolve(given)))
    assert parse(resolved) == given


def test_a_recipe_without_noise_resolves_as_before_there_was_any():
    resolved = parsing.resolve(recipe())
    assert not {"noise", "last"} & resolved.keys()
    card = json.loads((SAVED / "norms_tickets/card.json").read_text(encoding="utf-8"))
    published = parsing.load(SAVED.parent / "recipes/norms_tickets.toml")
    assert parsing.sha256(parsing.resolve(published)) == card["recipe_sha256"]


def test_a_resolved_recipe_with_noise_parses_to_the_same_one():
    given = recipe("noise={kind='symmetric', rate=0.4}", "last=1")
    resolved = json.loads(json.dumps(parsing.resolve(given)))
    assert resolved["noise"]["rate"] == 0.4
    assert resolved["last"] == 1
    assert parse(resolved) == given


def test_an_unknown_kind_is_told_with_all_kinds():
    with pytest.raises(RecipeError, match=r'kind: must be one of lottery, norms.*"norm"'):
        parse(tables("kind=norm"))
    without = tables()
    del without["kind"]
    with pytest.raises(RecipeError, match=r"has a mistake:\n  kind: must be given: one of"):
        parse(without)
