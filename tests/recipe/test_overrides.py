import pytest

from tfticket.errors import RecipeError
from tfticket.recipe.overrides import Override, apply, fingerprint, merge, parse_override


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("train.steps=2_000", ("train", "steps"), 2000),
        ("train.learning_rate = 1e-3", ("train", "learning_rate"), 1e-3),
        ("controls.reinit=true", ("controls", "reinit"), True),
        ("seeds=[0, 1]", ("seeds",), [0, 1]),
        ("lottery.score=movement", ("lottery", "score"), "movement"),
        ("lottery.score='movement'", ("lottery", "score"), "movement"),
        ("data.name=folder:/data/a=b", ("data", "name"), "folder:/data/a=b"),
        ("data.name=tfds:eurosat/rgb:2.0.0", ("data", "name"), "tfds:eurosat/rgb:2.0.0"),
        ('lottery.rates."block1/*"=0.1', ("lottery", "rates", "block1/*"), 0.1),
        ("train.optimizer={name = 'adam'}", ("train", "optimizer"), {"name": "adam"}),
    ],
)
def test_a_change_is_read_by_the_rules_of_toml(text, key, value):
    assert parse_override(text) == Override(key, value)


@pytest.mark.parametrize(
    "text", ["", "train.steps", "=3", "train.steps=", "a b=1", "a..b=1", "a=1\nb=2", "a\nb=2"]
)
def test_what_is_no_change_is_refused(text):
    with pytest.raises(RecipeError, match="Received"):
        parse_override(text)


@pytest.mark.parametrize("value", ["[1, 2", "{a = 1", '"open', "'open"])
def test_what_begins_like_toml_must_be_toml(value):
    with pytest.raises(RecipeError, match="valid TOML"):
        parse_override(f"key={value}")


def test_a_change_replaces_a_value_and_leaves_the_original_alone():
    raw = {"train": {"steps": 1, "optimizer": {"name": "sgd", "momentum": 0.9}}}
    changed = apply(raw, [parse_override("train.optimizer={name='adam'}")])
    assert changed == {"train": {"steps": 1, "optimizer": {"name": "adam"}}}
    assert raw["train"]["optimizer"]["name"] == "sgd"


def test_a_change_makes_the_tables_that_it_needs():
    assert apply({}, [parse_override("a.b.c=1")]) == {"a": {"b": {"c": 1}}}


def test_a_change_below_a_value_is_refused():
    with pytest.raises(RecipeError, match=r"`train.steps` is not a table. Received there: 3"):
        apply({"train": {"steps": 3}}, [parse_override("train.steps.most=1")])


def test_merging_goes_into_tables_and_replaces_the_rest():
    raw = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merge(raw, {"a": {"c": [3]}, "d": {"e": 2}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 2}}
    assert raw == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_the_fingerprint_is_of_the_set_of_changes():
    one, two = parse_override("a=1"), parse_override("b=2")
    assert fingerprint([one, two]) == fingerprint([two, one])
    assert len({fingerprint([one]), fingerprint([two]), fingerprint([one, two])}) == 3
    assert len(fingerprint([one])) == 8
