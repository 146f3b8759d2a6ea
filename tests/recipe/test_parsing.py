import json

import pytest
from tiny_recipe import TOML, recipe, tables

from tfticket.errors import RecipeError
from tfticket.recipe import parsing
from tfticket.recipe.overrides import Override, parse_override
from tfticket.studies.lottery.schema import LotteryRecipe


def write(folder, text, name="tiny.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def mistakes_of(raw):
    """Dotted key to message, of every mistake."""
    with pytest.raises(RecipeError) as caught:
        parsing.parse(raw, source="bad.toml")
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("bad.toml has ")
    return dict(line.strip().split(": ", maxsplit=1) for line in lines)


def test_resolving_fills_every_default():
    resolved = parsing.resolve(recipe())
    assert resolved["lottery"]["rate"] == 0.2
    assert resolved["verdict"] == {"margin": 0.002, "confidence": 0.95}
    assert resolved["train"]["optimizer"]["nesterov"] is False
    assert resolved.keys() == LotteryRecipe.model_fields.keys() - {"smoke"}


def test_a_resolved_recipe_parses_to_the_same_one():
    given = recipe("controls.reinit=3", "lottery.rates={output = 0.1}", "train.jit=true")
    through_json = json.loads(json.dumps(parsing.resolve(given)))
    assert parsing.parse(through_json) == given
    assert parsing.diff(parsing.resolve(given), through_json) == []


def test_a_recipe_takes_its_name_from_the_file_unless_it_has_one(tmp_path):
    assert parsing.load(write(tmp_path, TOML)).name == "tiny"
    assert parsing.load(write(tmp_path, 'name = "other"\n' + TOML)).name == "other"


def test_a_file_name_that_is_no_folder_name_is_a_mistake(tmp_path):
    with pytest.raises(RecipeError, match="letters, digits"):
        parsing.load(write(tmp_path, TOML, "my recipe.toml"))


def test_bounds_of_expectations_are_written_where_they_are_given():
    claim = {"claim": "it wins", "measure": "gain"}
    given = {**tables(), "expect": [claim | {"value": 0.003}, claim | {"at_least": 0.0}]}
    noted, bounded = parsing.resolve(parsing.parse(given))["expect"]
    assert "at_least" not in noted
    assert (bounded["at_least"], bounded["value"], "at_most" in bounded) == (0.0, None, False)


def test_all_mistakes_are_told_at_once():
    raw = tables(
        "train.stepps=10",
        "train.rewind_step=5",
        "train.optimizer.name=sdg",
        "train.evaluate_every=0",
        "train.jit=1",
        "data.name=mnits",
        "lottery.rates={conv = 20}",
        "lottery.pruner=globl",
        "paper=1803.03635",
        "seeds=[1, 1]",
        "export=3",
        "expect=[{claim = 'a', measure = 'speedup'}]",
    )
    del raw["title"]
    assert mistakes_of(raw) == {
        "title": "must be given: a text that isn't empty.",
        "paper": "must be like arXiv:1803.03635. Received: 1803.03635.",
        "data.name": "must be one of digits, mnist1d, mnist, fashion_mnist, cifar10, cifar100, "
        "linear, friedman1, shapes, tfds:NAME, folder:PATH, npz:PATH, csv:PATH, parquet:PATH. "
        'Received: "mnits".',
        "train.optimizer.name": 'must be one of sgd, adam, adamw, rmsprop. Received: "sdg". '
        "Did you mean `sgd`?",
        "train.evaluate_every": "must be a whole number of at least 1. Received: 0.",
        "train.jit": 'must be true, false, "auto" (dense networks only) or "measure". Received: 1.',
        "train.stepps": "is not a known key. Did you mean `steps`? Allowed: optimizer, "
        "learning_rate, steps, evaluate_every, label_smoothing, mixed_precision, jit, distribute, "
        "loss.",
        "train.rewind_step": "is not a known key. It belongs to [lottery]. Allowed: optimizer, "
        "learning_rate, steps, evaluate_every, label_smoothing, mixed_precision, jit, distribute, "
        "loss.",
        "lottery.pruner": 'must be one of global, layerwise, erk. Received: "globl". '
        "Did you mean `global`?",
        "lottery.rates.conv": "must be a share of at least 0 and below 1, not a percentage. "
        "Received: 20.",
        "export": "must be a table. Received: 3.",
        "expect[0]": "must have a `value`, the paper's, or a bound: at_least, at_most.",
    }


def test_a_recipe_without_anything_names_what_it_needs():
    assert set(mistakes_of({})) == {"kind", "title", "data", "model", "train", "lottery"}


@pytest.mark.parametrize(
    ("change", "key", "received"),
    [
        ("train.steps=true", "train.steps", "true"),
        ("train.steps='300'", "train.steps", '"300"'),
        ("train.steps=300.0", "train.steps", "300.0"),
        ("train.learning_rate=nan", "train.learning_rate", "NaN"),
        ("train.learning_rate=fast", "train.learning_rate", '"fast"'),
        ("train.optimizer=adam", "train.optimizer", '"adam"'),
        ("data.validation=1.5", "data.validation", "1.5"),
        ("data.validation=0", "data.validation", "0"),
        ("data=digits", "data", '"digits"'),
        ("seeds=[]", "seeds", "[]"),
        ("seeds=[0, -1]", "seeds[1]", "-1"),
        ("lottery.rate=20", "lottery.rate", "20"),
        ("controls.levels=[0]", "controls.levels[0]", "0"),
        ("export.formats=['fp8']", "export.formats[0]", '"fp8"'),
        ("model.file=model.h5", "model.file", '"model.h5"'),
        ("smoke=quick", "smoke", '"quick"'),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_what_it_was(change, key, received):
    told = mistakes_of(tables(change))
    assert list(told) == [key]
    assert told[key].startswith("must be ")
    assert f"Received: {received}." in told[key]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("train.optimizer={}", "train.optimizer.name"),
        ("train.learning_rate={}", "train.learning_rate.schedule"),
        ("train.learning_rate={schedule = 'cosin'}", "train.learning_rate.schedule"),
        (
            "train.learning_rate={schedule = 'cosine', initial = 1}",
            "train.learning_rate.decay_steps",
        ),
        ("connectivity={}", "connectivity.steps"),
    ],
)
def test_a_table_says_what_it_lacks(change, key):
    assert list(mistakes_of(tables(change))) == [key]


def test_conflicts_inside_a_table_are_told_beside_wrong_values_of_others():
    told = mistakes_of(tables("lottery.final_sparsity=0.5", "model.width=wide", "train.foo=1"))
    assert set(told) == {"lottery.final_sparsity", "model.width", "train.foo"}


def test_conflicts_between_tables_are_told_when_all_tables_are_right():
    changes = ["train.evaluate_every=70", "seeds=[1, 1]"]
    assert set(mistakes_of(tables(*changes, "model.width=wide"))) == {"model.width"}
    assert set(mistakes_of(tables(*changes))) == {"train.evaluate_every", "seeds"}


def test_no_conflict_is_told_of_a_key_that_is_wrong_itself():
    told = mistakes_of(tables("train.evaluate_every=70", "train.steps=many"))
    assert set(told) == {"train.steps"}


def test_the_smoke_form_is_checked_too(tmp_path):
    path = write(tmp_path, TOML + "[smoke]\ntrain.steps = 25\nlotery.levels = 1\n")
    with pytest.raises(RecipeError, match=r"with \[smoke\], lotery: is not a known key"):
        parsing.load(path)
    path = write(tmp_path, TOML + "[smoke]\ntrain.steps = 25\n")
    with pytest.raises(RecipeError) as caught:
        parsing.load(path)
    assert "with [smoke], train.evaluate_every: must divide train.steps = 25" in str(caught.value)


def test_smoke_then_set_then_seeds(tmp_path):
    path = write(tmp_path, TOML + "[smoke]\ntrain.steps = 100\nlottery.levels = 1\nseeds = [5]\n")
    assert parsing.load(path).train.steps == 300
    smoke = parsing.load(path, smoke=True)
    assert (smoke.train.steps, smoke.lottery.levels, smoke.seeds) == (100, 1, (5,))
    changed = parsing.load(
        path, smoke=True, overrides=[parse_override("train.steps=200")], seeds=[7]
    )
    assert (changed.train.steps, changed.lottery.levels, changed.seeds) == (200, 1, (7,))
    assert changed.smoke == {}


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ("train.steps=1_000_000_001", "train.steps", "must be at most 1,000,000,000."),
        ("train.steps=10000000000000000", "train.steps", "must be at most 1,000,000,000."),
        ("lottery.levels=1_001", "lottery.levels", "must be at most 1,000."),
        ("controls.reinit=1_001", "controls.reinit", "must be true, false, or how many"),
        ("seeds=[9_223_372_036_854_775_808]", "seeds[0]", "must be below 9,223,372,036,854,775,80"),
        ("model.width=1e300", "model.width", "must be a number greater than 0 and at most 100"),
        (f"seeds={list(range(1_001))}", "seeds", "must have at most 1,000 items."),
    ],
)
def test_what_nobody_could_wait_for_is_a_mistake(change, key, message):
    assert mistakes_of(tables(change))[key].startswith(message)


def test_the_largest_counts_are_none():
    given = recipe("train.steps=1_000_000_000", "lottery.levels=1_000", "seeds=[9_000_000_000]")
    assert given.train.steps == 10**9


def test_a_long_list_of_mistakes_is_cut_off():
    raw = {**tables(), **{f"unknown_{number}": 1 for number in range(100)}}
    with pytest.raises(RecipeError, match="has 100 mistakes") as caught:
        parsing.parse(raw)
    assert str(caught.value).endswith("and 60 more")


def test_an_item_of_a_list_is_told_what_it_may_be():
    assert mistakes_of(tables("export.formats=['fp3', 1]"))["export.formats[1]"].startswith(
        "must be one of fp32, fp16, dynamic"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"kind = " + b"[" * 5000, "nested more than 100 levels deep"),
        (b"seeds = [" + b"9" * 5000 + b"]", "a whole number of more than 64 bits"),
        (b"a." * 5000 + b"b = 1", "a key has more than 100 parts"),
        (b"# \xe4", "isn't UTF-8 text"),
    ],
)
def test_files_beyond_the_limits_are_told_of_in_a_line(tmp_path, content, message):
    path = tmp_path / "tiny.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=rf"tiny\.toml can't be read: it .*{message}|{message}"):
        parsing.load(path)


@pytest.mark.parametrize(
    "change",
    ["a." * 101 + "b=1", "a=" + "[" * 5000, "a=" + "9" * 5000, "train.steps=\udcff", "a=\ud800"],
)
def test_changes_beyond_the_limits_are_told_of(change):
    with pytest.raises(RecipeError) as caught:
        parse_override(change)
    assert len(str(caught.value)) < 500


def test_changes_that_only_together_are_nested_deeply():
    inner = parse_override("title=" + "[" * 60 + "]" * 60)
    raw = parsing.apply(tables(), [Override(("smoke",) * 60, inner.value)])
    with pytest.raises(RecipeError, match="nested more than 100 levels deep"):
        parsing.parse(raw)


def test_what_is_not_toml_names_file_and_line(tmp_path):
    with pytest.raises(RecipeError, match=r"tiny\.toml can't be read: it isn't TOML.*line 1"):
        parsing.load(write(tmp_path, "kind lottery"))


def test_what_is_not_text_is_an_error_of_the_recipe(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="can't be read"):
        parsing.load(path)


def test_a_recipe_is_frozen():
    given = recipe()
    with pytest.raises(ValueError, match="frozen"):
        given.train.steps = 1


def test_the_difference_of_two_recipes_names_the_keys():
    old = parsing.resolve(recipe())
    new = parsing.resolve(recipe("train.steps=400", "connectivity={steps=[0]}"))
    assert parsing.diff(old, new) == [
        "train.steps: 300 -> 400",
        "connectivity: null -> (absent)",
        "connectivity.steps: (absent) -> [0]",
        "connectivity.pairs: (absent) -> 1",
        "connectivity.points: (absent) -> 30",
    ]


def test_the_hash_of_a_recipe_is_that_of_its_content():
    resolved = parsing.resolve(recipe())
    assert parsing.sha256(dict(reversed(resolved.items()))) == parsing.sha256(resolved)
    assert parsing.sha256({**resolved, "title": "Other"}) != parsing.sha256(resolved)
