import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_edge
import tiny_noisy
import tiny_norms
import tiny_recipe

from tfticket.errors import ModelError, RecipeError, RunError
from tfticket.recipe.parsing import resolve
from tfticket.runner import Processes, runner
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.state import Snapshot
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.training import placed_model, search_tickets

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[2] / "support"
SMALL = (
    "data.limit=200",
    "data.validation=200",
    "data.batch_size=32",
    "model={name='lenet_300_100', width=0.1}",
    "train.steps=20",
    "train.evaluate_every=10",
    "train.jit=false",
    "lottery.levels=1",
    "lottery.rewind_step=10",
    "seeds=[0]",
)
MIRRORED = (*SMALL, "train.distribute=mirrored")

# Processors are divided before anything else asks for them, so in a process of its own.
SEARCH = f"""
import json, sys
sys.path.insert(0, {str(TESTS)!r})
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tiny_recipe import recipe
from tfticket.errors import ModelError
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.training import search_tickets
from tfticket.studies.lottery.training import placed_model
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
folder, *changes = sys.argv[1:]
made = LotteryStudy.load(recipe(*changes))
print(placed_model(made, 0).distribute_strategy.num_replicas_in_sync)
run = RunDir(folder)
search_tickets(made, run, Silence(), 0)
try:
    placed_model(LotteryStudy.load(recipe(*changes, "data.limit=199")), 0)
except ModelError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """What was printed, and the runs on two devices and on one, that of this process."""
    two, one = (RunDir(tmp_path_factory.mktemp(name)) for name in ("two", "one"))
    command = [sys.executable, "-c", SEARCH, str(two.path), *MIRRORED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    search_tickets(LotteryStudy.load(tiny_recipe.recipe(*SMALL)), one, Silence(), 0)
    return done.stdout.splitlines(), two, one


def test_a_search_on_two_devices_finds_what_one_does(searched):
    said, two, one = searched
    assert said[0] == "2"
    assert two.finished_levels() == one.finished_levels()
    for level in (0, 1):
        ours, theirs = (Snapshot.load(run.final(0, "ticket", level)) for run in (two, one))
        for key, array in theirs.variables.items():
            # Sums are in another order: not the same bits, but the same training.
            np.testing.assert_allclose(ours.variables[key], array, rtol=1e-4, atol=1e-6)
            assert np.array_equal(ours.variables[key] == 0, array == 0)


def test_batches_that_two_devices_can_not_share_are_refused(searched):
    said, *_ = searched
    assert said[1].endswith(
        "Received: validation batches of 199. Change data.batch_size, or the number of examples by "
        "data.validation and data.limit."
    )


def test_there_must_be_two_devices():
    with pytest.raises(ModelError, match=r"two devices or more. Received: .*CPU:0. Leave it out"):
        placed_model(LotteryStudy.load(tiny_recipe.recipe(*MIRRORED)), 0)


def test_networks_on_all_devices_are_trained_one_after_the_other(tmp_path):
    with pytest.raises(RunError, match="'mirrored', and several jobs"):
        runner.run(tiny_recipe.recipe(*MIRRORED), RunDir(tmp_path), executor=Processes(1))


@pytest.mark.parametrize("kind", [tiny_norms, tiny_noisy, tiny_edge])
def test_it_is_for_searches_alone(kind):
    with pytest.raises(RecipeError, match=r"train.distribute: is for recipes of the kind lottery"):
        kind.recipe("train.distribute=mirrored")


@pytest.mark.parametrize("jit", ["true", "measure"])
def test_xla_is_refused(jit):
    with pytest.raises(RecipeError, match=rf"train.distribute: can't be .* jit = {jit}"):
        tiny_recipe.recipe("train.distribute=mirrored", f"train.jit={jit}")


def test_a_recipe_without_it_is_what_it_was_before():
    assert "distribute" not in json.dumps(resolve(tiny_recipe.recipe()))
    assert resolve(tiny_recipe.recipe(*MIRRORED))["train"]["distribute"] == "mirrored"
