import pytest
from tiny_noisy import SELECTION, recipe, tables

from tfticket.errors import RecipeError
from tfticket.recipe.parsing import parse

pytestmark = pytest.mark.slow

BAD_SCHEDULE = (
    "selection={epochs=6, learning_rate={schedule='piecewise', boundaries=[5], values=[0.1]}}"
)
OPEN_SET = "noise=[{kind='open_set', rate=0.2, foreign='npz:other.npz'}]"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["seeds=[0, 0]"], "seeds: must name each value once"),
        (['methods=["gce", "gce"]'], "methods: must name each training once. Received twice: gce"),
        (["noise=[{kind='pair'}]"], "noise[0].rate: must be greater than 0"),
        (["noise=[{kind='none', rate=0.1}]"], "noise[0].rate: must be greater than 0"),
        (["noise=[{kind='none', exact=true}]"], "noise[0].exact: isn't for 'none'"),
        (["noise=[{kind='pair', rate=40}]"], "noise[0].rate: must be a share in [0, 1]"),
        (["methods=[{name='gce', agreement=0.5}]"], "agreement: isn't an option of gce"),
        (["methods=[{name='coteaching', matrix='given'}]", SELECTION], "matrix: isn't an option"),
        (["methods=[{name='gce', batch='reduced'}]"], "batch: isn't an option of gce"),
        (["methods=[{name='gce', mixup=1.0}]"], "mixup: isn't an option of gce"),
        (["methods=[{name='early_learning', q=0.5}]"], "q: isn't an option of early_learning"),
        (
            ["methods=[{name='decoupling', batch='reduced'}]", "train.jit=true"],
            'methods[0].batch: can\'t be "reduced" where train.jit is true',
        ),
        (["methods=['coteaching']"], "selection: must say how examples are held out"),
        (
            ["methods=['incv']", "selection={epochs=6, q=0}"],
            "selection.q: must be a number above 0",
        ),
        ([SELECTION], "selection: is of use only where a method asks for it"),
        (["methods=['incv', 'held_out']", SELECTION], "methods: can't hold both"),
        (["train.evaluate_every=7"], "train.evaluate_every: must divide train.steps = 20"),
        (
            ["noise=[{kind='open_set', rate=0.2, foreign='digits'}]"],
            "noise[0].foreign: must be another data set than data.name",
        ),
        (
            ["methods=['held_out']", SELECTION, OPEN_SET],
            "methods: can't hold held_out beside a noise of the kind open_set",
        ),
        (
            ["methods=['incv']", BAD_SCHEDULE],
            "selection.learning_rate.values: must have one value more",
        ),
        (["last=3"], "last: must not be more than the 2 evaluations"),
        (["methods=[{name='decoupling', warmup=3}]"], "methods[0].warmup: must not be longer"),
        (["data.name=linear"], "data.name: must have classes"),
        (["train.label_smoothing=0.1"], "train.label_smoothing: isn't for this kind"),
        (
            ["expect=[{claim='c', method='jocor'}]"],
            "expect[0].method: must be one of cross_entropy",
        ),
        (
            ["expect=[{claim='c', method='cross_entropy', noise='pair0.4'}]"],
            "expect[0].noise: must be one of symmetric0.3",
        ),
    ],
)
def test_what_does_not_fit_together(changes, message):
    with pytest.raises(RecipeError) as caught:
        parse(tables(*changes))
    (mistake,) = str(caught.value).splitlines()[1:]
    assert message in mistake


def test_methods_that_are_told_the_noise_need_no_selection():
    made = recipe(
        "methods=[{name='coteaching', forget_rate='given'}, {name='jocor', forget_rate=0.2}, "
        "{name='forward', matrix='given'}, 'gce', 'decoupling']"
    )
    assert [method.needs_selection for method in made.methods] == [False] * 5


def test_all_mistakes_are_told_at_once():
    with pytest.raises(RecipeError, match="3 mistakes"):
        parse(tables("last=3", "seeds=[0, 0]", "methods=['coteaching']"))


def test_how_batches_are_gone_through_is_left_out_where_it_is_as_in_the_papers():
    whole, reduced = recipe(
        "methods=['decoupling', {name='decoupling', label='other', batch='reduced'}]"
    ).methods
    assert "batch" not in whole.model_dump()
    assert reduced.model_dump()["batch"] == "reduced"
