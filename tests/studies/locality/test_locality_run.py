"""A tiny study from recipe to page."""

import json

import numpy as np
import pytest

from tfticket.data.arrangement import arrangement
from tfticket.lottery.locality import receptive_fields
from tfticket.lottery.ticket import Ticket
from tfticket.metrics import read_metrics
from tfticket.recipe.parsing import parse
from tfticket.runner import runner
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.state import Snapshot
from tfticket.studies import render, summarize
from tfticket.studies.locality.study import LocalityStudy

pytestmark = pytest.mark.slow

RECIPE = {
    "name": "tiny",
    "title": "Tiny",
    "kind": "locality",
    "seeds": [0, 1],
    "windows": True,
    "data": {"name": "mnist1d", "validation": 500, "batch_size": 60},
    "model": {"name": "lenet_300_100", "width": 0.3},
    "train": {
        "optimizer": {"name": "adam"},
        "learning_rate": 2e-3,
        "steps": 20,
        "evaluate_every": 10,
        "jit": False,
    },
    "arrangement": [
        {"kind": "as_is", "masks_from": "shuffled"},
        {"kind": "shuffled", "masks_from": "as_is"},
    ],
    "lottery": {"rate": 0.5, "levels": 2},
    "controls": {"reinit": True, "levels": [2]},
    "convolution": {"levels": [2], "widths": [40]},
    "expect": [
        {
            "claim": "A convolution is better than a small dense network",
            "measure": "accuracy",
            "arrangement": "as_is",
            "branch": "convolution",
            "density": 0.25,
            "against": "width_40",
            "at_least": 0.0,
        },
        {
            "claim": "Masks are local",
            "measure": "locality",
            "arrangement": "shuffled",
            "density": 0.25,
            "at_least": 1.0,
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


def results(run, branch, level, seed=0):
    return {
        row.name: row.value
        for row in read_metrics(run.metrics)
        if (row.seed, row.branch, row.level) == (seed, branch, level)
        and row.split in ("test", "summary")
    }


def ticket(run, branch, level, seed=0):
    return Ticket.load(run.ticket(seed, branch, level))


def test_every_network_is_trained_and_known(run):
    assert run.complete
    levels = {"ticket": (0, 1, 2), "reinit": (2,), "transferred": (2,), "windows": (2,)}
    wanted = {
        (seed, f"{name}-{branch}", level)
        for seed in (0, 1)
        for name in ("as_is", "shuffled")
        for branch, own in levels.items()
        for level in own
    } | {(s, f"as_is-{name}", 2) for s in (0, 1) for name in ("convolution", "width_40")}
    assert {tuple(trial) for trial in run.finished_levels()} == wanted
    assert {(r.seed, r.branch, r.level) for r in read_metrics(run.metrics)} == wanted


def test_masks_are_measured_in_both_orders(run):
    mask = ticket(run, "shuffled-ticket", 2).mask
    found, order = results(run, "shuffled-ticket", 2), arrangement("shuffled", 40)
    kernel = mask["dense1/kernel"]
    signal = np.empty_like(kernel)
    signal[order] = kernel  # the place i of what the network sees is the point order[i]
    assert found["locality"] == receptive_fields(kernel).locality
    assert found["original_locality"] == receptive_fields(signal).locality
    assert found["unit_locality"] == receptive_fields(signal).unit_locality
    assert found["fan_in"] == np.median(kernel.sum(axis=0)[kernel.any(axis=0)])
    alive = kernel.any(axis=0) & mask["dense2/kernel"].any(axis=1)
    assert found["units_1"] == alive.mean()


def test_the_network_was_given_the_arranged_signals(run):
    study = LocalityStudy.load(parse(RECIPE))
    model, test = study.network(), study.data.test
    Snapshot.load(run.final(0, "shuffled-ticket", 2)).restore(model)
    x = test.x[:, arrangement("shuffled", 40)]
    accuracy = np.mean(model.predict(x, verbose=0).argmax(axis=1) == test.y)
    assert results(run, "shuffled-ticket", 2)["accuracy_at_end"] == pytest.approx(accuracy)


def test_a_transferred_mask_is_that_of_the_other_search_on_the_same_weights(run):
    own, source = ticket(run, "shuffled-ticket", 2), ticket(run, "as_is-ticket", 2)
    transferred = ticket(run, "shuffled-transferred", 2)
    assert transferred.mask == source.mask != own.mask
    dense = ticket(run, "shuffled-ticket", 0).weights
    for key, kept in transferred.mask.items():
        np.testing.assert_array_equal(transferred.weights[key][kept], dense[key][kept])


def test_windows_have_the_weights_of_the_reinitialized_control(run):
    own, twin = ticket(run, "as_is-windows", 2), ticket(run, "as_is-reinit", 2)
    assert own.mask.counts() == twin.mask.counts()
    assert own.mask["dense2/kernel"].tolist() == twin.mask["dense2/kernel"].tolist()
    first = own.mask["dense1/kernel"] & twin.mask["dense1/kernel"]
    for name in ("dense1/kernel", "dense2/kernel"):
        both = first if name == "dense1/kernel" else twin.mask[name]
        np.testing.assert_array_equal(own.weights[name][both], twin.weights[name][both])


def test_a_convolution_is_as_wide_as_the_median_span(run):
    mask = ticket(run, "as_is-ticket", 2).mask
    found = results(run, "as_is-convolution", 2)
    assert found["width"] == round(receptive_fields(mask, (40,)).median_span[0])
    assert found["weights"] <= mask.kept
    assert found["density"] == found["weights"] / mask.total
    kernel = ticket(run, "as_is-convolution", 2).weights["conv1/kernel"]
    assert kernel.shape == (found["width"], 1, found["channels"])


def test_a_lost_network_is_trained_again_to_the_same_numbers(run):
    lost = [("as_is-width_40", 2), ("shuffled-transferred", 2)]
    before = [results(run, *place) for place in lost]
    for branch, level in lost:
        run.ticket(0, branch, level).unlink()
    run.complete_file.unlink()
    recipe = parse(RECIPE)
    with writing(run, recipe, toml=b""):
        runner.run(recipe, run)
    for place, old in zip(lost, before, strict=True):
        assert results(run, *place) | {"seconds": 0} == old | {"seconds": 0}


def test_the_page_and_its_numbers(run):
    summary = summarize(run.path)
    assert summary.missing == ()
    better, local = summary.expectations
    accuracy = {
        (name, s): results(run, f"as_is-{name}", 2, s)["accuracy_at_early_stop"]
        for name in ("convolution", "width_40")
        for s in (0, 1)
    }
    assert better.estimate.values == {
        s: accuracy["convolution", s] - accuracy["width_40", s] for s in (0, 1)
    }
    assert local.estimate.values == {
        s: results(run, "shuffled-ticket", 2, s)["locality"] for s in (0, 1)
    }
    page = render(run.path).read_text()
    assert summary.headline.split(". ")[0] in page
    assert "figure-original_locality" in page
    found = json.loads((run.report / "summary.json").read_text())
    assert len(found["levels"]) == 14
