"""Several inputs and outputs, other types of them, 16-bit activations, and states."""

import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from several_ends import (
    COUNT,
    RNG,
    Ring,
    explicit_state,
    inputs_of_two,
    layers,
    stream,
    streaming,
    two_by_two,
)
from tflite_files import parsed

from tfticket.errors import ExportError
from tfticket.export import Preprocessing, export, run_on_micro, to_tflite
from tfticket.export.choice import choose
from tfticket.export.ends import input_names, one_each, output_names
from tfticket.export.flatbuffer import states, type_name
from tfticket.export.micro import has_micro
from tfticket.export.preparation import keeps_state
from tfticket.export.runtime import Examples, Loaded
from tfticket.export.verification import Verification, reference_of, verify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
needs_micro = pytest.mark.skipif(not has_micro(), reason="tflite-micro isn't installed")


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(3)
    return two_by_two()


@pytest.fixture(scope="module")
def x():
    return inputs_of_two()


@pytest.fixture(scope="module")
def y(net, x):
    """The class that the network says, and numbers that it nearly says; a few are wrong."""
    said = net(x)
    what = np.asarray(said["what"]).argmax(-1)
    what[:12] = (what[:12] + 1) % 3
    where = np.asarray(said["where"])
    return {"what": what, "where": where + 0.1 * where.std() * RNG.normal(size=where.shape)}


def made(model, tmp_path, format="fp32", **options):
    return to_tflite(model, tmp_path / "net.tflite", format=format, **options)


def test_the_signature_has_the_names_of_the_model_and_calls_work_by_them(net, x, tmp_path):
    report = made(net, tmp_path, check_on=(x, None))
    assert [spec.name for spec in report.takes] == ["image", "motion"] == [*input_names(net)]
    assert [spec.name for spec in report.gives] == ["what", "where"] == [*output_names(net)]
    runner = Interpreter(str(report.path)).get_signature_runner("serving_default")
    one = {name: array[:1] for name, array in x.items()}
    found, expected = runner(**one), net(one)
    for name in ("what", "where"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("format", "ends", "types"),
    [
        ("int8", None, {"INT8"}),
        ("int8", "uint8", {"UINT8"}),
        ("int8", "float32", {"FLOAT32"}),
        ("int16x8", None, {"INT16"}),
    ],
)
def test_each_output_is_verified_in_every_type(net, x, y, tmp_path, format, ends, types):
    options = {"calibration": x, "check_on": (x, y), "min_agreement": 0.9}
    report = made(net, tmp_path, format, ends=ends, **options)
    graph = parsed(report.path.read_bytes()).subgraphs[0]
    assert {type_name(graph.tensors[n]) for n in (*graph.inputs, *graph.outputs)} == types
    what, where = report.verification.outputs
    assert (what.name, where.name) == ("what", "where")
    assert what.keras_accuracy == 1 - 12 / COUNT
    assert what.accuracy == pytest.approx(what.keras_accuracy, abs=0.03)
    assert (where.accuracy, what.error) == (None, None)
    assert where.explained == pytest.approx(where.keras_explained, abs=0.03)
    whole = report.verification
    assert whole.max_difference == max(what.max_difference, where.max_difference)
    assert whole.scores == (what.accuracy, where.explained)
    told = json.loads(report.report_path.read_text())
    assert [spec["name"] for spec in told["takes"]] == ["image", "motion"]
    assert [each["name"] for each in told["verification"]["outputs"]] == ["what", "where"]


def test_sixteen_bits_are_nearer_than_eight(net, x, tmp_path):
    options = {"calibration": x, "check_on": (x, None), "min_agreement": 0.5}
    eight, sixteen = (
        made(net, tmp_path, f, **options).verification.outputs for f in ("int8", "int16x8")
    )
    for rough, fine in zip(eight, sixteen, strict=True):
        assert fine.max_difference < rough.max_difference / 2


def test_an_output_that_is_wrong_is_named(net, x, tmp_path):
    content = made(net, tmp_path, check_on=(x, None)).path.read_bytes()
    right = reference_of(net, None, (x, None))
    what, where = right.expected
    moved = replace(right, expected=(what, replace(where, outputs=where.outputs * 1.1)))
    with pytest.raises(ExportError, match=r"^It at the output 'where' must answer as the Keras"):
        verify(content, moved, format="fp32", min_agreement=0.9, source="It")


def test_what_is_missing_or_of_another_length_is_told_by_name(net, x, tmp_path):
    with pytest.raises(ExportError, match=r"for each of image, motion\. Received: image"):
        made(net, tmp_path, check_on=({"image": x["image"]}, None))
    with pytest.raises(ExportError, match=r"Received: an array of shape \(240, 3\)"):
        made(net, tmp_path, check_on=(x["motion"], None))
    short = {**x, "motion": x["motion"][:7]}
    with pytest.raises(ExportError, match="240 of image, 7 of motion"):
        made(net, tmp_path, check_on=(short, None))
    with pytest.raises(ExportError, match=r"`check_on\[0\]\['motion'\]` must be one example"):
        made(net, tmp_path, check_on=({**x, "motion": x["image"]}, None))
    labels = {"what": np.zeros(5, int), "where": None}
    with pytest.raises(ExportError, match="240 examples and 5 labels at the output 'what'"):
        made(net, tmp_path, check_on=(x, labels))
    with pytest.raises(ExportError, match=r"`ends` of the format int16x8 must be one of"):
        made(net, tmp_path, "int16x8", ends="uint8", calibration=x)
    with pytest.raises(ExportError, match="which input it is of"):
        made(net, tmp_path, check_on=(x, None), preprocessing=Preprocessing.of(0.5, 0.0))


def test_names_and_order_are_those_of_the_model():
    a, b = keras.Input((2,), name="zeta"), keras.Input((2,), name="alpha")
    joined = layers.Concatenate(name="joined")([a, b])
    last = layers.Dense(3, name="last")(joined)
    listed = keras.Model([a, b], [last, joined, last])
    assert input_names(listed) == ("zeta", "alpha")
    assert output_names(listed) == ("last", "joined", "last_1")
    nested = keras.Model([a, b], {"y": last, "x": [joined, last]})
    assert output_names(nested) == ("x/0", "x/1", "y")
    assert one_each({"b": 1, "a": 2}, ("a", "b"), "it") == (2, 1)


def test_the_same_tensor_may_come_out_twice(tmp_path):
    a, b = keras.Input((2,), name="zeta"), keras.Input((2,), name="alpha")
    last = layers.Dense(3, name="last")(layers.Concatenate()([a, b]))
    report = made(keras.Model([a, b], [last, b, last]), tmp_path)
    assert [spec.name for spec in report.gives] == ["last", "alpha", "last_1"]
    assert [spec.shape for spec in report.gives] == [(1, 3), (1, 2), (1, 3)]


def test_raw_data_is_told_for_each_input(net, x, tmp_path):
    prepared = {"image": Preprocessing.of(1 / 255, -0.5)}
    report = made(net, tmp_path, check_on=(x, None), preprocessing=prepared)
    assert report.feeding["image"]["scale"] == [1 / 255]
    assert report.feeding["motion"]["scale"] == [1.0]


@needs_micro
def test_a_microcontroller_gets_all_ends_and_a_self_test_of_them(net, x, y, tmp_path):
    done = export(
        net, tmp_path / "net.tflite", target="micro", calibration=x, check_on=(x, y), margin=0.05
    )
    content = done.report.path.read_bytes()
    run = run_on_micro(content, [each[:20] for each in x.values()])
    expected = Loaded(content, source="it").run_all(Examples.of(x).first(20))
    for ours, theirs, spec in zip(run.outputs, expected, done.report.gives, strict=True):
        assert np.abs(ours - theirs).max() <= 2.1 * spec.scale
    header, _, _, test = (path.read_text() for path in done.sources)
    assert "/* motion: INT8 of shape [1, 3]. */\n#define NET_INPUT_1_SHAPE {1, 3}" in header
    assert "#define NET_OUTPUT_0_SIZE 3" in header
    assert "const int8_t given_1[kExamples][NET_INPUT_1_SIZE] = {" in test
    assert "interpreter.output(1)->data.raw, expected_1[i]" in test
    assert "Scores by output: what " in done.reason
    starts = "import sys; from tflite_micro import runtime as r; r.Interpreter.from_bytes(open("
    starts += "sys.argv[1], 'rb').read(), arena_size=int(sys.argv[2]))"
    smallest, ended = run.arena.arena_bytes, []
    for size in (smallest, smallest - 16):
        command = [sys.executable, "-c", starts, done.report.path, str(size)]
        ended.append(subprocess.run(command, capture_output=True, check=False).returncode)
    assert ended[0] == 0 != ended[1]


def test_no_output_may_lose_more_than_the_margin(net, x, y, tmp_path):
    done = export(net, tmp_path / "net.tflite", formats=["fp16"], check_on=(x, y))
    first, half = done.comparison.attempts
    report = half.draft.report
    what, where = report.verification.outputs
    worse = replace(what, accuracy=what.accuracy - 0.1), replace(where, explained=1.0)
    report = replace(report, verification=Verification.of_several(worse))
    assert report.verification.score > first.score - 0.1
    traded = replace(half, draft=replace(half.draft, report=report))
    with pytest.raises(ExportError, match="None did"):
        choose(replace(done.comparison, attempts=(first, traded)), objective="bytes", margin=0.05)


RECURRENT = {
    "ring": lambda: Ring(3),
    "lstm": lambda: layers.LSTM(5, stateful=True),
    "gru": lambda: layers.GRU(4, stateful=True),
}


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("format", ["fp32", "int8"])
def test_a_state_is_kept_by_the_file_as_by_the_model(kind, format, tmp_path):
    model, x = streaming(RECURRENT[kind]()), stream(25)
    assert keeps_state(model)
    options = {"calibration": x, "check_on": (x, None), "min_agreement": 0.8}
    report = made(model, tmp_path, format, **options)
    assert any("keeps a state between inferences" in said for said in report.warnings)
    content = report.path.read_bytes()
    assert states(parsed(content))
    loaded, steps = Loaded(content, source="it"), Examples((x,))
    (first,), (again,) = loaded.run_all(steps), loaded.run_all(steps)
    expected = np.concatenate([np.asarray(model(step[None], training=False)) for step in x])
    tolerance = 1e-5 if format == "fp32" else 0.08 * np.abs(expected).max()
    np.testing.assert_allclose(first, expected, atol=tolerance)
    assert np.abs(again[0] - first[0]).max() > 0  # it goes on where the stream had ended
    loaded.reset()
    np.testing.assert_array_equal(loaded.run_all(steps)[0], first)


def test_exporting_leaves_the_state_of_the_model_alone(tmp_path):
    model, x = streaming(layers.LSTM(5, stateful=True)), stream(15)
    lstm = model.layers[0]
    for step in x[:3]:
        model(step[None], training=False)
    before = [state.numpy() for state in lstm.states]
    made(model, tmp_path, "int8", calibration=x, check_on=(x, None), min_agreement=0.5)
    for state, value in zip(lstm.states, before, strict=True):
        np.testing.assert_array_equal(state.numpy(), value)
    lstm.reset_state()  # the file begins with zeros, whatever the model had heard
    found = Loaded((tmp_path / "net.tflite").read_bytes(), source="it").run_all(Examples((x,)))[0]
    expected = np.concatenate([np.asarray(model(step[None], training=False)) for step in x])
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())


@keras.saving.register_keras_serializable(package="tests")
class Jitter(layers.Layer):
    """Noise in inference too, which changes the state of a random generator and nothing else."""

    def build(self, shape):
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)


def test_random_numbers_are_no_state():
    assert not keeps_state(keras.Sequential([keras.Input((3,)), Jitter()]))
    assert not keeps_state(keras.Sequential([keras.Input((3,)), layers.BatchNormalization()]))


@needs_micro
def test_a_state_is_kept_on_a_microcontroller(tmp_path):
    model, x = streaming(Ring(3)), stream(50)
    done = export(model, tmp_path / "net.tflite", target="micro", calibration=x, check_on=(x, None))
    assert "bit-identical answers in LiteRT and TensorFlow Lite Micro" in done.reason
    test = done.sources[3].read_text()
    assert "tflite::MicroResourceVariables::Create(allocator, 1);" in test


def test_a_state_can_go_in_and_come_out(tmp_path):
    model = explicit_state()
    assert not keeps_state(model)
    x = {"step": stream(), "state": np.tanh(RNG.normal(size=(COUNT, 4))).astype("float32")}
    options = {"calibration": x, "check_on": (x, None)}
    report = made(model, tmp_path, "int8", ends="float32", min_agreement=0.9, **options)
    assert [spec.name for spec in report.gives] == ["answer", "state_after"]
    assert states(parsed(report.path.read_bytes())) == []
