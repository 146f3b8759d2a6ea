"""`tfticket fit` from the command line."""

import json

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
            keras.layers.Dense(24, activation="relu"),
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
    given = arguments(model, "--accuracy", "0.8", "--flash", "5K", "--target", "phone", "--json")
    assert main([*given, "--no-control"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["met"]
    assert told["tried"][-1]["flash_bytes"] <= 5120
    assert told["tried"][-1]["test_accuracy"] > 0.8
    assert told["files"][0] == str(model.with_suffix(".fit.tflite"))
    assert "flash at most 5,120 bytes" in told["budget"]


def test_a_budget_that_is_out_of_reach_ends_with_1_and_says_why(model, capsys, tmp_path):
    output = tmp_path / "out.tflite"
    given = arguments(model, "--accuracy", "0.999", "--ram", "60K", "--target", "phone")
    assert main([*given, "-o", str(output)]) == 1
    told = capsys.readouterr()
    assert "is out of reach: the network itself isn't as accurate" in told.err
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "Give --flash, --ram or --latency"),
        (["--flash", "12Q"], "'12Q' is no size"),
        (["--latency", "5"], "'5' is no time"),
        (["--latency", "5ms"], "says nothing of a microcontroller"),
        (["--flash", "9K", "--data", "linear"], "has no class for each example"),
        (["--flash", "9K", "--data", "mnist1d"], "shape"),
    ],
)
def test_what_makes_no_sense_is_refused(model, capsys, more, message):
    assert main(arguments(model, "--accuracy", "0.9", *more)) in (1, 2)
    assert message in capsys.readouterr().err
