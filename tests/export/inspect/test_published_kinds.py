"""Files of the kinds that people publish: what `check` and `explain` say of them is so."""

import functools

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from published_kinds import KINDS

from tfticket.errors import ExportError
from tfticket.export import check_file, explain_file
from tfticket.export.inspect.check import check_lines
from tfticket.export.micro import has_micro

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
needs_micro = pytest.mark.skipif(not has_micro(), reason="tflite-micro isn't installed")


@pytest.fixture(scope="module")
def file_of_kind(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")

    @functools.cache
    def made(kind):
        path = folder / f"{kind}.tflite"
        path.write_bytes(KINDS[kind]())
        return path

    return made


def rules(path):
    return {found.rule: found for found in explain_file(path).explanations}


def said(seen):
    return "\n".join(check_lines(seen))


# What of its operators, inputs and outputs is told, and which rule of `explain` it brings up.
EXPECTED = {
    "wake_word": ("1 CALL_ONCE", "takes      int8 [1, 1, 4], gives uint8 [1, 2]", "state"),
    "landmarks": ("4 DEQUANTIZE", "gives float32 [1, ", "half_unpacked"),
    "pitch": ("1 AVERAGE_POOL_2D", "takes      float32 [32], gives float32 [8]", "dynamic_shapes"),
    "old_uint8": ("1 FULLY_CONNECTED", "takes      uint8 [1, 8], gives uint8 [1, 5]", "old_uint8"),
    "detection": ("1 custom:TFLite_Detection", "float32 [1] `count`", "custom_in_litert"),
    "sixteen_by_eight": ("1 CONV_2D", "takes      int16 [1, 8, 8, 1], gives int16", "int16x8"),
    "dynamic_range": ("2 FULLY_CONNECTED", "takes      float32 [1, 64]", "hybrid"),
    "sparse": ("2 FULLY_CONNECTED", "takes      float32 [1, 64]", "dense_zeros"),
    "control_flow": ("1 WHILE", "takes      float32 [1, 4]", "other_graphs"),
    "two_signatures": ("1 TILE", "note       It has 2 signatures", "other_bytes"),
    "words": ("1 HASHTABLE_FIND", "takes      bytes [2], gives int64 [2]", "other_bytes"),
    "with_labels": ("1 FULLY_CONNECTED", "which no runtime reads: labels.txt", "floats"),
}  # fmt: skip


@pytest.mark.parametrize("kind", EXPECTED)
def test_what_is_told_of_each_kind(file_of_kind, kind):
    operator, ends, rule = EXPECTED[kind]
    seen = check_file(file_of_kind(kind))
    assert operator in said(seen)
    assert ends in said(seen)
    assert len(seen.delegate_differences) == len(seen.gives)
    assert rule in rules(file_of_kind(kind))


def test_all_kinds_are_looked_at():
    assert EXPECTED.keys() | {"flex"} == KINDS.keys()


def test_operators_of_tensorflow_are_named_and_refused(file_of_kind):
    path = file_of_kind("flex")
    with pytest.raises(ExportError, match=r"LiteRT doesn't have: FlexMatrixInverse\. "):
        check_file(path)
    assert rules(path)["custom"].name == "custom:FlexMatrixInverse"


def test_a_state_is_told_with_its_bytes_and_begins_anew(file_of_kind):
    path = file_of_kind("wake_word")
    seen = check_file(path)
    assert [state.size_bytes for state in seen.states] == [3 * 4]
    assert "1 variable of 12 bytes" in said(seen)
    assert "answered otherwise the second time" in said(seen)
    assert "pseudo_qconst" not in said(seen)  # the numbers that the state begins with
    memory = explain_file(path).memory
    assert memory.state_bytes == 12
    # By hand: the runtime itself answers the same input otherwise the second time.
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for _ in range(2):
        interpreter.set_tensor(given["index"], np.full((1, 1, 4), 77, np.int8))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(made["index"]))
    assert not np.array_equal(*answers)


RUN_ON_MICRO = {
    "wake_word": None,
    "detection": "with floats, in 1 of 1 operator",
    "sixteen_by_eight": None,
    "control_flow": "with floats, in 1 of 1 operator",
    "with_labels": "with floats, in 1 of 1 operator",
    "pitch": "with the sides that the file stores, [1]",
}
REFUSED_BY_MICRO = {
    "landmarks": r"DEQUANTIZE .* tensors of type FLOAT16: .* it has no kernels",
    "old_uint8": r"FULLY_CONNECTED with UINT8 data and UINT8 weights `w`",
    "dynamic_range": r"FULLY_CONNECTED with FLOAT32 data and INT8 weights",
    "sparse": r"which it would read as dense: wrong weights",
    "two_signatures": r"operators that it doesn't have: TILE",
    "words": r"operators that it doesn't have: HASHTABLE, ",
}


@needs_micro
@pytest.mark.parametrize("kind", RUN_ON_MICRO)
def test_what_micro_runs_is_run_and_compared(file_of_kind, kind):
    seen = check_file(file_of_kind(kind), target="micro", runtimes=True)
    assert seen.arena.arena_bytes > 0
    note = RUN_ON_MICRO[kind]
    assert (note or "arena") in said(seen)
    assert ("with floats" in said(seen)) == (note is not None)
    for answers in seen.runtimes[: 2 if kind == "pitch" else 3]:
        assert answers.refusal is None
        assert max(answers.differences) <= 1
    if kind == "pitch":
        assert "takes no other shapes than the file stores, (1,)" in seen.runtimes[2].refusal


@needs_micro
@pytest.mark.parametrize("kind", REFUSED_BY_MICRO)
def test_what_micro_cannot_run_is_told_with_why(file_of_kind, kind):
    with pytest.raises(ExportError, match=REFUSED_BY_MICRO[kind]) as caught:
        check_file(file_of_kind(kind), target="micro")
    assert "Copy it again" not in str(caught.value)


def test_accuracy_of_several_outputs_is_told_of_data_by_name(file_of_kind):
    path = file_of_kind("landmarks")
    specs = check_file(path)
    (given,) = specs.takes
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 16, 16, 3)).astype("float32")
    points, score = sorted(specs.gives, key=lambda spec: -spec.shape[1])
    data = {given.name: x, score.name: np.ones(20, int), points.name: np.zeros((20, 21)) + 0.5}
    seen = check_file(path, raw=data)
    assert (seen.inputs, seen.count) == ("given", 20)
    assert seen.qualities.keys() == {score.name, points.name}
    assert seen.qualities[points.name]["error"] > 0
    assert seen.accuracy == seen.qualities[score.name]["accuracy"]
    assert f"`{points.name}`: error " in said(seen)
    with pytest.raises(ExportError, match="an array for each input of"):
        check_file(path, raw={"nothing": x})


def test_memory_is_told_operator_by_operator(file_of_kind):
    memory = explain_file(file_of_kind("landmarks")).memory
    assert memory.peak.operator.startswith("CONV_2D")
    assert memory.peak.live_bytes == 4 * 16 * 16 * 3 + 4 * 14 * 14 * 8
    assert sum(memory.peak.largest.values()) == memory.peak.live_bytes
    assert memory.unpacked_bytes == 4 * (27 * 8 + 8 * 21 + 8 * 1 + 8)
    assert not any("DEQUANTIZE" in each.operator for each in memory.operators)
    lines = list(memory.lines())
    assert len(lines) == len(memory.operators)
    assert [line for line in lines if line.endswith("peak")] == [
        line for line in lines if "CONV_2D" in line
    ]
    assert "activations alive (KiB)" in explain_file(file_of_kind("landmarks")).plot().svg
