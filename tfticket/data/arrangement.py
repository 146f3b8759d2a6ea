"""The points of signals in another order: flipped, shuffled, or in chunks that change places."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Literal

import numpy as np

from tfticket.data.arrays import aligned
from tfticket.data.dataset import DataSet, Split
from tfticket.errors import DataError
from tfticket.seeds import generator

Arrangement = Literal["as_is", "flipped", "shuffled", "chunks"]


def arrangement(
    kind: Arrangement, points: int, *, chunk: int | None = None, seed: int = 0
) -> np.ndarray:
    """Return the order of a kind: point i of the arranged signal is point `order[i]` of the signal.

    Args:
        kind: `as_is`; `flipped`, last point first; `shuffled`, in a random order; or `chunks`, cut
            into pieces that change places, while the points within each stay in order.
        points: Length of the signals.
        chunk: Points in a chunk, which must divide the length.
        seed: Random seed of the order.

    Returns:
        Shape (points,), each place once.

    Raises:
        DataError: when chunks don't divide the signals, or there are fewer than two.

    Example:
        >>> arrangement("flipped", 4).tolist()
        [3, 2, 1, 0]
        >>> arrangement("chunks", 6, chunk=3).reshape(2, 3).tolist()
        [[3, 4, 5], [0, 1, 2]]
    """
    order, rng = np.arange(points), generator(seed, "arrangement", kind)
    if kind == "flipped":
        return order[::-1].copy()
    if kind == "shuffled":
        return rng.permutation(points)
    if kind == "chunks":
        if chunk is None or chunk < 1 or points % chunk or points // chunk < 2:
            fitting = [str(n) for n in range(2, points) if points % n == 0]
            raise DataError(
                f"`chunk` must divide signals of {points} points into two chunks or more: one of "
                f"{', '.join(fitting) or '(no number)'}. Received: chunk={chunk}."
            )
        places = np.arange(points // chunk)
        moved = places
        while np.array_equal(moved, places):
            moved = rng.permutation(places)
        return order.reshape(-1, chunk)[moved].ravel()
    return order


def arranged(data: DataSet, order: np.ndarray) -> DataSet:
    """Return a data set of signals whose points are in another order, in every split.

    Args:
        data: A data set of examples of shape (points,).
        order: See `arrangement`.

    Raises:
        DataError: when examples aren't signals of so many points.
    """
    if data.input_shape != order.shape:
        raise DataError(
            "Only signals, examples of shape (points,), can be arranged anew, by an order of as "
            f"many points. Received: examples of shape {data.input_shape} of {data.name}, and an "
            f"order of shape {order.shape}."
        )

    def moved(split: Split) -> Split:
        return replace(split, x=aligned(split.x[:, order]))

    if np.array_equal(order, np.arange(len(order))):
        return data
    digest = hashlib.sha256(data.fingerprint.encode() + order.astype("<i8").tobytes())
    return replace(
        data,
        train=moved(data.train),
        validation=moved(data.validation),
        test=moved(data.test),
        scale=data.scale[order] if data.scale.ndim else data.scale,
        offset=data.offset[order] if data.offset.ndim else data.offset,
        fingerprint=digest.hexdigest(),
    )
