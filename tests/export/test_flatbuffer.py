import gzip

import numpy as np
import pytest
import zstandard
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.contents import check_structure
from tfticket.export.flatbuffer import Sizes

pytestmark = pytest.mark.slow


@pytest.fixture
def content(exported):
    return exported.reports["fp32"].path.read_bytes()


def damaged(content, kind):
    rng = np.random.default_rng(0)
    return {
        "empty": b"",
        "text": b"this is no model at all",
        "half": content[: len(content) // 2],
        "end missing": content[:-20],
        "mark only": content[:8],
        "mark and noise": content[:8] + rng.bytes(len(content) - 8),
        "mark and nothing": content[:8] + bytes(1000),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["empty", "text", "half", "end missing", "mark only", "mark and noise", "mark and nothing"],
)
def test_damaged_and_foreign_files_are_refused(content, kind):
    with pytest.raises(ExportError, match=r"^`a\.tflite` must"):
        flatbuffer.parse(damaged(content, kind), source="`a.tflite`")


def test_packing_what_was_parsed_gives_the_same_bytes(content):
    assert flatbuffer.pack(flatbuffer.parse(content, source="it")) == content


def test_weights_begin_at_multiples_of_16_bytes(content):
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    filled = [buffer for buffer in buffers if buffer.DataLength()]
    offsets = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in filled]
    assert len(offsets) > 5
    assert [offset % 16 for offset in offsets] == [0] * len(offsets)


def test_operators_are_counted_by_name(content):
    assert flatbuffer.operators(flatbuffer.parse(content, source="it")) == {
        "CONV_2D": 1,
        "DEPTHWISE_CONV_2D": 1,
        "RESHAPE": 1,
        "FULLY_CONNECTED": 2,
    }


def test_constants_are_the_weights(exported):
    sizes = {kernel.size for kernel in map(np.array, exported.model.get_weights())}
    for report in exported.reports.values():
        model = flatbuffer.parse(report.path.read_bytes(), source="it")
        found = [c for c in flatbuffer.constants(model) if c.values.ndim >= 2]
        assert len(found) == 4
        assert {c.values.size for c in found} <= sizes


def test_zero_is_where_the_stored_number_is_the_zero_point():
    values = np.array([[1, 2], [3, 4], [2, 9]], np.int8)
    by_row = flatbuffer.Constant("a", values, np.array([1, 3, 9]), 0)
    np.testing.assert_array_equal(by_row.is_zero, [[True, False], [True, False], [False, True]])
    by_column = flatbuffer.Constant("a", values, np.array([2, 2]), 1)
    np.testing.assert_array_equal(by_column.is_zero, [[False, True], [False, False], [True, False]])
    assert flatbuffer.Constant("a", values, np.array(9), 0).is_zero.sum() == 1


def test_custom_operators_and_unknown_sides_are_found(content):
    model = flatbuffer.parse(content, source="it")
    check_structure(model, "it")
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"FlexErf"
    assert flatbuffer.operators(model)["custom:FlexErf"] == 1
    with pytest.raises(ExportError, match="custom:FlexErf"):
        check_structure(model, "it")

    model = flatbuffer.parse(content, source="it")
    graph = model.subgraphs[0]
    inside, given = graph.tensors[int(graph.operators[0].outputs[0])], graph.tensors[0]
    inside.shapeSignature = np.array([-1, *inside.shape[1:]], np.int32)
    check_structure(model, "it")
    given.shapeSignature = np.array([-1, *given.shape[1:]], np.int32)
    assert flatbuffer.dynamic_tensors(model) == [given, inside]
    with pytest.raises(ExportError, match=r"static shapes.*serving_default"):
        check_structure(model, "it")


def test_names_of_others_may_be_missing_or_no_text(content):
    model = flatbuffer.parse(content, source="it")
    tensor = next(t for t in model.subgraphs[0].tensors if flatbuffer.is_constant(model, t))
    for name, called in (
        (None, "FULLY_CONNECTED 3"),
        (b"\xff\x1b[31mw", "\ufffd?[31mw"),
        ("w", "w"),
    ):
        tensor.name = name
        assert called in {constant.name for constant in flatbuffer.constants(model)}


def test_sizes_are_those_of_the_compressors(monkeypatch):
    content = (np.random.default_rng(0).random(4000) < 0.1).tobytes() * 2
    at_level = {
        level: len(zstandard.ZstdCompressor(level=level).compress(content)) for level in (9, 19)
    }
    assert at_level[19] < at_level[9] < len(content)
    found = Sizes.of(content)
    assert found == Sizes(len(content), len(gzip.compress(content, 9)), at_level[19])
    monkeypatch.setattr(flatbuffer, "_LARGE", len(content))
    assert Sizes.of(content).zstd == at_level[9]
