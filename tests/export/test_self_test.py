"""Sources for TensorFlow Lite Micro.

Its own sources aren't on every machine: with the folder of a built one in `TFLITE_MICRO` (headers
and `libtflm.a`; `TFLITE_MICRO_FLAGS` for the compiler) the self-test is compiled and run there.
"""

import ast
import os
import re
import shlex
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from edge_nets import convnet, examples_for, int8_of
from several_ends import Ring, inputs_of_two, stream, streaming, two_by_two
from tflite_files import file_of, parsed

from tfticket.errors import ExportError, RunError
from tfticket.export import flatbuffer, self_test, to_tflite
from tfticket.export.micro import check_on_micro
from tfticket.export.micro_rules import OPERATORS, registration_of
from tfticket.export.self_test import write_micro_sources

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture(scope="module")
def content():
    keras.utils.set_random_seed(7)
    return int8_of(convnet())


@pytest.fixture(scope="module")
def run(content):
    return check_on_micro(content, examples_for(convnet())[:12], "it")


@pytest.fixture(scope="module")
def sources(content, run, tmp_path_factory):
    return write_micro_sources(content, tmp_path_factory.mktemp("sources") / "net", run)


def numbers(text, name):
    """The rows of an array of the self-test."""
    body = re.search(rf"{name}\[kExamples\]\[\w+\] = {{\n(.*?)\n}};", text, re.DOTALL)[1]
    rows = re.findall(r"{([^}]*)}", body)
    return np.array(
        [[ast.literal_eval(number.strip()) for number in row.split(",")] for row in rows]
    )


def test_the_self_test_holds_ten_examples_and_their_answers(sources, run):
    assert [path.name for path in sources] == ["net.h", "net.c", "net_ops.h", "net_selftest.cc"]
    text = sources[3].read_text()
    np.testing.assert_array_equal(numbers(text, "given"), run.given[:10].reshape(10, -1))
    np.testing.assert_array_equal(numbers(text, "expected"), run.stored[:10].reshape(10, -1))
    assert text.isascii()


def test_the_header_names_the_arena_that_it_took(sources, run):
    text = sources[0].read_text()
    (size,) = re.findall(r"#define NET_ARENA_SIZE (\d+)", text)
    assert int(size) == run.arena.arena_bytes > run.arena.activation_bytes


def test_only_the_operators_of_the_file_are_registered(sources, content):
    text = sources[2].read_text()
    found = re.findall(r"resolver\.(\w+)\(\)", text)
    assert found == sorted(map(registration_of, flatbuffer.operators(parsed(content))))
    assert {"AddConv2D", "AddDepthwiseConv2D", "AddFullyConnected"} < set(found)
    assert f"MicroMutableOpResolver<{len(found)}>" in text


def test_registrations_are_called_as_its_header_calls_them():
    assert {registration_of(name) for name in OPERATORS} >= {
        "AddL2Pool2D", "AddRelu6", "AddBatchMatMul", "AddPadV2", "AddSelectV2", "AddSpaceToBatchNd",
        "AddUnidirectionalSequenceLSTM", "AddCumSum", "AddResizeNearestNeighbor",
    }  # fmt: skip


def test_without_a_run_there_is_no_self_test(content, tmp_path):
    names = {path.name for path in write_micro_sources(content, tmp_path / "net", None)}
    assert names == {"net.h", "net.c", "net_ops.h"} == {path.name for path in tmp_path.iterdir()}
    assert "ARENA_SIZE" not in (tmp_path / "net.h").read_text()


def test_all_are_written_or_none(content, run, tmp_path, monkeypatch):
    def full_disk(path, text):
        raise RunError("no room")

    monkeypatch.setattr(self_test, "write_text", full_disk)
    with pytest.raises(RunError, match="no room"):
        write_micro_sources(content, tmp_path / "net", run)
    assert not list(tmp_path.iterdir())


def test_a_file_that_it_has_no_kernels_for_is_refused(tmp_path):
    with pytest.raises(ExportError, match="tensors of type FLOAT16"):
        write_micro_sources(file_of(convnet(), "fp16"), tmp_path / "net", None)
    assert not list(tmp_path.iterdir())


needs_micro = pytest.mark.skipif(
    "TFLITE_MICRO" not in os.environ, reason="needs a built TensorFlow Lite Micro"
)


def outcome(sources, text, program):
    """Compile a self-test, and run it."""
    main = sources[0].with_name("main.cc")
    main.write_text(text)
    folder, flags = os.environ["TFLITE_MICRO"], os.environ.get("TFLITE_MICRO_FLAGS", "")
    subprocess.run(
        ["g++", "-std=c++17", *shlex.split(flags), "-I", folder, "-x", "c++", main, sources[1],
         "-x", "none", str(Path(folder) / "libtflm.a"), "-o", program],
        check=True,
    )  # fmt: skip
    return subprocess.run([program], capture_output=True, text=True, check=False)


@needs_micro
def test_the_self_test_compiles_and_passes_and_notices_another_answer(sources, run, tmp_path):
    text = sources[3].read_text()
    passed = outcome(sources, text, tmp_path / "selftest")
    assert passed.returncode == 0, passed
    used = int(re.search(r"10 of 10 answers equal, (\d+) of", passed.stdout)[1])
    assert used <= run.arena.arena_bytes
    first = numbers(text, "expected")[0]
    other = text.replace(f"{{{first[0]}, {first[1]}, ", f"{{{first[0] ^ 1}, {first[1]}, ")
    failed = outcome(sources, other, tmp_path / "selftest")
    assert failed.returncode == 1
    assert "9 of 10" in failed.stdout


@needs_micro
@pytest.mark.parametrize("kind", ["two inputs and outputs", "a state", "16 bits", "a float layer"])
def test_the_self_test_passes_for_other_files(kind, tmp_path):
    model, x, format = {
        "two inputs and outputs": lambda: (two_by_two(), inputs_of_two(), "int8"),
        "a state": lambda: (streaming(Ring(5)), stream(), "int8"),
        "16 bits": lambda: (convnet(), examples_for(convnet(), 200), "int16x8"),
        "a float layer": lambda: (convnet(), examples_for(convnet(), 200), "int8"),
    }[kind]()
    path, floats = tmp_path / "net.tflite", kind == "a float layer"
    kept = ["hidden"] if floats else []
    to_tflite(model, path, format=format, calibration=x, keep_float=kept)
    content = path.read_bytes()
    given = list(x.values()) if isinstance(x, dict) else x
    run = check_on_micro(content, given, "it", floats=floats)
    sources = write_micro_sources(content, tmp_path / "net", run)
    text = sources[3].read_text()
    passed = outcome(sources, text, tmp_path / "selftest")
    assert passed.returncode == 0, passed
    assert "10 of 10 answers equal" in passed.stdout
    names = re.findall(r"^const .* (expected\w*)\[", text, re.MULTILINE)
    for name in names:  # each output is compared
        row = numbers(text, name)[3]
        shown = ", ".join(map(str, row.tolist()))
        other = row[0] + 0.05 * np.ptp(row) if floats else row[0] ^ 1
        changed = ", ".join(map(str, [other, *row.tolist()[1:]]))
        before, _, after = text.partition(f" {name}[kExamples]")
        other = f"{before} {name}[kExamples]{after.replace(shown, changed, 1)}"
        assert outcome(sources, other, tmp_path / "selftest").returncode == 1
