import math
from typing import get_args

import pytest
from estimates import estimate

from tfticket.display import words
from tfticket.display.words import MINUS, THIN
from tfticket.studies.norms import names


def test_every_norm_of_a_recipe_has_a_name():
    from tfticket.studies.norms.conditions import NormName

    assert set(names.NORMS) == set(get_args(NormName))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0412, "0.0412"),
        (0.2, "0.2"),
        (19.97, "20"),
        (99999.0, f"99{THIN}999"),
        (1.5, "1.5"),
        (-2.25, f"{MINUS}2.25"),
        (1234.4, f"1{THIN}234"),
        (1.3e9, "1.3·10⁹"),
        (-4.2e-7, f"{MINUS}4.2·10⁻⁷"),
        (math.inf, "—"),
        (math.nan, "—"),
    ],
)
def test_quantities_of_any_size(value, text):
    assert names.quantity(value) == text


def test_options_are_part_of_a_name():
    assert names.label("group", {}) == "group"
    label = names.label("group", {"channels_per_group": 4, "epsilon": 1e-5})
    assert label == "group (channels per group 4, epsilon 1e-05)"
    assert names.norm(label).startswith("group norm (channels")
    assert names.norm("ws_group") == "group norm with standardized weights"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "over all of training"),
        (0.667, "over the first two thirds of training"),
        (0.5, "over the first half of training"),
        (0.42, f"over the first 42{THIN}% of training"),
    ],
)
def test_parts_of_training(share, text):
    assert names.during(share) == text


def test_ratios_have_a_size_and_bounds():
    assert names.times(5.12) == names.times(1 / 5.12) == "5.1 times"
    ratio = estimate(0.25, 0.5, 0.8)
    assert names.bounds(ratio) == "0.25 to 0.80"
    assert names.bounds(ratio, inverse=True) == "1.25 to 4.0"
    assert names.bounds(estimate(1e-5, 1, 2e7)) == "10⁻⁵ to 2·10⁷"


def test_lists():
    assert [words.listed(items) for items in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a", "a and b", "a, b and c",
    ]  # fmt: skip
