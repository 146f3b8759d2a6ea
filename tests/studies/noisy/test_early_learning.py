"""Early-learning regularization as a method of a recipe of the kind `noisy`."""

import keras
import numpy as np
import pytest
from tiny_noisy import recipe, tables

from tfticket.metrics import read_metrics
from tfticket.noise import EarlyLearning
from tfticket.recipe.parsing import parse, resolve
from tfticket.runner import runner
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies import render, summarize
from tfticket.studies.noisy.study import NoisyStudy
from tfticket.studies.noisy.training import make_early_learning

pytestmark = pytest.mark.slow

METHODS = "methods=['cross_entropy', {name='early_learning', strength=2.0, momentum=0.5}]"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    given = recipe(METHODS)
    done = RunDir(tmp_path_factory.mktemp("runs") / "elr")
    with writing(done, given, toml=b""):
        runner.run(given, done)
    return done


def test_its_numbers_are_those_of_two_models_trained_by_hand(run):
    study = NoisyStudy.load(recipe(METHODS))
    (noise,), condition = study.recipe.noise, study._conditions[1]
    labels = study.corruption(0, noise)
    accuracies = []
    for name in ("first", "second"):
        network = study.model(0, name)
        count = len(study.data.train)
        by_hand = EarlyLearning(network, examples=count, strength=2.0, momentum=0.5)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        by_hand.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, jit_compile=False)
        feed = study.feed(0, noise, labels, beside="id")
        by_hand.fit(
            feed.dataset(endless=True), epochs=1, steps_per_epoch=20, shuffle=False, verbose=0
        )
        predicted = by_hand.predict(study.data.inputs(study.data.test), verbose=0).argmax(axis=1)
        accuracies.append(np.mean(predicted == study.data.test.y))
    found = [
        row.value
        for row in read_metrics(run.metrics)
        if (row.branch, row.split, row.name) == (condition.branch, "test", "accuracy_at_end")
    ]
    assert found == [pytest.approx(np.mean(accuracies), abs=1e-6)]


def test_it_begins_with_the_weights_of_the_pair(run):
    study = NoisyStudy.load(recipe(METHODS))
    for name in ("first", "second"):
        model = make_early_learning(study, study._conditions[1], 0, name)
        for ours, theirs in zip(model.network.weights, study.model(0, name).weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert (model.strength, model.momentum, model.mixup) == (2.0, 0.5, 0.0)


def test_ids_are_places_among_the_training_examples():
    study = NoisyStudy.load(recipe(METHODS))
    (noise,) = study.recipe.noise
    labels = study.corruption(0, noise)
    x, y = next(iter(study.feed(0, noise, labels, beside="id").dataset()))
    np.testing.assert_array_equal(y["given"], labels.given[y["id"]])
    np.testing.assert_allclose(x, study.inputs(0, noise)[y["id"].numpy()], rtol=1e-6)


def test_the_page_and_the_summary_know_it(run):
    summary = summarize(run.path)
    trained = {found.condition.method: found for found in summary.trainings}
    own = trained["early_learning"]
    assert own.condition.method_name == "early-learning regularization"
    assert own.measures["label_precision_last"].mean == pytest.approx(0.7)
    assert own.gain is not None
    assert "early-learning regularization" in render(run.path).read_text()


def test_its_options_are_left_out_where_they_are_as_usual():
    def method(written):
        (found,) = resolve(parse(tables(f"methods=[{written}]")))["methods"]
        return found

    assert not {"strength", "momentum", "mixup"} & method('"cross_entropy"').keys()
    assert not {"strength", "momentum", "mixup"} & method('"early_learning"').keys()
    assert method("{name='early_learning', mixup=1.0}")["mixup"] == 1.0
