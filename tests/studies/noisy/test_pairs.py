import keras
import numpy as np
import pytest
from tiny_noisy import SELECTION, recipe

from tfticket.noise import ForwardCorrection, GeneralizedCrossentropy, estimate_noise
from tfticket.noise.incv.clean_split import CleanSplit
from tfticket.studies.noisy.schema import conditions
from tfticket.studies.noisy.study import NoisyStudy
from tfticket.studies.noisy.training import make_pair, stages

pytestmark = pytest.mark.slow

METHODS = (
    "methods=['cross_entropy', 'gce', 'coteaching', {name='jocor', forget_rate='given'}, "
    "{name='coteaching', label='told', forget_rate=0.25}, {name='incv', warmup=1}, 'forward', "
    "{name='forward', label='given', matrix='given'}]"
)


@pytest.fixture(scope="module")
def study():
    """An experiment, its cells by branch, its labels, and what sure networks leave of them."""
    experiment = NoisyStudy.load(recipe(METHODS, SELECTION))
    cells = {cell.branch: cell for cell in conditions(experiment.recipe)}
    corruption = experiment.corruption(0, cells["gce"].noise)
    given, true = corruption.given, corruption.true
    probabilities = np.full((len(true), 10), 0.01)
    probabilities[np.arange(len(true)), true] = 0.91
    agrees = given == true
    ids = np.arange(len(true))
    split = CleanSplit(
        clean=ids[agrees],
        candidate=ids[~agrees],
        removed=ids[:0],
        labels=given,
        probabilities=probabilities,
        votes=np.stack([np.ones(len(true), np.int64), agrees], axis=1),
        estimate=estimate_noise(given, probabilities),
    )
    return experiment, cells, corruption, split


def test_the_rate_to_forget_is_given_estimated_or_a_number(study):
    experiment, cells, corruption, split = study
    rates = {
        branch: stages(experiment, cells[branch], corruption, split)[0].forget_rate
        for branch in ("cross_entropy", "coteaching", "jocor", "told")
    }
    assert rates == {
        "cross_entropy": 0.0,
        "coteaching": split.estimate.rate,
        "jocor": corruption.realized_rate,
        "told": 0.25,
    }


def test_incv_trains_on_the_selected_then_with_candidates(study):
    experiment, cells, corruption, split = study
    first, second = stages(experiment, cells["incv"], corruption, split)
    assert (first.epochs, second.epochs) == (1, 1)
    np.testing.assert_array_equal(first.ids, split.clean)
    assert len(second.ids) == 200
    # As many of a batch are kept as there should be right labels among its selected ones.
    kept = (1 - first.forget_rate) * len(split.clean) / 200
    assert second.forget_rate == pytest.approx(1 - kept)
    assert 0 < first.forget_rate < second.forget_rate < 1


@pytest.mark.parametrize(
    ("branch", "update", "loss"),
    [
        ("cross_entropy", "plain", keras.losses.SparseCategoricalCrossentropy),
        ("gce", "plain", GeneralizedCrossentropy),
        ("incv", "coteaching", keras.losses.SparseCategoricalCrossentropy),
        ("jocor", "jocor", keras.losses.SparseCategoricalCrossentropy),
        ("forward", "plain", ForwardCorrection),
        ("given", "plain", ForwardCorrection),
    ],
)
def test_each_method_has_its_loss_and_its_update(study, branch, update, loss):
    experiment, cells, corruption, split = study
    pair = make_pair(
        experiment, cells[branch], 0, forget_rate=0.2, corruption=corruption, split=split
    )
    assert pair.rule.update == update
    assert isinstance(pair.loss, loss)
    assert [float(o.learning_rate) for o in (pair.optimizer,)] == pytest.approx([0.1])
    if branch == "forward":
        np.testing.assert_allclose(pair.loss.transition, split.estimate.matrix)
    if branch == "given":
        np.testing.assert_allclose(pair.loss.transition, corruption.realized)


def test_batches_are_reduced_where_it_is_asked_for_and_then_without_xla():
    methods = "methods=['decoupling', {name='decoupling', label='reduced', batch='reduced'}]"
    experiment = NoisyStudy.load(recipe(methods, "train.jit='auto'"))
    corruption = experiment.corruption(0, experiment.recipe.noise[0])
    made = [
        make_pair(experiment, cell, 0, forget_rate=0.0, corruption=corruption, split=None)
        for cell in conditions(experiment.recipe)
    ]
    assert [(pair.batch, pair.jit_compile) for pair in made] == [
        ("whole", True),
        ("reduced", False),
    ]
