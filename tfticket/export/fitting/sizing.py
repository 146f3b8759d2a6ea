"""Networks whose files will have so many bytes once they are trained."""

from __future__ import annotations

import math

import keras

from tfticket.export.fitting.candidates import Candidate, Maker
from tfticket.export.fitting.narrowing import narrowed_to, uniformly_narrow

AIM = 0.98  # of a limit, so that what is predicted may be a little off
_LEAST_LEFT, _MOST_LEFT = 0.6, 0.98  # of the weights, or of the activations, after a round
_TRIES, _SLACK = 8, 32  # sizes that are looked at; bytes by which training may change a file
_NEAR, _FINE = 0.98, 0.01  # of the bytes that a dense network may take, of its widths: near enough


def bounded(left: float) -> float:
    """Bound the share of a network that is left after a round."""
    return min(max(left, _LEAST_LEFT), _MOST_LEFT)


def narrowed_to_bytes(
    now: Candidate, maker: Maker, *, limit: int, bytes_each: float
) -> keras.Model:
    """Take out channels until the file has few enough bytes, or as many as a round may.

    Args:
        now: The network, and its file.
        maker: Makes files.
        limit: Most bytes.
        bytes_each: What a parameter takes in the file.
    """
    removed = (now.taken.flash_bytes - limit) / bytes_each
    left = bounded(1 - removed / now.model.count_params())
    for _ in range(_TRIES):
        narrow = narrowed_to(now.model, left)
        sized = maker.sketch(narrow, now.storage)
        if left == _LEAST_LEFT or sized is None or sized.flash_bytes <= limit - _SLACK:
            break
        left = max(_LEAST_LEFT, left * min(0.99, AIM * limit / sized.flash_bytes))
    return narrow


def dense_of_bytes(model: keras.Model, like: Candidate, maker: Maker) -> keras.Model | None:
    """Build the widest dense network with new weights whose file has no more bytes than another.

    Args:
        model: The network whose layers get narrower, all by one factor.
        like: The other one.
        maker: Makes files.

    Returns:
        The network; None if none is small enough.
    """
    low, high, found, goal = 0.0, 1.0, None, like.taken.flash_bytes
    share = math.sqrt(like.model.count_params() / model.count_params())
    sizes: dict[int, int] = {}  # by parameters: shares that are close give the same widths
    for _ in range(_TRIES):
        narrow = uniformly_narrow(model, share, seed=maker.training.seed)
        count = narrow.count_params()
        if count not in sizes:
            sized = maker.sketch(narrow, like.storage)
            sizes[count] = goal if sized is None else sized.flash_bytes
        size = sizes[count]
        if size <= goal - _SLACK:
            low, found = share, narrow
            if size > _NEAR * goal:
                break
        else:
            high = share
        guess = share * goal / size
        share = guess if low < guess < high else (low + high) / 2
        if high - low < _FINE:
            break
    return found
