"""A tiny study from recipe to page: what is measured is what NumPy says of the same networks."""

import json

import keras
import numpy as np
import pytest

from tfticket.lottery.ticket import Ticket
from tfticket.metrics import read_metrics
from tfticket.recipe.parsing import parse
from tfticket.runner import runner
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.state import Snapshot
from tfticket.studies import render, summarize
from tfticket.studies.labels import training_labels, validation_labels, with_labels
from tfticket.studies.memorization.study import MemorizationStudy

pytestmark = pytest.mark.slow

RECIPE = {
    "name": "tiny",
    "title": "Tiny",
    "kind": "memorization",
    "seeds": [0, 1],
    "data": {"name": "digits", "validation": 0.15, "batch_size": 60},
    "model": {"name": "lenet_300_100", "width": 0.1},
    "train": {
        "optimizer": {"name": "adam"},
        "learning_rate": 2e-3,
        "steps": 60,
        "evaluate_every": 20,
        "jit": False,
    },
    "noise": [{"kind": "none"}, {"kind": "symmetric", "rate": 0.4, "exact": True}],
    "lottery": {"rate": 0.5, "levels": 2},
    "controls": {"reinit": True, "random": True, "levels": [2]},
    "expect": [
        {
            "claim": "Tickets memorize more than random masks",
            "measure": "memorized",
            "noise": "symmetric0.4",
            "density": 0.25,
            "against": "random",
            "at_least": 0.0,
        },
        {
            "claim": "Half of the weights are as accurate as all",
            "measure": "accuracy",
            "noise": "none",
            "density": 0.5,
            "against_density": 1.0,
            "at_least": 0.0,
        },
    ],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe = parse(RECIPE)
    done = RunDir(tmp_path_factory.mktemp("runs") / "tiny")
    with writing(done, recipe, toml=b""):
        runner.run(recipe, done)
    return done


def results(run, seed, branch, level):
    return {
        row.name: row.value
        for row in read_metrics(run.metrics)
        if (row.seed, row.branch, row.level) == (seed, branch, level)
        and row.split in ("test", "summary")
    }


def test_every_noise_has_every_network(run):
    assert run.complete
    branches = ("ticket", "reinit", "random")
    wanted = {
        (seed, f"{noise}-{branch}", level)
        for seed in (0, 1)
        for noise in ("none", "symmetric0.4")
        for branch in branches
        for level in (range(3) if branch == "ticket" else [2])
    }
    assert {tuple(trial) for trial in run.finished_levels()} == wanted
    assert {(r.seed, r.branch, r.level) for r in read_metrics(run.metrics)} == wanted


def test_measurements_are_those_of_the_trained_network(run):
    recipe = parse(RECIPE)
    study = MemorizationStudy.load(recipe)
    noise = recipe.noise[1]
    labels = training_labels(study.data, noise, 1)
    model = study.network()
    Snapshot.load(run.final(1, "symmetric0.4-ticket", 2)).restore(model)
    predicted = model.predict(study.data.inputs(study.data.train), verbose=0).argmax(axis=1)
    found = results(run, 1, "symmetric0.4-ticket", 2)
    wrong = labels.changed
    assert found["memorized"] == np.mean(predicted[wrong] == labels.given[wrong])
    assert found["recovered"] == np.mean(predicted[wrong] == labels.true[wrong])
    assert found["right_accuracy"] == np.mean(predicted[~wrong] == labels.true[~wrong])
    assert found["noise_rate"] == pytest.approx(0.4, abs=1e-3)

    test = study.data.test
    p = keras.ops.softmax(model.predict(study.data.inputs(test), verbose=0)).numpy()
    assert found["accuracy_at_end"] == pytest.approx(np.mean(p.argmax(axis=1) == test.y))
    confidence, right = p.max(axis=1), p.argmax(axis=1) == test.y
    error = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert found["calibration_error_at_end"] == pytest.approx(error, abs=1e-6)


def test_noises_share_initial_weights_and_no_noise_memorizes_nothing(run):
    clean, noisy = (
        Ticket.load(run.ticket(0, f"{noise}-ticket", 0)).weights
        for noise in ("none", "symmetric0.4")
    )
    for key in clean:
        np.testing.assert_array_equal(clean[key], noisy[key])
    assert "memorized" not in results(run, 0, "none-ticket", 0)
    assert results(run, 0, "none-ticket", 0)["noise_rate"] == 0


def test_validation_labels_are_wrong_too(run):
    recipe = parse(RECIPE)
    study = MemorizationStudy.load(recipe)
    noise = recipe.noise[1]
    made = with_labels(study.data, noise, 0, training_labels(study.data, noise, 0))
    np.testing.assert_array_equal(made.validation.y, validation_labels(study.data, noise, 0).given)
    np.testing.assert_array_equal(made.test.y, study.data.test.y)
    assert (made.train.y != study.data.train.y).mean() == pytest.approx(0.4, abs=1e-3)


def test_a_level_that_was_lost_is_trained_again_to_the_same_numbers(run):
    before = results(run, 1, "symmetric0.4-random", 2)
    run.ticket(1, "symmetric0.4-random", 2).unlink()
    run.complete_file.unlink()
    recipe = parse(RECIPE)
    with writing(run, recipe, toml=b""):
        runner.run(recipe, run)
    again = results(run, 1, "symmetric0.4-random", 2)
    assert {n: v for n, v in again.items() if n != "seconds"} == {
        n: v for n, v in before.items() if n != "seconds"
    }


def test_the_page_and_its_numbers(run):
    summary = summarize(run.path)
    assert summary.missing == ()
    level = summary.at("symmetric0.4", "ticket", 0.25)
    by_seed = {s: results(run, s, "symmetric0.4-ticket", 2)["memorized"] for s in (0, 1)}
    assert level.measures["memorized"].values == by_seed
    memorized, accuracy = summary.expectations
    theirs = {s: results(run, s, "symmetric0.4-random", 2)["memorized"] for s in (0, 1)}
    assert memorized.estimate.values == {s: by_seed[s] - theirs[s] for s in (0, 1)}
    half, dense = (
        {s: results(run, s, "none-ticket", n)["accuracy_at_end"] for s in (0, 1)} for n in (1, 0)
    )
    assert accuracy.estimate.values == {s: half[s] - dense[s] for s in (0, 1)}
    page = render(run.path).read_text()
    assert summary.headline.split(". ")[0] in page
    assert "figure-memorized" in page
    found = json.loads((run.report / "summary.json").read_text())
    assert len(found["levels"]) == 10
    assert found["claims"][0]["ours"]["mean"] == memorized.estimate.mean
