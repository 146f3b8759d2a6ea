import numpy as np
import pytest

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, metadata, read_provenance
from tfticket.export.runtime import Session

pytestmark = pytest.mark.slow


@pytest.fixture
def content(exported):
    return exported.reports["fp32"].path.read_bytes()


def write(path, content):
    path.write_bytes(content)
    return path


def test_what_was_embedded_is_read_again_and_replaced(content, tmp_path):
    model = flatbuffer.parse(content, source="it")
    entries, buffers = len(model.metadata), len(model.buffers)
    for told in ({"a": [1, {"b": "é"}]}, {"a": 2}):
        metadata.embed(model, told)
        assert read_provenance(write(tmp_path / "a.tflite", flatbuffer.pack(model))) == told
    assert (len(model.metadata), len(model.buffers)) == (entries, buffers)


def test_the_order_of_names_does_not_show(content):
    packed = set()
    for told in ({"a": 1, "b": 2}, {"b": 2, "a": 1}):
        model = flatbuffer.parse(content, source="it")
        metadata.embed(model, told)
        packed.add(flatbuffer.pack(model))
    assert len(packed) == 1


def test_answers_are_the_same_with_other_provenance(content, exported):
    model = flatbuffer.parse(content, source="it")
    metadata.embed(model, {"long": "x" * 1001})
    x = exported.x[:5]
    np.testing.assert_array_equal(
        Session(flatbuffer.pack(model), source="it").run(x), Session(content, source="it").run(x)
    )


def test_a_changed_weight_is_noticed(content, exported, tmp_path):
    kernel = exported.model.get_layer("hidden").layer.kernel.numpy().T
    start = content.index(np.ascontiguousarray(kernel).tobytes())
    changed = bytearray(content)
    changed[start + 2] ^= 1
    with pytest.raises(ExportError, match="damaged or was changed"):
        read_provenance(write(tmp_path / "a.tflite", bytes(changed)))


def test_files_without_provenance_are_refused(content, tmp_path):
    model = flatbuffer.parse(content, source="it")
    model.metadata = [m for m in model.metadata if b"tfticket" not in m.name]
    with pytest.raises(ExportError, match="not exported by tfticket"):
        read_provenance(write(tmp_path / "a.tflite", flatbuffer.pack(model)))
    model = flatbuffer.parse(content, source="it")
    metadata.embed(model, {})
    model.buffers[model.metadata[-1].buffer].data = np.frombuffer(b"{not json", np.uint8)
    with pytest.raises(ExportError, match=r"provenance in .* is damaged"):
        read_provenance(write(tmp_path / "a.tflite", flatbuffer.pack(model)))


@pytest.mark.parametrize(
    "told",
    [
        "[1]",
        '"text"',
        '{"buffers_sha256": HASH, "provenance": 5}',
        '{"buffers_sha256": HASH, "made_by": ["x"]}',
        '{"buffers_sha256": HASH, "feeding": "1"}',
        '{"buffers_sha256": HASH, "a": "\\ud800"}',
        '{"buffers_sha256": HASH, "a": ' + "9" * 5000 + "}",
        '{"buffers_sha256": HASH, "a": ' + "[" * 99_999 + "]" * 99_999 + "}",
    ],
    ids=["list", "text", "number", "texts", "feeding", "half a letter", "digits", "nesting"],
)
def test_anything_that_stands_in_its_place_is_a_short_error(content, tmp_path, told):
    model = flatbuffer.parse(content, source="it")
    metadata.embed(model, {})
    buffer = model.metadata[-1].buffer
    told = told.replace("HASH", f'"{metadata._hash(model, buffer)}"')
    model.buffers[buffer].data = np.frombuffer(told.encode(), np.uint8)
    with pytest.raises(ExportError, match=r"provenance in .*a.tflite` is damaged") as caught:
        read_provenance(write(tmp_path / "a.tflite", flatbuffer.pack(model)))
    assert len(str(caught.value)) < 500


def test_what_is_no_file_is_told(content, tmp_path):
    with pytest.raises(ExportError, match="No such file"):
        read_provenance(tmp_path / "missing.tflite")
    with pytest.raises(ExportError, match="Is a directory"):
        read_provenance(tmp_path)
    with pytest.raises(ExportError, match="must load and run"):
        read_provenance(write(tmp_path / "a.tflite", content[:3000]))
