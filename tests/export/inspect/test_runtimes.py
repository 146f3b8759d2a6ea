"""Answers of several runtimes, and the first operator where they part."""

import keras
import numpy as np
import pytest
from edge_nets import convnet, examples_for, int8_of, layers, raw
from tflite_files import dense_net, file_of, parsed

from tfticket.errors import ExportError
from tfticket.export import check_file, flatbuffer
from tfticket.export.inspect import runtimes
from tfticket.export.inspect.check import check_lines
from tfticket.export.inspect.runtimes import (
    DELEGATE,
    MICRO,
    REFERENCE,
    Answers,
    compare_runtimes,
    difference,
)
from tfticket.export.micro import arena_of
from tfticket.export.runtime import Loaded

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture(scope="module")
def content():
    keras.utils.set_random_seed(7)
    return int8_of(convnet())


def feeds_for(content, x):
    (spec,) = Loaded(content, source="it").inputs
    return [[spec.quantize(example[None])] for example in x]


@pytest.fixture(scope="module")
def feeds(content):
    return feeds_for(content, examples_for(convnet())[:3])


def test_all_runtimes_answer_to_a_unit_and_the_operator_is_one_of_the_file(content, feeds):
    found = compare_runtimes(content, feeds, source="it")
    assert [each.runtime for each in found] == [DELEGATE, REFERENCE, MICRO]
    named = [f"{name} {place}" for place, (name, _) in enumerate(graph(content).named())]
    for each in found:
        assert each.refusal is None
        assert len(each.differences) == 1
        assert max(each.differences) <= 2
        assert each.first in named if any(each.differences) else each.first is None


def graph(content):
    return flatbuffer.graphs(parsed(content))[0]


@pytest.mark.parametrize("name", [DELEGATE, REFERENCE, MICRO])
@pytest.mark.parametrize("changed", [0, 2])
def test_the_first_operator_that_differs_is_found(content, feeds, name, changed, monkeypatch):
    """The runtime runs a file with another bias in one of its layers."""
    model = parsed(content)
    whole = flatbuffer.graphs(model)[0]
    weighted = [
        (place, operator)
        for place, operator in enumerate(whole.operators)
        if len(operator.inputs) == 3
    ]
    place, operator = weighted[changed]
    bias = model.buffers[whole.tensor(operator.inputs[2]).buffer]
    numbers = np.frombuffer(bytes(bias.data), np.int32) + 20_000
    bias.data = np.frombuffer(numbers.tobytes(), np.uint8)
    other = flatbuffer.pack(model)
    expected = runtimes._plain(content, parsed(content), feeds)
    runtime = runtimes._RUNTIMES[name]
    inside = runtime.inside or runtime.run
    # Rounding apart, all runtimes agree with the plain kernels before the layer that was changed.
    monkeypatch.setattr(runtimes, "difference", lambda *a: max(0.0, difference(*a) - 2))
    found = runtimes._first(graph(content), expected, inside(other, parsed(other), feeds))
    assert found == f"{whole.name(operator)} {place}"
    assert (
        runtimes._first(graph(content), expected, inside(content, parsed(content), feeds)) is None
    )


def test_what_a_difference_means():
    units = np.array([[1, -3]], np.int8)
    assert difference(units, np.array([[2, -7]], np.int8)) == 4.0
    floats = np.array([[0.0, 2.0]], np.float32)
    assert difference(floats, floats + 1e-6) == 0.0
    assert difference(floats, floats + 0.5) == 0.25
    assert difference(floats, floats * np.nan) == float("inf")
    assert difference(floats, floats[0]) == float("inf")


def test_what_is_unpacked_is_no_result_to_compare():
    """A delegate unpacks weights of float16 for itself, and ends a file that gives them."""
    net = parsed(file_of(convnet(), "fp16"))
    content, graph = flatbuffer.pack(net), flatbuffer.graphs(net)[0]
    feeds = [(x[None],) for x in examples_for(convnet())[:2]]
    expected = runtimes._plain(content, net, feeds)
    found = runtimes._behind_each(content, net, feeds)
    assert found[0].keys() == expected[0].keys()
    assert len(found[0]) == sum(not graph.unpacks(operator) for operator in graph.operators)
    assert runtimes._first(graph, expected, found) is None


def test_floats_are_run_in_all_of_them(tmp_path):
    found = compare_runtimes(
        file_of(dense_net(4, 2), "fp32"), [[np.ones((1, 16), "float32")]], source="it"
    )
    assert [(each.differences, each.first) for each in found] == [((0.0,), None)] * 3
    assert found[2].summary() == "TensorFlow Lite Micro: the same answers"


def test_several_inputs_and_outputs(tmp_path):
    left, right = (keras.Input((3,), batch_size=1, name=name) for name in ("left", "right"))
    joined = layers.Add()([left, right])
    model = keras.Model([left, right], [layers.Dense(2)(joined), layers.Dense(5)(joined)])
    path = tmp_path / "two.tflite"
    path.write_bytes(raw(model))
    seen = check_file(path, runtimes=True)
    assert [len(each.differences) for each in seen.runtimes] == [2, 2, 2]
    assert not any(any(each.differences) for each in seen.runtimes)
    assert "runtime    reference kernels: the same answers" in check_lines(seen)


def test_what_micro_lacks_is_named():
    content = file_of(
        keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="gelu")]), "fp32"
    )
    micro = compare_runtimes(content, [[np.ones((1, 4), "float32")]], source="it")[2]
    assert "operators that it doesn't have: GELU" in micro.refusal
    assert micro.summary().startswith("TensorFlow Lite Micro: not run: ")


def test_summaries_say_the_unit():
    assert Answers(DELEGATE, (1.0, 3.0), "CONV_2D 0").summary() == (
        "default delegate: answers differ by 1 unit of the last place, 3 units of the last place, "
        "first at CONV_2D 0"
    )
    assert Answers(DELEGATE, (0.0, 0.0125)).summary() == (
        "default delegate: answers differ by nothing, 0.013 of its range"
    )


def test_a_check_for_micro_tells_the_arena_or_refuses(content, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    seen = check_file(path, target="micro")
    assert seen.arena == arena_of(content)
    assert seen.arena.arena_bytes > seen.arena.activation_bytes > 0
    assert seen.to_dict()["arena"]["arena_bytes"] == seen.arena.arena_bytes
    path.write_bytes(file_of(dense_net(4, 2), "fp32"))
    assert any(
        "with floats, in 2 of 2 operators" in n for n in check_file(path, target="micro").notes
    )
    path.write_bytes(file_of(dense_net(64, 10, density=1.0, inputs=(64,)), "dynamic"))
    with pytest.raises(ExportError, match="FLOAT32 data and INT8 weights"):
        check_file(path, target="micro")
