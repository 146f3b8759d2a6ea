"""Networks and formats in one table, and the file to ship out of it."""

import keras
import numpy as np
import pytest
from exports import pruned

from tfticket.errors import ExportError
from tfticket.export.choice import choose, cost_bytes, cost_time, pareto_front
from tfticket.export.comparison import Conditions, Network, compare, describe
from tfticket.export.finetune import FineTuning
from tfticket.export.rows import chosen, to_rows
from tfticket.sparsity import get_mask

pytestmark = pytest.mark.slow

FORMATS = ("fp32", "int8", "dynamic")


@pytest.fixture(scope="module")
def networks(exported):
    """The network as it is, and one that lost so many weights that it guesses."""
    random = pruned(exported.model.__class__.from_config(exported.model.get_config()), 0.02)
    return (
        Network("dense", exported.model, structure="dense"),
        Network("random", random, structure="unstructured", level=3),
    )


@pytest.fixture(scope="module")
def conditions(exported):
    x, y = exported.x, exported.y
    return Conditions(
        calibration=x[:200],
        check_on=(x[1000:1300], y[1000:1300]),
        test=(x[1300:1500], y[1300:1500]),
        min_agreement=0.5,
    )


@pytest.fixture(scope="module")
def comparison(networks, conditions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    lines = []
    made = compare(
        networks, FORMATS, baseline=networks[0], folder=folder, conditions=conditions,
        tell=lines.append,
    )  # fmt: skip
    assert list(folder.iterdir()) == []  # nothing is written
    assert lines == [describe(attempt) for attempt in made.attempts]
    return made


def test_every_network_meets_every_format_and_the_baseline_is_first(comparison):
    names = [attempt.name for attempt in comparison.attempts]
    assert names == [
        "dense.fp32", "dense.int8", "dense.dynamic",
        "random.fp32", "random.int8", "random.dynamic",
    ]  # fmt: skip
    assert comparison.baseline.latency.speedup == 1.0


def test_accuracies_are_those_of_the_bytes_on_two_sets_of_data(comparison, exported):
    for attempt in comparison.passed:
        seen = attempt.draft.report.verification
        assert (seen.inputs, seen.count) == ("given", 300)
        assert attempt.accuracy == seen.accuracy
    x, y = exported.x[1300:1500], exported.y[1300:1500]
    expected = np.mean(np.asarray(exported.model(x)).argmax(-1) == y)
    assert comparison.baseline.test_accuracy == pytest.approx(expected, abs=0.006)


def test_files_tell_what_the_network_was_before_it_was_prepared(comparison, networks):
    about = comparison.attempts[4].draft.report.provenance
    mask = get_mask(networks[1].model)
    assert about["mask_sha256"] == mask.sha256
    assert about["structure"] == "unstructured"
    assert about["parameters_before"] > about["parameters_after"]
    assert about["norms_folded"] == 1


def test_the_front_holds_what_no_other_beats(comparison):
    for cost in (cost_bytes, cost_time):
        front = pareto_front(comparison.passed, cost)
        for attempt in comparison.passed:
            beaten = [
                other
                for other in comparison.passed
                if cost(other) <= cost(attempt) and other.accuracy > attempt.accuracy
            ]
            assert not (attempt in front and beaten)
        assert [a.accuracy for a in front] == sorted(a.accuracy for a in front)


def test_the_file_to_ship_keeps_the_accuracy_and_is_the_smallest_that_does(comparison):
    found = choose(comparison, objective="bytes", margin=0.02)
    assert found.attempt.network.name == "dense"
    assert found.attempt.format in ("int8", "dynamic")
    assert "fewest bytes of 2 files that passed" in found.reason
    fastest = choose(comparison, objective="time", margin=0.02)
    times = {a.format: a.latency.speedup for a in comparison.passed if a.network.name == "dense"}
    assert times[fastest.attempt.format] == max(times["int8"], times["dynamic"])


def test_nothing_to_choose_from_says_why(comparison, networks, conditions, tmp_path):
    only = compare(
        [networks[1]], ["int8"], baseline=networks[0], folder=tmp_path, conditions=conditions
    )
    with pytest.raises(ExportError, match=r"reach an accuracy of .* random.int8 has an accuracy"):
        choose(only, objective="both", margin=0.0)


def test_a_format_that_fails_is_told_and_keeps_no_other_from_being_made(
    networks, conditions, tmp_path
):
    without = Conditions(check_on=conditions.check_on)
    made = compare(
        networks[:1], ["int8", "dynamic"], baseline=networks[0], folder=tmp_path,
        conditions=without,
    )  # fmt: skip
    int8, dynamic = made.attempts[1:]
    assert "must be calibrated" in int8.failure
    assert (int8.draft, int8.latency, int8.accuracy) == (None, None, None)
    assert dynamic.draft is not None
    assert describe(int8).startswith("dense.int8: no file. The format int8")


def test_a_network_is_tuned_to_a_format_that_costs_accuracy(exported, conditions, tmp_path):
    hurt = keras.models.clone_model(exported.model)
    hurt.set_weights(exported.model.get_weights())
    kernel = hurt.get_layer("hidden").layer.kernel
    wild = kernel.numpy()
    wild[np.unravel_index(np.abs(wild).argmax(), wild.shape)] *= 40.0  # takes the resolution
    kernel.assign(wild)
    network = Network("hurt", hurt, structure="dense")
    tuning = FineTuning(exported.x[:1000], exported.y[:1000], steps=60, learning_rate=1e-3)
    options = {"baseline": network, "folder": tmp_path}
    plain = compare([network], ["int4"], conditions=conditions, **options).attempts[1]
    assert plain.tuned_from is None
    tuned = compare(
        [network], ["int4"], conditions=Conditions(**{**vars(conditions), "tuning": tuning}),
        **options,
    ).attempts[1]  # fmt: skip
    assert tuned.accuracy > plain.accuracy
    assert tuned.tuned_from == plain.accuracy
    assert tuned.draft.report.provenance["fine_tuned_steps"] == 60


def test_rows_hold_all_of_it_as_plain_data(comparison):
    rows = to_rows(comparison)
    assert [row["name"] for row in rows] == [attempt.name for attempt in comparison.attempts]
    assert rows[0]["smaller"] == rows[0]["speedup"] == 1.0
    assert rows[1]["smaller"] == pytest.approx(rows[0]["bytes"] / rows[1]["bytes"])
    assert rows[3]["density"] is None or 0 < rows[3]["density"] < 1
    assert {name for row in rows for name in row["fronts"]} == {"bytes", "gzip", "time"}
    told = chosen(choose(comparison, objective="both", margin=0.02), comparison)
    assert told["name"].startswith("dense.")
    assert told["explanations"]
    assert all({"name", "fact", "remedy"} <= said.keys() for said in told["explanations"])
    assert {row["name"] for row in told["energy"]["rows"]} >= {"multiply-adds computed"}
