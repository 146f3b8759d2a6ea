import json
from pathlib import Path

import helpers
import keras
import numpy as np
import pytest

from tfticket.cli import main
from tfticket.norms.catalog import NORMS
from tfticket.norms.layers import GroupNorm
from tfticket.sparsity import get_mask, sparsify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model file in the working directory."""
    monkeypatch.chdir(tmp_path)
    made = helpers.noisy_convnet()
    made.get_layer("norm").moving_mean.assign(np.ones(4))
    made.save("model.keras")
    return made


def test_kinds_are_listed_with_their_options(capsys):
    assert main(["norms", "list"]) == 0
    streams = capsys.readouterr()
    lines = {line.split()[0]: line for line in streams.out.splitlines()}
    assert list(lines) == list(NORMS)
    assert "channels_per_group" in lines["group"]
    assert "gamma_initializer" not in streams.out
    assert "gamma_initializer" in streams.err
    assert main(["norms", "list", "--json"]) == 0
    assert "momentum" in json.loads(capsys.readouterr().out)["batch"]


def test_swap_writes_a_copy_beside_the_model_and_tells_what_it_did(model, capsys):
    before = Path("model.keras").read_bytes()
    assert main(["norms", "swap", "model.keras", "--to", "group", "--option", "groups=2"]) == 0
    line, path = capsys.readouterr().out.splitlines()
    assert path == "model-group.keras"
    told = "norm batch -> group 4 channels 2 groups kept gamma, beta dropped moving_mean, "
    assert " ".join(line.split()) == f"{told}moving_variance"
    swapped = keras.saving.load_model(path)
    assert isinstance(swapped.get_layer("norm"), GroupNorm)
    np.testing.assert_array_equal(swapped.get_layer("conv").kernel, model.get_layer("conv").kernel)
    assert Path("model.keras").read_bytes() == before


def test_swap_as_json_with_a_pattern_and_a_word_for_an_option(model, capsys):
    arguments = ["--to", "batch", "--where", "no*", "--option", "gamma_initializer=zeros"]
    assert main(["norms", "swap", "model.keras", *arguments, "-o", "b.keras", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["output"] == "b.keras"
    assert told["layers"][0]["key"] == "norm"
    norm = keras.saving.load_model("b.keras").get_layer("norm")
    assert isinstance(norm.gamma_initializer, keras.initializers.Zeros)


def test_swap_keeps_masks_and_says_that_statistics_are_new(model, capsys):
    mask = helpers.random_mask(model)
    sparsify(model, mask).save("sparse.keras")
    assert main(["norms", "swap", "sparse.keras", "--to", "l1_batch", "-o", "out.keras"]) == 0
    assert "Moving statistics are new" in capsys.readouterr().err
    assert get_mask(keras.saving.load_model("out.keras")) == mask


def test_swap_matches_the_outputs_of_inputs_from_a_file(model, capsys):
    np.save("inputs.npy", helpers.batch((6, 6, 2), examples=40)[0])
    arguments = ["norms", "swap", "model.keras", "--to", "l2_batch"]
    assert main([*arguments, "--match", "inputs.npy"]) == 0
    assert "Moving statistics" not in capsys.readouterr().err
    norm = keras.saving.load_model("model-l2_batch.keras").get_layer("norm")
    assert not np.isin(norm.moving_scale, 1.0).any()
    np.save("wrong.npy", np.ones((3, 5, 5, 2)))
    Path("broken.npy").write_bytes(b"no array")
    for name, message in [("wrong.npy", "examples of shape (5, 5, 2)"), ("broken.npy", "no array")]:
        assert main([*arguments, "-o", "out.keras", "--match", name]) == 2
        assert message in capsys.readouterr().err


def test_fold_infers_the_same(model, capsys):
    assert main(["norms", "fold", "model.keras"]) == 0
    assert capsys.readouterr().out.splitlines() == ["norm  into conv", "model-folded.keras"]
    x, _ = helpers.batch((6, 6, 2))
    folded = keras.saving.load_model("model-folded.keras")
    np.testing.assert_allclose(folded(x), model(x), atol=1e-5)
    assert main(["norms", "fold", "model-folded.keras", "-o", "again.keras", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folded"] == {}


def test_doctor_prints_each_finding_with_its_remedy(model, capsys):
    assert main(["norms", "doctor", "model.keras", "--batch-size", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if not line.startswith(" ")]
    assert headings == [
        "warning: small-batch: norm",
        "note: bias-before-norm: norm",
        "note: large-epsilon: norm",
        "note: slow-statistics: norm",
    ]
    assert sum(line.startswith("  remedy  ") for line in lines) == 4
    assert main(["norms", "doctor", "model.keras", "--json"]) == 0
    streams = capsys.readouterr()
    assert [found["code"] for found in json.loads(streams.out)] == [
        "bias-before-norm",
        "large-epsilon",
        "slow-statistics",
    ]


def test_doctor_has_nothing_to_say_of_a_network_without_norms(model, capsys):
    helpers.mlp().save("mlp.keras")
    assert main(["norms", "doctor", "mlp.keras"]) == 0
    streams = capsys.readouterr()
    assert streams.out == "No known mistakes.\n"
    assert "--batch-size" in streams.err


def test_many_layers_are_counted(model, capsys):
    shape = keras.Input((4, 4, 2))
    stack = [keras.layers.BatchNormalization(name=f"n{i}", epsilon=1e-5) for i in range(5)]
    keras.Sequential([shape, *stack]).save("deep.keras")
    assert main(["norms", "doctor", "deep.keras"]) == 0
    assert capsys.readouterr().out.startswith("note: slow-statistics: n0, n1, n2 and 2 more\n")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["swap", "model.keras", "--to", "grop"], 1, "Did you mean 'group'"),
        (["swap", "model.keras", "--to", "group", "--where", "bn"], 1, "fits none of ['norm']"),
        (["swap", "model.keras", "--to", "group", "--option", "groups"], 2, "isn't NAME=VALUE"),
        (["swap", "model.keras", "--to", "group", "-o", "model.keras"], 2, "give --overwrite"),
        (["swap", "model.keras", "--to", "group", "-o", "model.h5"], 2, "must end in .keras"),
        (["fold", "none.keras"], 2, "does not exist"),
        (["doctor", "broken.keras"], 1, "can't be loaded"),
        (["doctor", "model.keras", "--batch-size", "0"], 2, "not in the range"),
    ],
)
def test_what_is_refused(model, capsys, arguments, status, message):
    Path("broken.keras").write_bytes(b"no archive")
    assert main(["norms", *arguments]) == status
    assert message in capsys.readouterr().err


def test_overwriting_must_be_asked_for(model):
    arguments = ["norms", "swap", "model.keras", "--to", "none", "-o", "model.keras"]
    assert main([*arguments, "--overwrite"]) == 0
    assert isinstance(keras.saving.load_model("model.keras").layers[1], keras.layers.Identity)
