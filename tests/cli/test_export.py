import json

import numpy as np
import pytest

from tfticket.cli import main

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["."], 1, "must be a directory with a recipe.json"),
        (["nowhere"], 2, "does not exist"),
        ([".", "--format", "fp8"], 2, "'fp8' is not one of"),
        ([".", "--level", "-1"], 2, "--level"),
    ],
)
def test_wrong_arguments_are_told_before_tensorflow_starts(
    tmp_path, monkeypatch, capsys, arguments, status, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == status
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.keras", "--level", "3"], "--level belongs to a run"),
        ([".", "--data", "digits"], "--data belongs to a model file"),
        (["net.keras", "--check", "--target", "phone"], "--target makes a file"),
        (["net.keras", "--runtimes"], "--runtimes belongs to --check"),
        (["net.keras", "--target", "watch"], "'watch' is not one of"),
        (["net.keras", "--margin", "1"], "--margin"),
    ],
)
def test_options_that_belong_to_another_source_are_refused(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.keras").touch()
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net.tflite", "is a file for devices already. Verify it with --check"),
        ("net.h5", "save('model.keras')"),
        ("net.HDF5", "a Keras file of the older kind"),
        ("net.weights.h5", "holds weights without their model"),
        ("graph.pb", "the layers are gone"),
        ("net.onnx", "a file of another library"),
        ("net.zip", "is none of what can be exported"),
        ("saved/saved_model.pb", "the layers are gone"),
    ],
)
def test_a_source_of_another_kind_says_what_is_taken(tmp_path, capsys, name, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x08\x01")
    source = path.parent if path.parent != tmp_path else path
    assert main(["export", str(source)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "takes a run directory, a ticket of a run (.npz) or a .keras model" in error
    assert error.startswith(f"Error: `{source}` ")


def test_what_belongs_to_a_check_alone_is_refused(tmp_path, capsys):
    (tmp_path / "net.keras").touch()
    assert main(["export", str(tmp_path / "net.keras"), "--timeout", "3"]) == 2
    assert "--timeout belongs to --check" in capsys.readouterr().err


@pytest.fixture(scope="module")
def model(exported_network, tmp_path_factory):
    """A trained network as a `.keras` file, its ticket beside it; its files are timed briefly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfticket.export.latency._ROUNDS", 3)
        yield exported_network(tmp_path_factory.mktemp("model"))


def test_a_model_file_becomes_the_best_file_for_a_target(model, capsys):
    keras_file, ticket_file = model
    arguments = ["export", str(keras_file), "--data", "digits", "--margin", "0.03"]
    arguments += ["--normalize", "unit"]
    assert main([*arguments, "--target", "smallest", "--ticket", str(ticket_file)]) == 0
    told = capsys.readouterr()
    written = keras_file.with_suffix(".smallest.tflite")
    assert told.out.split() == [str(written)]
    assert "fewest bytes" in told.err
    assert "as_given.fp32" in told.err

    assert main(["ticket", "show", str(written), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["provenance"]["data"] == "digits"
    assert about["mask_sha256"]

    assert main(["export", "--check", str(written), "--data", "digits", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["inputs"] == "given"
    assert seen["accuracy"] > 0.8


def test_micro_writes_c_files_too_and_json_tells_all_that_was_tried(model, capsys):
    keras_file, _ = model
    output = keras_file.with_name("micro.tflite")
    arguments = ["export", str(keras_file), "--data", "digits", "--margin", "0.03", "--json"]
    arguments += ["--normalize", "unit"]
    assert main([*arguments, "--target", "micro", "-o", str(output)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["format"] for row in told["tried"]] == ["fp32", "int8"]
    assert [name.rsplit("/", 1)[1] for name in told["sources"]] == [
        "micro.h",
        "micro.c",
        "micro_ops.h",
        "micro_selftest.cc",
    ]
    assert output.with_suffix(".c").is_file()
    assert told["micro"]["arena_bytes"] > told["micro"]["activation_bytes"]
    assert main(["export", "--check", str(output), "--target", "micro", "--runtimes"]) == 0
    lines = capsys.readouterr().out
    assert f"arena      {told['micro']['arena_bytes']:,} bytes in TensorFlow Lite Micro" in lines
    assert "runtime    reference kernels: " in lines


def test_a_file_is_explained(model, capsys):
    keras_file, _ = model
    output = keras_file.with_name("dense.tflite")
    assert main(["export", str(keras_file), "--format", "fp32", "-o", str(output)]) == 0
    capsys.readouterr()
    assert main(["explain", str(output), "--against", str(output)]) == 0
    told = capsys.readouterr().out
    assert "stored densely" in told
    assert "multiply-adds computed" in told
    assert "estimate" in told
    assert "memory: Activations need at least " in told
    assert "  peak\n" in told
    figure = output.with_suffix(".svg")
    assert main(["explain", str(output), "--figure", str(figure), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memory"]["peak"]["live_bytes"] > 0
    assert figure.read_text().startswith("<svg")


@pytest.mark.usefixtures("seeded")
def test_a_model_of_several_ends_goes_through_all_commands(tmp_path, capsys):
    from several_ends import inputs_of_two, two_by_two  # late: most tests need no TensorFlow

    model, x = two_by_two(), inputs_of_two(200)
    model.save(tmp_path / "two.keras")
    data = tmp_path / "two.npz"
    np.savez(data, what=np.asarray(model(x)["what"]).argmax(-1), **x)
    output, npz = tmp_path / "two.tflite", f"npz:{data}"
    arguments = ["export", str(tmp_path / "two.keras"), "--data", npz, "-o", str(output)]
    assert main([*arguments, "--format", "int8", "--ends", "uint8", "--margin", "0.2"]) == 0
    assert "Scores by output: what " in capsys.readouterr().err
    assert main(["export", "--check", str(output), "--data", npz, "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert {spec["dtype"] for spec in (*seen["takes"], *seen["gives"])} == {"uint8"}
    assert seen["qualities"]["what"]["accuracy"] > 0.8
    assert main(["explain", str(tmp_path / "two.keras"), "--data", npz]) == 0
    assert "With all layers rounded to 8 bits, accuracy goes from " in capsys.readouterr().out
    np.savez(data, image=x["image"])
    assert main(arguments) == 1
    assert "It lacks motion." in capsys.readouterr().err
    assert main([*arguments[:3], "digits"]) == 1
    assert "takes its data from an .npz file" in capsys.readouterr().err


def test_what_rounding_costs_is_explained_layer_by_layer(model, capsys):
    keras_file, _ = model
    arguments = ["explain", str(keras_file), "--data", "digits", "--normalize", "unit"]
    assert main([*arguments, "--reach", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["keep"] == []
    assert all(each["divergence_alone"] > 0 for each in told["layers"])
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2 : 2 + len(told["layers"])]] == [
        each["layer"] for each in told["layers"]
    ]
    assert main(["explain", str(keras_file)]) == 2
    assert "Give --data" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["export", "--check"], ["explain"], ["ticket", "show"]], ids=" ".join
)
def test_damaged_files_are_a_clear_error(tmp_path, capsys, command):
    path = tmp_path / "damaged.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + b"\xff" * 500)
    assert main([*command, str(path)]) == 1
    error = capsys.readouterr().err
    assert "Error: " in error
    assert "damaged.tflite" in error


def test_a_ticket_without_its_run_says_what_to_do(model, capsys):
    _, ticket_file = model
    assert main(["export", str(ticket_file)]) == 1
    assert "Give the run directory; or the trained model, with --ticket" in capsys.readouterr().err
