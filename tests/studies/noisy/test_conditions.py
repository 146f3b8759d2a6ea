import json

import pytest
from tiny_noisy import SELECTION, recipe

from tfticket.recipe.parsing import parse, resolve
from tfticket.studies.noisy.schema import conditions, iterations

pytestmark = pytest.mark.slow

NOISE = "noise=[{kind='none'}, {kind='pair', rate=0.4}]"


def branches(*changes):
    return [cell.branch for cell in conditions(recipe(*changes))]


def test_a_branch_is_called_after_what_varies():
    assert branches() == ["cross_entropy"]
    assert branches(NOISE) == ["none-cross_entropy", "pair0.4-cross_entropy"]
    labeled = "methods=['gce', {name='gce', label='gce-0.3', q=0.3}]"
    assert branches(labeled) == ["gce", "gce-0.3"]


def test_held_out_predictions_train_no_network_of_their_own():
    cells = conditions(recipe("methods=['held_out', 'gce']", SELECTION))
    assert [cell.steps for cell in cells] == [0, 20]
    assert cells[1].to_dict() == {
        "branch": "gce",
        "noise": "symmetric0.3",
        "noise_kind": "symmetric",
        "nominal_rate": 0.3,
        "method": "gce",
        "method_kind": "gce",
        "steps": 20,
    }


def test_one_iteration_is_enough_for_an_estimate():
    assert iterations(recipe("methods=['coteaching']", SELECTION)) == 1
    assert iterations(recipe("methods=['coteaching', 'incv']", SELECTION)) == 2


def test_a_resolved_recipe_parses_to_the_same_one():
    given = recipe("methods=['gce', {name='incv', warmup=1}]", SELECTION, NOISE)
    assert parse(json.loads(json.dumps(resolve(given)))) == given
