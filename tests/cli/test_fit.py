"""`tfticket fit` from the command line."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from tfticket import data
from tfticket.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    made = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    made.fit(digits.inputs(digits.train), digits.train.y, epochs=6, verbose=0)
    path = tmp_path_factory.mktemp("fit") / "net.keras"
    made.save(path)
    return path


def arguments(model, *more):
    return ["fit", str(model), "--data", "digits", "--normalize", "unit", "--steps", "60", *more]


def test_a_budget_is_kept_and_the_files_are_named(model, capsys):
    given = arguments(model, "--accuracy", "0.8", "--flash", "4K", "--target", "phone", "--json")
    assert main([*given, "--no-control"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["met"]
    assert told["chosen"] == "fitted"
    written = told["seeds"]["0"]["tried"][-1]
    assert written["flash_bytes"] <= 4096
    assert written["test_accuracy"] == told["test_accuracy"]["fitted"]["mean"] > 0.8
    folder = model.with_suffix(".fit")
    assert told["files"][0] == str(folder / "net.tflite")
    assert all(Path(file).is_file() for file in told["files"])
    assert "flash at most 4,096 bytes" in told["budget"]
    page = (folder / "index.html").read_text()
    assert f"tfticket fit {model}" in page
    assert main([*given, "--no-control"]) == 0  # resumes, and ends the same
    again = json.loads(capsys.readouterr().out)
    assert again == told
    assert main([*given, "--no-control", "--learning-rate", "0.5"]) == 1
    assert "holds the rounds of another search" in capsys.readouterr().err


def ended_in_the_middle(given, line, number):
    """Send a signal while what a line of progress says is being done; its status and messages."""
    command = [sys.executable, "-m", "tfticket", *given]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        told = ""
        while line not in told:
            told += process.stderr.readline() or pytest.fail(told)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert out == ""
    return process.returncode, told + err


def test_a_search_that_a_signal_ends_in_a_round_goes_on_to_the_same_answer(model, capsys, tmp_path):
    """First by Ctrl-C in the first round, then by SIGTERM in the second."""
    given = arguments(model, "--accuracy", "0.8", "--flash", "3K", "--target", "phone", "--json",
                      "--steps", "300", "--no-control", "-o")  # fmt: skip
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    keep = parts / "rounds/seed_0"
    status, told = ended_in_the_middle([*given, str(parts)], "Round 1:", signal.SIGINT)
    assert status == 130
    assert "Traceback" not in told
    assert told.endswith(f"Resume with:\n  tfticket {' '.join(given)} {parts}\n")
    assert {path.name for path in keep.iterdir()} == {"search.json"}
    status, told = ended_in_the_middle([*given, str(parts)], "Round 2:", signal.SIGTERM)
    assert status == -signal.SIGTERM
    assert {path.name for path in keep.iterdir()} == {"search.json", "round_01.keras"}
    assert {path.name for path in parts.iterdir()} == {"rounds"}  # nothing is half written
    first = (keep / "round_01.keras").read_bytes()
    found = {}
    for folder in (parts, whole):
        assert main([*given, str(folder)]) == 0
        found[folder] = json.loads(capsys.readouterr().out) | {"files": []}
    assert (keep / "round_01.keras").read_bytes() == first
    assert found[parts] == found[whole]
    assert (parts / "net.tflite").read_bytes() == (whole / "net.tflite").read_bytes()


def test_a_budget_that_is_out_of_reach_ends_with_1_and_says_why(model, capsys, tmp_path):
    given = arguments(model, "--accuracy", "0.999", "--ram", "60K", "--target", "phone")
    assert main([*given, "-o", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert "is out of reach: training longer didn't bring it back" in told.err
    assert told.out.split() == [str(tmp_path / "out" / n) for n in ("summary.json", "index.html")]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "what stands in the way is accuracy" in page


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "Give --flash, --ram or --latency"),
        (["--flash", "12Q"], "'12Q' is no size"),
        (["--latency", "5"], "'5' is no time"),
        (["--latency", "5ms"], "says nothing of a microcontroller"),
        (["--flash", "9K", "--data", "linear"], "has no class for each example"),
        (["--flash", "9K", "--data", "mnist1d"], "shape"),
        (["--flash", "9K", "-o", "net.tflite"], "names a folder"),
    ],
)
def test_what_makes_no_sense_is_refused(model, capsys, more, message):
    assert main(arguments(model, "--accuracy", "0.9", *more)) in (1, 2)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nowhere.keras", "--data", "digits"], "nowhere.keras doesn't exist"),
        (["lth_digit"], "Did you mean"),
        (["lth_digits", "--data", "digits"], "what --data would"),
        (["norms_digits"], "is of the kind norms"),
        (["lth_regression"], "has no class for each example"),
    ],
)
def test_models_and_recipes_are_told_apart(given, message, capsys):
    assert main(["fit", *given, "--accuracy", "0.9", "--flash", "9K"]) in (1, 2)
    assert message in capsys.readouterr().err


def test_a_model_needs_data(model, capsys):
    assert main(["fit", str(model), "--accuracy", "0.9", "--flash", "9K"]) == 2
    assert "Give --data" in capsys.readouterr().err
