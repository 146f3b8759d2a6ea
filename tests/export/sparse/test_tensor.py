import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import ExportError
from tfticket.export.sparse import tensor


def sparse_matrix(seed, rows, columns, density):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns)).astype("float32")
    return np.where(rng.random(values.shape) < density, values, np.float32(0))


def decoded(sparsity, values, shape):
    return tensor.decode(values, sparsity, shape, name="t")


@given(
    st.integers(0, 2**31),
    st.integers(1, 9),
    st.integers(1, 6),
    st.sampled_from([1, 4]),
    st.floats(0, 1),
)
def test_what_is_encoded_is_decoded(seed, rows, columns, block, density):
    matrix = sparse_matrix(seed, rows, columns * block, density)
    sparsity, values = tensor.encode(matrix, block=block)
    np.testing.assert_array_equal(decoded(sparsity, values, matrix.shape), matrix)
    blocks = matrix.reshape(rows, columns, block).any(axis=2).sum()
    assert len(values) == max(blocks, 1) * block


@pytest.mark.parametrize(
    ("columns", "segments", "indices"),
    [(255, "Uint8", "Uint8"), (256, "Uint16", "Uint8"), (300, "Uint16", "Uint16")],
)
def test_the_smallest_type_that_fits_is_taken(columns, segments, indices):
    sparsity, _ = tensor.encode(np.ones((1, columns), np.float32))
    level = sparsity.dimMetadata[1]
    assert level.arraySegmentsType == getattr(schema.SparseIndexVector, f"{segments}Vector")
    assert level.arrayIndicesType == getattr(schema.SparseIndexVector, f"{indices}Vector")


def test_more_places_than_16_bits_count_need_32():
    sparsity, values = tensor.encode(np.ones((257, 256), np.float32))
    level = sparsity.dimMetadata[1]
    assert level.arraySegmentsType == schema.SparseIndexVector.Int32Vector
    assert tensor.encoded_bytes(sparsity, values) == 4 * 257 * 256 + 4 * 258 + 257 * 256


def test_axes_in_another_order_and_blocks_of_two_axes_are_decoded():
    # What the format's own documentation has as its example: blocks of 2 x 2, columns of blocks
    # within rows of blocks, only the blocks (0, 0) and (1, 1) stored.
    dense = np.array([[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 4], [0, 0, 0, 5]], np.float32)
    level, count = schema.DimensionMetadataT, schema.Uint8VectorT
    sparsity = schema.SparsityParametersT(
        traversalOrder=np.array([0, 1, 2, 3]), blockMap=np.array([0, 1])
    )
    vector = schema.SparseIndexVector.Uint8Vector
    columns = level(
        format=schema.DimensionType.SPARSE_CSR,
        arraySegmentsType=vector,
        arraySegments=count(values=np.array([0, 1, 2], np.uint8)),
        arrayIndicesType=vector,
        arrayIndices=count(values=np.array([0, 1], np.uint8)),
    )
    sparsity.dimMetadata = [level(denseSize=2), columns, level(denseSize=2), level(denseSize=2)]
    values = np.array([1, 0, 0, 2, 3, 4, 0, 5], np.float32)
    np.testing.assert_array_equal(decoded(sparsity, values, (4, 4)), dense)
    sparsity.traversalOrder = np.array([0, 1, 3, 2])  # the columns inside a block come first
    np.testing.assert_array_equal(
        decoded(sparsity, values[[0, 2, 1, 3, 4, 6, 5, 7]], (4, 4)), dense
    )


def broken(kind):
    sparsity, values = tensor.encode(np.eye(4, dtype=np.float32))
    level = sparsity.dimMetadata[1]
    match kind:
        case "a value too many":
            values = np.append(values, np.float32(1))
        case "a column too far":
            level.arrayIndices.values = np.array([0, 1, 2, 4], np.uint8)
        case "a list that ends early":
            level.arraySegments.values = np.array([0, 1, 2, 3, 3], np.uint8)
        case "a list that goes back":
            level.arraySegments.values = np.array([0, 2, 1, 3, 4], np.uint8)
        case "no list":
            level.arrayIndices = None
        case "a level too few":
            sparsity.dimMetadata = sparsity.dimMetadata[:1]
        case "an axis twice":
            sparsity.traversalOrder = np.array([1, 1])
        case "rows without end":
            sparsity.dimMetadata[0].denseSize = 2**31 - 1
    return values, sparsity


@pytest.mark.parametrize(
    "kind",
    [
        "a value too many",
        "a column too far",
        "a list that ends early",
        "a list that goes back",
        "no list",
        "a level too few",
        "an axis twice",
        "rows without end",
    ],
)
def test_a_tensor_that_contradicts_itself_is_an_error(kind):
    with pytest.raises(ExportError, match=r"Received: `t` of shape \(4, 4\), which doesn't"):
        tensor.decode(*broken(kind), (4, 4), name="t")
