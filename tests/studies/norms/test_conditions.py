import pytest
from tiny_norms import recipe

from tfticket.recipe.training import Cosine, Linear, Piecewise, WarmupPiecewise, largest, scaled
from tfticket.studies.norms.conditions import conditions

pytestmark = pytest.mark.slow


def branches(*changes):
    return [cell.branch for cell in conditions(recipe(*changes))]


@pytest.mark.parametrize(
    ("arms", "names"),
    [
        ('{norms=["none", "batch"]}', ["none", "batch"]),
        ('{norms=["batch"], learning_rates=[0.1, 1e-6]}', ["batch-lr0.1", "batch-lr1e-06"]),
        ('{norms=["batch"], batch_sizes=[8, 16]}', ["batch-b8", "batch-b16"]),
        (
            '{norms=["batch"], batch_sizes=[8, 16], learning_rate_rule="linear"}',
            ["batch-b8", "batch-b16"],
        ),
        (
            '{norms=["group", {name="group", channels_per_group=2}]}',
            ["group", "group-channels_per_group2"],
        ),
        (
            '{norms=["batch"], learning_rates=[0.5]}, {norms=["group"], batch_sizes=[8]}',
            ["batch-lr0.5-b16", "group-lr0.1-b8"],
        ),
    ],
)
def test_a_branch_is_called_after_its_norm_and_what_varies(arms, names):
    assert branches(f"arms=[{arms}]") == names


def test_subnetworks_are_told_apart():
    arm = 'arms=[{norms=["batch"], subnetworks=["dense", "ticket", "random"]}]'
    assert branches(arm, "tickets={levels=1}") == ["batch-dense", "batch-ticket", "batch-random"]


def test_the_linear_rule_shows_each_network_the_same_examples_at_the_same_rate_an_example():
    arm = 'arms=[{norms=["batch"], batch_sizes=[32, 16, 4], learning_rate_rule="linear"}]'
    planned = conditions(recipe(arm))
    assert {cell.steps * cell.batch_size for cell in planned} == {4 * 16}
    assert [cell.learning_rate for cell in planned] == pytest.approx([0.2, 0.1, 0.025])
    assert [cell.interval(2) for cell in planned] == [1, 2, 8]


def test_without_the_rule_only_the_batch_changes():
    (small,) = conditions(recipe('arms=[{norms=["batch"], batch_sizes=[4], steps=2}]'))
    assert (small.steps, small.learning_rate, small.interval(2)) == (2, 0.1, 2)


def test_an_arm_keeps_to_the_seeds_of_the_recipe():
    arms = 'arms=[{norms=["none"]}, {norms=["batch"], seeds=[1, 5]}]'
    assert [cell.seeds for cell in conditions(recipe("seeds=[0, 1]", arms))] == [(0, 1), (1,)]


def test_a_schedule_is_stretched_with_the_training():
    linear = scaled(Linear(initial=0.4, decay_steps=100, constant_steps=10), 4.0)
    assert linear == Linear(initial=0.1, decay_steps=400, constant_steps=40)
    assert largest(linear) == 0.1
    cosine = scaled(Cosine(initial=0.4, decay_steps=100, warmup_steps=10), 4.0)
    assert (cosine.initial, cosine.decay_steps, cosine.warmup_steps) == (0.1, 400, 40)
    steps = scaled(Piecewise(boundaries=(10, 20), values=(0.4, 0.2, 0.1)), 0.5)
    assert (steps.boundaries, steps.values) == ((5, 10), (0.8, 0.4, 0.2))
    warm = scaled(WarmupPiecewise(warmup_steps=6, boundaries=(10,), values=(1.0, 0.5)), 2.0)
    assert (warm.warmup_steps, warm.boundaries, warm.values) == (12, (20,), (0.5, 0.25))


def test_a_cell_says_what_it_is():
    (cell,) = conditions(recipe('arms=[{norms=[{name="group", groups=2}], steps=2}]'))
    assert cell.to_dict() == {
        "branch": "group-groups2",
        "norm": "group",
        "options": {"groups": 2},
        "learning_rate": 0.1,
        "batch_size": 16,
        "subnetwork": "dense",
        "steps": 2,
        "seeds": [0],
    }
