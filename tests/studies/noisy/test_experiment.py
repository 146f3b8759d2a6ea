import json
from pathlib import Path

import numpy as np
import pytest
from tiny_noisy import SELECTION, recipe

from tfticket.recipe import parsing
from tfticket.recipe.noise import Noise
from tfticket.studies.noisy.study import NoisyStudy

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SYMMETRIC = Noise(kind="symmetric", rate=0.3, exact=True)


@pytest.fixture(scope="module")
def experiment():
    return NoisyStudy.load(recipe("methods=['incv']", SELECTION))


def test_wrong_labels_belong_to_the_seed(experiment):
    one, same, other = (experiment.corruption(seed, SYMMETRIC).given for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()
    assert experiment.corruption(0, SYMMETRIC).realized_rate == pytest.approx(0.3)
    np.testing.assert_array_equal(experiment.corruption(0, SYMMETRIC).true, experiment.data.train.y)


def test_validation_labels_are_wrong_too_and_test_labels_never(experiment):
    labels = np.concatenate([y for _, y in experiment.validation(0, SYMMETRIC)])
    assert (labels != experiment.data.validation.y).sum() == 12
    test = np.concatenate([y for _, y in experiment.test()])
    np.testing.assert_array_equal(test, experiment.data.test.y)


def test_a_batch_has_both_labels_of_its_examples(experiment):
    corruption = experiment.corruption(0, SYMMETRIC)
    ids = np.arange(0, 200, 4)
    feed = experiment.feed(0, SYMMETRIC, corruption, ids)
    order = feed.indices(0, 1)[0]
    x, labels = next(iter(feed.dataset()))
    np.testing.assert_array_equal(labels["given"], corruption.given[ids][order])
    np.testing.assert_array_equal(labels["true"], corruption.true[ids][order])
    np.testing.assert_allclose(x, experiment.inputs(0, SYMMETRIC)[ids][order], rtol=1e-6)


def test_networks_of_a_seed_differ_by_name(experiment):
    kernels = [
        experiment.model(0, name).get_layer("dense1").kernel.numpy()
        for name in ("first", "first", "second")
    ]
    assert (kernels[0] == kernels[1]).all()
    assert (kernels[0] != kernels[2]).any()


def test_networks_that_look_at_labels_may_have_a_schedule_of_their_own(experiment):
    assert float(experiment.incv(0).build(0).optimizer.learning_rate) == pytest.approx(0.1)
    own = 'selection={epochs=6, learning_rate={schedule="linear", initial=0.2, decay_steps=9}}'
    given = NoisyStudy.load(recipe("methods=['incv']", own))
    assert float(given.incv(0).build(0).optimizer.learning_rate) == pytest.approx(0.2)


def test_networks_that_look_at_labels_may_have_a_loss_of_their_own(experiment):
    assert type(experiment.incv(0).build(0).loss).__name__ == "SparseCategoricalCrossentropy"
    given = NoisyStudy.load(recipe("methods=['incv']", "selection={epochs=6, q=0.5}"))
    assert given.incv(0).build(0).loss.get_config()["q"] == 0.5


@pytest.mark.parametrize("name", ["coteaching_mnist", "incv_mnist", "noise_theory"])
def test_a_recipe_without_that_choice_resolves_as_before_there_was_any(name):
    card = json.loads((ROOT / f"saved_models/{name}/card.json").read_text(encoding="utf-8"))
    resolved = parsing.resolve(parsing.load(ROOT / f"recipes/{name}.toml"))
    assert "q" not in resolved["selection"]
    assert parsing.sha256(resolved) == card["recipe_sha256"]


@pytest.mark.parametrize(
    ("kind", "rate"),
    [("none", 0.0), ("symmetric_inclusive", 0.36), ("pair", 0.4), ("cifar10_asymmetric", 0.2)],
)
def test_each_noise_comes_to_its_rate(experiment, kind, rate):
    nominal = {"symmetric_inclusive": 0.4, "cifar10_asymmetric": 0.4}.get(kind, rate)
    made = experiment.corruption(0, Noise(kind=kind, rate=nominal, exact=kind != "none"))
    assert made.realized_rate == pytest.approx(rate, abs=0.02)


def test_noise_may_depend_on_the_example(experiment):
    made = experiment.corruption(0, Noise(kind="instance", rate=0.3))
    assert 0.2 < made.realized_rate < 0.4
