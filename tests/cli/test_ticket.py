import json
import subprocess
import sys
from pathlib import Path

import copied_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import mlp, random_mask, values
from legacy_files import legacy_files, quick_reader

from tfticket.cli import main
from tfticket.lottery import Ticket
from tfticket.lottery.transfer import transfer
from tfticket.sparsity import Mask, get_mask, sparsify
from tfticket.state import Snapshot

pytestmark = pytest.mark.slow


@pytest.fixture
def ticket(tmp_path, seeded):
    model = mlp()
    weights = Snapshot.capture(model, step=0).variables
    found = Ticket(random_mask(model), weights, 3, 0, {"recipe": "tiny", "seed": 4})
    found.save(tmp_path / "level_03.npz")
    return found


def test_show_tells_density_by_layer_and_provenance(ticket, tmp_path, capsys):
    assert main(["ticket", "show", str(tmp_path / "level_03.npz")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Level 3, weights of step 0, hash ")
    for key, kept in ticket.mask.counts().items():
        assert f"{key}" in shown
        assert f"{kept} of" in " ".join(shown.split())
    assert "recipe: tiny" in shown


def test_show_as_json(ticket, tmp_path, capsys):
    assert main(["ticket", "show", str(tmp_path / "level_03.npz"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["kept"] == ticket.mask.counts()
    assert shown["sha256"] == ticket.sha256
    assert shown["provenance"] == {"recipe": "tiny", "seed": 4}


def test_apply_writes_a_model_that_keeps_the_mask(ticket, tmp_path, capsys):
    model, output = tmp_path / "model.keras", tmp_path / "sparse.keras"
    mlp().save(model)
    path = str(tmp_path / "level_03.npz")
    assert main(["ticket", "apply", path, str(model), "-o", str(output)]) == 0
    streams = capsys.readouterr()
    assert streams.out == f"{output}\n"
    assert "not taken over" not in streams.err
    sparse = keras.saving.load_model(output)
    assert get_mask(sparse) == ticket.mask
    for key, array in values(sparse).items():
        np.testing.assert_array_equal(array, ticket.weights[key])


def test_apply_to_a_model_with_preprocessing_writes_what_it_has_made(tmp_path, seeded):
    def build(spread):
        inputs = keras.Input((), dtype="string"), keras.Input((4,))
        words = copied_models.text(max_tokens=20, output_sequence_length=3)
        scale = copied_models.adapted(keras.layers.Normalization(), spread * copied_models.NUMBERS)
        rows = keras.layers.Embedding(20, 4)(words(inputs[0]))
        both = keras.layers.Concatenate()([keras.layers.Flatten()(rows), scale(inputs[1])])
        return keras.Model(inputs, keras.layers.Dense(3, name="output")(both))

    found, other = build(1.0), build(2.0)
    mask = random_mask(found)
    weights = Snapshot.capture(found, step=0).variables
    Ticket(mask, weights, 1, 0, {}).save(tmp_path / "level_01.npz")
    other.save(tmp_path / "other.keras")
    paths = [str(tmp_path / name) for name in ("level_01.npz", "other.keras", "sparse.keras")]
    assert main(["ticket", "apply", *paths[:2], "-o", paths[2]]) == 0
    given = [tf.constant(["good film", "unheard"]), tf.constant(copied_models.NUMBERS[:2])]
    expected = sparsify(found, mask)(given)
    np.testing.assert_allclose(keras.saving.load_model(paths[2])(given), expected, rtol=1e-5)
    result = transfer(Ticket.load(paths[0]), keras.saving.load_model(paths[1])).model
    np.testing.assert_allclose(result(given), expected, rtol=1e-5)


def test_apply_tells_what_does_not_fit(ticket, tmp_path, capsys):
    model, output = tmp_path / "model.keras", tmp_path / "sparse.keras"
    mlp((6, 5, 4, 7)).save(model)
    path = str(tmp_path / "level_03.npz")
    assert main(["ticket", "apply", path, str(model), "-o", str(output)]) == 0
    told = capsys.readouterr().err
    assert "not taken over: output/kernel, ticket (4, 3), model (4, 7)" in told
    assert output.is_file()


@pytest.mark.parametrize(
    ("ticket_name", "model_name", "output", "status", "message"),
    [
        ("none.npz", "model.keras", "out.keras", 1, "no such file"),
        ("broken.npz", "model.keras", "out.keras", 1, "damaged"),
        ("level_03.npz", "broken.keras", "out.keras", 1, "can't be loaded"),
        ("level_03.npz", "none.keras", "out.keras", 2, "does not exist"),
        ("level_03.npz", "model.keras", "out.h5", 2, "must end in .keras"),
        ("level_03.npz", "model.keras", "model.keras/out.keras", 1, "could not be written"),
    ],
)
def test_apply_refuses(
    ticket, tmp_path, capsys, monkeypatch, ticket_name, model_name, output, status, message
):
    monkeypatch.chdir(tmp_path)
    mlp().save("model.keras")
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    (tmp_path / "broken.keras").write_bytes(b"no archive")
    assert main(["ticket", "apply", ticket_name, model_name, "-o", output]) == status
    assert message in capsys.readouterr().err


def test_what_a_file_says_does_not_steer_the_terminal(tmp_path, capsys):
    mask = Mask({"a\x1b[2Jb": np.ones(3), "empty": np.ones(0)})
    weights = {key: np.ones(array.shape, "float32") for key, array in mask.items()}
    ticket = Ticket(mask, weights, 1, 0, {"recipe": "\x1b]0;x\x07ä", "empty": {}})
    assert main(["ticket", "show", str(ticket.save(tmp_path / "a.npz"))]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert r"recipe: \x1b]0;x\x07ä" in told
    assert main(["ticket", "show", str(tmp_path / "\x1b[2J.npz")]) == 1
    assert r"\x1b[2J.npz, no such file" in capsys.readouterr().err


@pytest.fixture
def legacy(tmp_path_factory, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return legacy_files(tmp_path_factory)


@pytest.fixture
def quick(legacy, monkeypatch):
    """No child is started."""
    monkeypatch.setattr("tfticket.interop.tfmot.read_in_child", quick_reader(legacy))


def test_a_model_and_its_ticket_are_written(legacy, quick, capsys):
    assert main(["import-tfmot", str(legacy / "stripped.h5"), "-o", "brought.keras"]) == 0
    streams = capsys.readouterr()
    *rows, model, ticket = streams.out.splitlines()
    assert (model, ticket) == ("brought.keras", "brought.npz")
    assert rows[0].split() == ["block_conv/kernel", "43", "of", "108", "39.81", "%"]
    assert rows[-1].startswith("all ")
    assert "The wrappers were stripped, so every weight that is exactly zero" in streams.err
    assert keras.saving.load_model(model).name == "images"
    assert Ticket.load(ticket).mask.counts()["block_conv/kernel"] == 43


def test_as_json_beside_the_legacy_file(legacy, quick, capsys):
    Path("pruned.keras").write_bytes((legacy / "sequence.keras").read_bytes())
    assert main(["import-tfmot", "pruned.keras", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["ticket"]) == ("pruned-keras3.keras", "pruned-keras3.npz")
    assert told["unmasked"] == ["embedding/embeddings"]
    assert told["max_difference"] <= 1e-5
    assert Path(told["model"]).is_file()
    assert Path(told["ticket"]).is_file()


def test_what_is_refused_is_refused_before_tensorflow_starts(legacy):
    code = """
import sys
from tfticket.cli import main
status = main(["import-tfmot", sys.argv[1]])
print(sorted({"tensorflow", "keras"} & sys.modules.keys()), file=sys.stderr)
sys.exit(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(legacy / "refused.h5")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.endswith("\n[]\n")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["refused.h5"], 1, "`code` (Lambda)"),
        (["weights.h5"], 1, "holds weights alone"),
        (["none.h5"], 1, "No such file"),
        (["stripped.h5", "-o", "a.h5"], 2, "must end in .keras"),
        (["stripped.h5", "-o", "there.keras"], 2, "there.keras exists; give --overwrite"),
        (["stripped.h5", "-o", "a.keras", "--ticket", "there.npz"], 2, "there.npz exists"),
        (["stripped.h5", "--timeout", "0"], 2, "--timeout"),
        (["stripped.h5", "-o", "a.keras", "--timeout", "0.01"], 1, "took longer"),
    ],
)
def test_what_is_refused_leaves_nothing(legacy, tmp_path, capsys, arguments, status, message):
    Path("there.keras").touch()
    Path("there.npz").touch()
    name, *options = arguments
    assert main(["import-tfmot", str(legacy / name), *options]) == status
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.keras", "there.npz"]
