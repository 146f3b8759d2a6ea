import os

import keras
import numpy as np
import pytest
from tiny_recipe import recipe

from tfticket.errors import MaskError
from tfticket.lottery.trial import Trial
from tfticket.runs import plan as run_plan
from tfticket.runs.rundir import RunDir
from tfticket.sparsity.mask import Mask
from tfticket.state import prunable_variables
from tfticket.studies.lottery.plan import plan, planned_levels
from tfticket.studies.lottery.search import pruner, schedule
from tfticket.studies.lottery.study import LotteryStudy

pytestmark = pytest.mark.slow

SMALL = (
    "model.width=0.1",
    "data.limit=200",
    "data.validation=60",
    "train.jit=false",
    "train.steps=20",
    "train.evaluate_every=5",
)
NO_STEM = "lottery.skip=['conv/*']"
TRIALS = [
    Trial(0, "ticket", 0, 20),
    Trial(1, "ticket", 5, 20),
    Trial(1, "reinit", 0, 20),
    Trial(2, "ticket", 5, 20),
    Trial(2, "reinit", 0, 20),
]


@pytest.fixture(scope="module")
def data():
    return LotteryStudy.load(recipe(*SMALL)).data


def network():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((7, 7, 1)),
            layers.Conv2D(5, 3, name="conv"),
            layers.Flatten(),
            layers.Dense(13, name="dense"),
            layers.Dense(3, name="output"),
        ]
    )


def pruned_with_random_scores(lottery, model, seed=0):
    """The counts at each level of a search that ends each network with made up weights."""
    rng = np.random.default_rng(seed)
    kernels = prunable_variables(model, lottery.skip)
    shapes = {key: tuple(v.shape) for key, v in kernels.items()}
    levels, mask = schedule(lottery), Mask.ones(shapes)
    counts = [mask.counts()]
    for level in range(1, levels.levels + 1):
        scores = {key: rng.normal(size=shape) for key, shape in shapes.items()}
        mask = pruner(lottery, model).prune(scores, mask, levels.rate(level))
        counts.append(mask.counts())
    return shapes, counts


@pytest.mark.parametrize(
    "changes",
    [
        ["lottery.levels=8"],
        ["lottery.levels=8", "lottery.rates={output=0.1, conv=0.13}"],
        ["lottery.levels=8", "lottery.pruner=erk"],
        ["lottery.levels=5", "lottery.structure=channel", "lottery.rates={conv=0.3}"],
        ["lottery.levels=3", "lottery.structure=n_of_m", "lottery.pattern=[1, 4]", NO_STEM],
        ["lottery.levels=1", "lottery.schedule=one_shot", "lottery.final_sparsity=0.83"],
        ["lottery.levels=5", "lottery.schedule=polynomial", "lottery.final_sparsity=0.9"],
    ],
    ids=["layerwise", "own rates", "erk", "channels", "n of m", "one-shot", "polynomial"],
)
def test_planned_counts_are_those_that_survive(changes):
    lottery, model = recipe(*changes).lottery, network()
    shapes, counts = pruned_with_random_scores(lottery, model)
    planned = planned_levels(schedule(lottery), pruner(lottery, model), shapes)
    assert [level.counts for level in planned] == counts
    assert len(planned) == len(counts)
    assert {level.prunable for level in planned} == {sum(counts[0].values())}
    assert planned[-1].density == sum(counts[-1].values()) / sum(counts[0].values())
    assert all(level.exact for level in planned)


def test_counts_of_blocks_of_several_lengths_are_about_right():
    lottery = recipe("lottery.levels=4", "lottery.structure=block_1x4").lottery
    shapes, counts = pruned_with_random_scores(lottery, network())
    planned = planned_levels(schedule(lottery), pruner(lottery, network()), shapes)
    assert [level.exact for level in planned] == [True, False, False, False, False]
    for level, survivors in zip(planned, counts, strict=True):
        assert level.remaining == pytest.approx(sum(survivors.values()), rel=0.05)


def test_counts_of_channels_that_all_compete_are_about_right():
    # A quarter of 5 and of 13 channels: 4 and 10 are expected, of 18 in all 14 are left.
    lottery = recipe(
        "lottery.levels=1", "lottery.structure=channel", "lottery.pruner=global", "lottery.rate=0.2"
    ).lottery
    model = network()
    shapes = {key: tuple(v.shape) for key, v in prunable_variables(model).items()}
    dense, planned = planned_levels(schedule(lottery), pruner(lottery, model), shapes)
    assert dense.exact
    assert not planned.exact
    assert planned.counts == {
        "conv/kernel": 9 * 4,
        "dense/kernel": 25 * 4 * 10,
        "output/kernel": 10 * 3,
    }


@pytest.mark.parametrize("pruning", ["global", "layerwise"])
def test_a_pattern_that_can_not_be_met_is_told_before_the_run(pruning):
    # 5 inputs are a block of 4 and one alone, which stays: 3 of 5.
    lottery = recipe(
        "lottery.structure=n_of_m",
        "lottery.pattern=[2, 4]",
        "lottery.schedule=polynomial",
        "lottery.final_sparsity=0.5",
        f"lottery.pruner={pruning}",
    ).lottery
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(400, name="dense")])
    with pytest.raises(MaskError, match=r"`dense/kernel` can have is 60\.0000%"):
        planned_levels(schedule(lottery), pruner(lottery, model), {"dense/kernel": (5, 400)})


def test_global_counts_are_what_is_expected_of_each_layer():
    lottery, model = recipe("lottery.levels=8", "lottery.pruner=global").lottery, network()
    shapes, counts = pruned_with_random_scores(lottery, model)
    planned = planned_levels(schedule(lottery), pruner(lottery, model), shapes)
    assert [level.exact for level in planned] == [True] + 8 * [False]
    for level, survivors in zip(planned, counts, strict=True):
        # Rounded once a level, and once a layer: never far from the total.
        assert abs(level.remaining - sum(survivors.values())) <= 4
        for key, count in survivors.items():
            deviation = np.sqrt(np.prod(shapes[key]) * level.density * (1 - level.density))
            assert abs(level.counts[key] - count) <= 4 * deviation + 1


def planned(data, run, *changes, trials=TRIALS, timed=False):
    experiment = LotteryStudy(recipe(*SMALL, *changes), data)
    return plan(experiment, run, trials, experiment.model(0), timed=timed)


def test_a_plan_counts_networks_and_steps(data):
    made = planned(data, RunDir(os.devnull))
    assert made.title == "Tiny"
    assert made.seeds == (0, 1)
    assert made.branches == {"ticket": (0, 1, 2), "reinit": (1, 2)}
    assert {each.steps for each in made.conditions if each.level == 0} == {20}
    assert made.steps_total == made.steps_left == 2 * (20 + 15 + 20 + 15 + 20)
    assert [level.remaining for level in made.levels] == [2320, 1856, 1485]
    assert made.seconds is None
    assert made.structure == "unstructured"
    assert planned(data, RunDir(os.devnull), "lottery.structure=channel").structure == "channel"


def test_what_is_finished_is_not_to_be_done(data, tmp_path):
    run = RunDir(tmp_path)
    for seed, branch, level in ((0, "ticket", 0), (0, "ticket", 1), (1, "reinit", 2)):
        path = run.ticket(seed, branch, level)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"ticket")
    made = planned(data, run)
    assert made.steps_left == made.steps_total - (20 + 15 + 20)


def test_layers_that_stay_dense_are_not_counted(data):
    made = planned(data, RunDir(os.devnull), "lottery.skip=['output/*']")
    assert made.levels[0].remaining == 64 * 30 + 30 * 10


def test_few_steps_are_sooner_made_than_timed(data):
    assert planned(data, RunDir(os.devnull), timed=True).seconds is None


def test_time_is_measured_where_something_is_left_to_do(data, tmp_path, monkeypatch):
    monkeypatch.setattr(run_plan, "_TIMED_STEPS", 100)
    made = planned(data, RunDir(os.devnull), timed=True)
    assert 0 < made.seconds < 60
    run = RunDir(tmp_path)
    for trial in TRIALS:
        for seed in (0, 1):
            path = run.ticket(seed, trial.branch, trial.level)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"ticket")
    done = planned(data, run, timed=True)
    assert (done.steps_left, done.seconds) == (0, None)


def test_timing_takes_few_steps_however_long_a_chunk_is(data):
    experiment = LotteryStudy(recipe(*SMALL, "train.steps=400", "train.evaluate_every=400"), data)
    model = experiment.model(0)
    made = plan(experiment, RunDir(os.devnull), [Trial(0, "ticket", 0, 400)], model, timed=True)
    assert made.seconds > 0
    assert model.optimizer.iterations.numpy() == 2 * 20


def test_the_disk_that_is_needed_grows_with_the_networks(data):
    few = planned(data, RunDir(os.devnull), trials=TRIALS[:1]).size_bytes
    all_of_them = planned(data, RunDir(os.devnull)).size_bytes
    one_seed = planned(data, RunDir(os.devnull), "seeds=[0]").size_bytes
    rest = 2 * one_seed - all_of_them  # what doesn't depend on the number of seeds
    assert few < all_of_them
    # Four states of 2,370 weights at the beginning, and two at each end; 4 bytes each.
    assert few - rest == pytest.approx(2 * 4 * (4 + 2) * 2370, rel=0.02)
