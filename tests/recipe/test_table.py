import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_recipe import recipe, tables

from tfticket.errors import RecipeError
from tfticket.recipe.parsing import parse
from tfticket.recipe.table import nearest_divisor

PIECEWISE = "train.learning_rate={schedule='piecewise', boundaries=%s, values=%s}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["train.evaluate_every=70"],
            r"train.evaluate_every: must divide train.steps = 300.*Try 75",
        ),
        (["lottery.rewind_step=50"], r"and lottery.rewind_step = 50, so .*Received: 100. Try 50"),
        (["lottery.rewind_step=300"], r"lottery.rewind_step: must be below train.steps = 300"),
        (
            ["connectivity={steps=[0, 150]}"],
            r"connectivity.steps: must be multiples.*Received: 150",
        ),
        (["model.file=a.keras"], r"model: must have either `name`.*Received: both"),
        (["model={}"], r"model: must have either `name`.*Received: neither"),
        (["model={file='a.keras', width=2}"], r"model.width: belongs to the networks of the zoo"),
        (["seeds=[3, 3]"], r"seeds: must name each value once"),
        (["controls.levels=[1, 1]"], r"controls.levels: must name each value once"),
        (["controls.levels=[1, 3]"], r"controls.levels: must not go beyond lottery.levels = 2"),
        (["export.levels=[4]"], r"export.levels: must not go beyond.*Received: 4"),
        (
            ["train.optimizer={name='adam', clipnorm=1, global_clipnorm=1}"],
            r"train.optimizer.clipnorm: can't be combined",
        ),
        (["train.optimizer={name='sgd', nesterov=true}"], r"nesterov: needs a `momentum`"),
        (
            ["train.optimizer={name='rmsprop', centered=true, rho=0}"],
            r"centered: needs a `rho` greater than 0",
        ),
        ([PIECEWISE % ([9], [1, 2, 3])], r"values: must have one value more.*3 for 1 boundaries"),
        ([PIECEWISE % ([9, 9], [1, 2, 3])], r"boundaries: must increase. Received: 9, 9"),
        (
            [
                "train.learning_rate={schedule='warmup_piecewise', warmup_steps=10, "
                "boundaries=[9], values=[1, 2]}"
            ],
            r"warmup_steps: must not be after the first boundary",
        ),
        (
            ["train.learning_rate={schedule='cosine', initial=1, decay_steps=9, warmup_steps=9}"],
            r"warmup_steps: must be below `decay_steps`",
        ),
        (["lottery.final_sparsity=0.9"], r"final_sparsity: belongs to the schedules one_shot"),
        (["lottery.schedule=polynomial"], r"final_sparsity: must be given for the schedule poly"),
        (
            ["lottery.schedule=polynomial", "lottery.final_sparsity=0.9", "lottery.rate=0.1"],
            r"lottery.rate: belongs to the iterative schedule",
        ),
        (
            ["lottery.schedule=one_shot", "lottery.final_sparsity=0.9"],
            r"lottery.levels: must be 1 for the schedule one_shot.*Received: 2",
        ),
        (
            ["lottery.pruner=global", "lottery.rates={conv = 0.1}"],
            r"lottery.rates: gives layers their own rates",
        ),
        (
            ["lottery.rewind=none", "lottery.rewind_step=100"],
            r"lottery.rewind_step: must be 0 when rewind = 'none'",
        ),
    ],
)
def test_a_conflict_is_told_with_what_to_do(changes, message):
    with pytest.raises(RecipeError, match=message):
        parse(tables(*changes))


@pytest.mark.parametrize(
    "changes",
    [
        ["lottery.schedule=one_shot", "lottery.final_sparsity=0.9", "lottery.levels=1"],
        ["lottery.schedule=polynomial", "lottery.final_sparsity=0.9"],
        ["lottery.rewind_step=200", "lottery.rewind=learning_rate"],
        ["model={file='a.keras'}"],
        [PIECEWISE % ([100, 200], [1, 2, 3])],
        ["controls={reinit=3, levels=[2]}", "export.levels=[0, 2]"],
        ["connectivity={steps=[0, 100, 200]}"],
    ],
)
def test_what_fits_together_is_accepted(changes):
    assert recipe(*changes).kind == "lottery"


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_suggested_divisor_is_the_nearest(number, of):
    found = nearest_divisor(number, of)
    divisors = [d for d in range(1, of + 1) if of % d == 0]
    assert found in divisors
    assert abs(found - number) == min(abs(d - number) for d in divisors)
