"""Sparse storage of one tensor, as TensorFlow Lite files have it: from an array and back.

The format (`SparsityParameters` of the schema) names, level by level, which positions are stored.
A level is dense (all positions of one axis) or compressed: a list of positions for each position of
the level above, and where in the list each begins. Axes can be split into blocks, whose insides are
levels of their own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError

_INDEX_VECTORS = (
    (np.uint8, schema.SparseIndexVector.Uint8Vector, schema.Uint8VectorT),
    (np.uint16, schema.SparseIndexVector.Uint16Vector, schema.Uint16VectorT),
    (np.int32, schema.SparseIndexVector.Int32Vector, schema.Int32VectorT),
)


def encode(matrix: np.ndarray, *, block: int = 1) -> tuple[Any, np.ndarray]:
    """Store the nonzero entries of a matrix, row by row.

    Args:
        matrix: Shape (rows, columns).
        block: How many neighbors in a row are stored together, as soon as one of them isn't zero;
            `columns` must be a multiple of it.

    Returns:
        A `SparsityParametersT` and what is stored, shape (n,), never empty: without data, a runtime
        would take the tensor for one that is computed.
    """
    rows, columns = matrix.shape
    blocks = matrix.reshape(rows, columns // block, block)
    stored = (blocks != 0).any(axis=2)
    if not stored.any():
        stored[0, 0] = True
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = np.arange(2 if block == 1 else 3, dtype=np.int32)
    sparsity.dimMetadata = [_dense(rows), _compressed(stored)]
    if block > 1:
        sparsity.blockMap = np.array([1], np.int32)
        sparsity.dimMetadata.append(_dense(block))
    return sparsity, blocks[stored].ravel()


def encoded_bytes(sparsity: Any, values: np.ndarray) -> int:
    """Count the bytes of what `encode` returned, without the few that say what is where."""
    levels = [level for level in sparsity.dimMetadata if _is_compressed(level)]
    vectors = [vector.values for x in levels for vector in (x.arraySegments, x.arrayIndices)]
    return int(values.nbytes + sum(vector.nbytes for vector in vectors))


def decode(values: np.ndarray, sparsity: Any, shape: tuple[int, ...], *, name: str) -> np.ndarray:
    """Return the whole tensor, with zeros where nothing is stored.

    Args:
        values: What is stored, shape (n,).
        sparsity: The tensor's `SparsityParametersT`.
        shape: The tensor's shape.
        name: What to call it in an error.

    Raises:
        ExportError: when the stored positions don't fit the values or the shape.
    """
    try:
        places = _places(sparsity, shape)
        if len(places[0]) != len(values):
            raise ValueError(f"{len(values):,} values for {len(places[0]):,} places")
        dense = np.zeros(shape, values.dtype)
        dense[places] = values
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise ExportError(
            f"A sparsely stored tensor must say where each of its values belongs. Received: "
            f"`{name}` of shape {shape}, which doesn't: {error}."
        ) from error
    return dense


def _places(sparsity: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """For each stored value its position along each axis of the tensor."""
    levels = list(sparsity.dimMetadata)
    order = [int(axis) for axis in sparsity.traversalOrder]
    mapped = [] if sparsity.blockMap is None else [int(axis) for axis in sparsity.blockMap]
    if sorted(order) != list(range(len(shape) + len(mapped))) or len(levels) != len(order):
        raise ValueError(f"levels {order} for {len(shape)} axes and {len(mapped)} blocks")
    at: dict[int, np.ndarray] = {}
    count, sizes = 1, {}
    for axis, level in zip(order, levels, strict=True):
        if _is_compressed(level):
            starts = np.asarray(level.arraySegments.values, np.int64)
            indices = np.asarray(level.arrayIndices.values, np.int64)
            lengths = np.diff(starts)
            if len(lengths) != count or starts[0] or (lengths < 0).any():
                raise ValueError("a list of positions that doesn't begin and end as it says")
            if starts[-1] != len(indices) or (indices < 0).any():
                raise ValueError("a list of positions of another length than it says")
            at = {known: np.repeat(places, lengths) for known, places in at.items()}
            at[axis] = indices
        else:
            size = sizes[axis] = int(level.denseSize)
            if not 0 < size <= math.prod(shape):
                raise ValueError(f"a level of {size} positions")
            at = {known: np.repeat(places, size) for known, places in at.items()}
            at[axis] = np.tile(np.arange(size), count)
        count = len(at[axis])
        if count > math.prod(shape):
            raise ValueError("more places than the tensor has")
    for inner, axis in enumerate(mapped, start=len(shape)):
        at[axis] = at[axis] * sizes[inner] + at[inner]
    return tuple(at[axis] for axis in range(len(shape)))


def _is_compressed(level: Any) -> bool:
    return bool(level.format == schema.DimensionType.SPARSE_CSR)


def _dense(size: int) -> Any:
    level = schema.DimensionMetadataT()
    level.format, level.denseSize = schema.DimensionType.DENSE, size
    return level


def _compressed(stored: np.ndarray) -> Any:
    """The level of the columns: which of them are stored, row after row."""
    level = schema.DimensionMetadataT()
    level.format = schema.DimensionType.SPARSE_CSR
    starts = np.concatenate([[0], stored.sum(axis=1).cumsum()])
    level.arraySegmentsType, level.arraySegments = _index_vector(starts)
    level.arrayIndicesType, level.arrayIndices = _index_vector(np.nonzero(stored)[1])
    return level


def _index_vector(numbers: np.ndarray) -> tuple[int, Any]:
    """The numbers in the smallest type that the format has for them."""
    for dtype, code, kind in _INDEX_VECTORS:
        if numbers.max() <= np.iinfo(dtype).max:
            vector = kind()
            vector.values = numbers.astype(dtype)
            return code, vector
    raise ExportError(
        f"A sparse tensor can have at most {np.iinfo(np.int32).max:,} stored blocks. Received: "
        f"{numbers.max():,}. Store it densely."
    )
