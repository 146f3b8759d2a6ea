import keras
import numpy as np
import pytest
from edge_nets import convnet, examples_for, int8_of
from tflite_files import parsed

from tfticket.export import flatbuffer, slimming
from tfticket.export.micro import has_micro, run_on_micro
from tfticket.export.runtime import Session
from tfticket.export.slimming import slim

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture(scope="module")
def examples():
    return examples_for(convnet())[:10]


@pytest.fixture(scope="module")
def content():
    keras.utils.set_random_seed(7)
    return int8_of(convnet())


@pytest.fixture(scope="module")
def slimmed(content, examples):
    return slim(content, examples)


def stored(content):
    """The numbers of all constants, in order."""
    return [constant.values for constant in flatbuffer.constants(parsed(content))]


def test_weights_stay_and_what_no_runtime_reads_goes(content, slimmed):
    assert len(slimmed.content) == len(content) - slimmed.saved_bytes
    assert len(slimmed.content) < 0.85 * len(content)
    before, after = stored(content), stored(slimmed.content)
    assert len(before) == len(after)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    model = parsed(slimmed.content)
    assert not model.metadata
    assert not model.signatureDefs
    assert {flatbuffer.name_of(tensor) for tensor in flatbuffer.tensors(model)} == {"(unnamed)"}
    assert len(model.buffers) == 1 + len(before)
    assert slimmed.summary() == (
        f"Slimmed from {len(content):,} to {len(slimmed.content):,} bytes with bit-identical "
        "answers in LiteRT and TensorFlow Lite Micro."
    )


def test_answers_are_bit_identical_on_other_examples_too(content, slimmed):
    x = np.random.default_rng(3).normal(size=(20, 8, 8, 1)).astype("float32")
    for delegate in (True, False):
        before, after = (
            Session(each, source="it", delegate=delegate).run(x)
            for each in (content, slimmed.content)
        )
        np.testing.assert_array_equal(before, after)
    assert has_micro(), "the dev extra has TensorFlow Lite Micro"
    before, after = (run_on_micro(each, x) for each in (content, slimmed.content))
    np.testing.assert_array_equal(before.stored, after.stored)
    assert after.arena.arena_bytes == before.arena.arena_bytes


def test_equal_lists_are_written_once(content):
    """Zero points, of which every channel has one, are the same list for weights and biases."""
    model = parsed(content)
    apart, shared = flatbuffer.pack(model), flatbuffer.pack(model, shared=True)
    repeated = set()
    saved = 0
    for tensor in flatbuffer.tensors(model):
        points = tensor.quantization.zeroPoint
        if points is None or not len(points):
            continue
        saved += points.nbytes if points.tobytes() in repeated else 0
        repeated.add(points.tobytes())
    assert len(apart) - len(shared) >= saved > 400
    again = flatbuffer.parse(shared, source="it")
    assert flatbuffer.pack(again) == apart


def test_a_cut_that_changes_an_answer_is_not_made(content, examples, slimmed, monkeypatch):
    def without_weights(model):
        for tensor in flatbuffer.tensors(model):
            if flatbuffer.type_name(tensor) == "INT8" and flatbuffer.is_constant(model, tensor):
                buffer = model.buffers[tensor.buffer]
                buffer.data = np.zeros_like(buffer.data)

    monkeypatch.setattr(slimming, "_CUTS", {"weights": without_weights, **slimming._CUTS})
    found = slim(content, examples)
    assert found.content == slimmed.content
    assert found.dropped == slimmed.dropped


def test_a_slim_file_cannot_get_slimmer(slimmed, examples):
    again = slim(slimmed.content, examples)
    assert (again.content, again.saved_bytes) == (slimmed.content, 0)
    assert again.summary() == "Nothing could be left out of the file."
