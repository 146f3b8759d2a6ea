"""Any `.tflite` file, ours or not, looked at again."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from exports import layers
from helpers import mlp
from sklearn.datasets import load_digits
from tflite_files import file_of

from tfticket.errors import ExportError
from tfticket.export.check import check_file
from tfticket.export.explain import explain
from tfticket.export.flatbuffer import parse
from tfticket.export.metadata import read_provenance
from tfticket.export.micro import check_micro
from tfticket.export.terminal import check_lines

COMMANDS = (
    check_file,
    read_provenance,
    lambda path: explain(parse(path.read_bytes(), source=str(path))),
    lambda path: check_micro(parse(path.read_bytes(), source=str(path)), str(path)),
)


@pytest.mark.parametrize("format", ["fp32", "int8", "sparse_fc"])
def test_our_files_pass_and_tell_where_they_are_from(exported, format):
    seen = check_file(exported.reports[format].path)
    assert (seen.inputs, seen.count) == ("random", 200)
    assert seen.sizes.raw == exported.reports[format].size_bytes
    assert seen.provenance["format"] == format
    assert seen.delegate_difference < 0.05
    zeros = {tensor.name: tensor.zeros for tensor in seen.tensors}
    expected = [count.zeros_in_file for count in exported.reports[format].zeros]
    assert sorted(zeros.values())[-len(expected) :] == sorted(expected)
    assert json.loads(json.dumps(seen.to_dict(), default=str))["host"] == seen.host


@pytest.mark.parametrize("format", ["fp32", "int8"])
def test_raw_data_is_brought_to_the_input_as_the_file_says(exported, format):
    report = exported.reports[format]
    raw, y = load_digits(return_X_y=True)
    raw = raw.reshape(-1, 8, 8, 1)[1000:1300]
    seen = check_file(report.path, raw=raw, y=y[1000:1300])
    assert (seen.inputs, seen.count) == ("given", 300)
    assert seen.accuracy == pytest.approx(report.verification.accuracy, abs=0.01)
    assert any(line.startswith("accuracy") for line in check_lines(seen))


def test_a_foreign_file_passes_too(tmp_path):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(file_of(mlp()))
    seen = check_file(path)
    assert seen.provenance is None
    assert "not made by tfticket" in check_lines(seen)[-1]
    with pytest.raises(ExportError, match="say how raw data becomes its input"):
        check_file(path, raw=np.zeros((5, 6)))


def test_data_of_another_shape_is_refused(exported):
    with pytest.raises(ExportError, match=r"examples of the shape .*\(8, 8, 1\)"):
        check_file(exported.reports["fp32"].path, raw=np.zeros((5, 6)))


@pytest.mark.parametrize("command", range(len(COMMANDS)))
@pytest.mark.parametrize("damage", ["empty", "text", "cut", "half", "noise", "missing"])
def test_damaged_and_foreign_files_give_a_clear_error(exported, tmp_path, command, damage):
    content = exported.reports["int8"].path.read_bytes()
    path = tmp_path / "damaged.tflite"
    if damage != "missing":
        noise = np.random.default_rng(0).integers(0, 256, len(content) - 8, np.uint8).tobytes()
        path.write_bytes(
            {
                "empty": b"",
                "text": b"This is no model. " * 20,
                "cut": content[:100],
                "half": content[: len(content) // 2],
                "noise": content[:8] + noise,
            }[damage]
        )
    if damage == "missing" and command > 1:
        return  # these take bytes
    with pytest.raises(ExportError) as caught:
        COMMANDS[command](path)
    assert "damaged.tflite" in str(caught.value)


def test_one_flipped_byte_of_the_weights_is_found(exported, tmp_path):
    content = bytearray(exported.reports["fp32"].path.read_bytes())
    kernel = exported.model.get_layer("output").layer.kernel.numpy()
    weights = np.ascontiguousarray(kernel.T).tobytes()
    place = bytes(content).find(weights)
    assert place > 0
    content[place + 5] ^= 0x10
    path = tmp_path / "flipped.tflite"
    path.write_bytes(bytes(content))
    for command in COMMANDS[:2]:
        with pytest.raises(ExportError, match="damaged or was changed"):
            command(path)


def test_any_cut_and_any_changed_byte_is_an_error_or_harmless(exported, tmp_path):
    """Never a crash of the process, never another kind of exception."""
    content = exported.reports["int8"].path.read_bytes()
    rng = np.random.default_rng(1)
    path = tmp_path / "changed.tflite"
    for _ in range(40):
        changed = bytearray(content)
        for place in rng.integers(0, 3000, 3):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(bytes(changed))
        try:
            parse(path.read_bytes(), source=path.name)
        except ExportError:
            continue


def test_dynamic_shapes_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    path = tmp_path / "dynamic.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    with pytest.raises(ExportError, match="static shapes"):
        check_file(path)
