import json

import pytest

from tfticket.studies.lottery.facts import MEANINGS, facts, structure
from tfticket.studies.lottery.summary import summarize

pytestmark = pytest.mark.slow

THIN = "\N{NARROW NO-BREAK SPACE}"


def facts_of(path):
    return dict(facts(summarize(path)))


def test_the_facts_of_a_run(run):
    found = facts_of(run)
    assert found["Recipe"] == "lth_synthetic (default)"
    assert found["Data"].startswith(f"mnist, 55{THIN}000 train, 5{THIN}000 validation")
    assert found["Data"].endswith("looking at the page only")
    assert found["Network"] == f"lenet_300_100, 2{THIN}720 prunable weights"
    assert found["Training"] == f"8{THIN}000 iterations a level, batches of 60, adam at 0.0012"
    assert found["Pruning"].startswith(
        f"layerwise magnitude, 20{THIN}% a level (output 10{THIN}%), 6 levels, rewound"
    )
    assert found["Seeds"] == "0 to 2"
    # 3 seeds with 7 tickets and 2 controls at 6 levels, 90 s each.
    assert found["Time"].startswith(f"86{THIN}min of training, begun 2026-03-01 09:30")
    assert found["Machine"].startswith("x86_64, 2 CPUs")
    assert "keras 3.15.1" in found["Versions"]
    assert found["Commit"] == "0123456789ab"


def test_what_is_not_known_is_left_out(tmp_path):
    (tmp_path / "recipe.json").write_text("{}")
    assert list(facts_of(tmp_path)) == ["Recipe"]


def test_schedules_and_variants_are_told(tmp_path):
    recipe = {
        "model": {"name": "resnet20", "norm": "group", "width": 0.5},
        "train": {
            "steps": 100,
            "optimizer": {"name": "sgd"},
            "learning_rate": {"schedule": "piecewise", "boundaries": [50], "values": [0.1, 0.01]},
        },
        "lottery": {"levels": 1, "rewind": "none"},
    }
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    found = facts_of(tmp_path)
    assert found["Network"].endswith("group normalization")
    assert "width 0.50" in found["Network"]
    assert found["Training"].endswith("sgd at piecewise from 0.1")
    assert "no rewinding" in found["Pruning"]
    assert "1 level," in found["Pruning"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, "layerwise magnitude, 1 level"),
        ({"structure": "block_1x4"}, "layerwise magnitude, blocks of 4 inputs, 1 level"),
        ({"structure": "channel"}, "layerwise magnitude, whole channels, 1 level"),
        (
            {"structure": "n_of_m", "pattern": [2, 4]},
            "layerwise magnitude, at least 2 of 4 inputs kept, 1 level",
        ),
    ],
)
def test_the_structure_of_tickets_is_told(tmp_path, table, told):
    lottery = {"levels": 1, "pruner": "layerwise", "score": "magnitude", **table}
    (tmp_path / "recipe.json").write_text(json.dumps({"lottery": lottery}))
    assert facts_of(tmp_path)["Pruning"].startswith(told)


def test_every_structure_of_a_recipe_has_words():
    from typing import get_args

    from tfticket.studies.lottery.schema import Lottery

    names = get_args(Lottery.model_fields["structure"].annotation)
    told = {name: structure({"structure": name, "pattern": [1, 2]}) for name in names}
    assert [name for name, words in told.items() if not words] == ["unstructured"]


def test_every_control_of_a_recipe_is_explained():
    from tfticket.studies.lottery.schema import Controls

    assert set(MEANINGS) == set(Controls.model_fields) - {"levels"}
