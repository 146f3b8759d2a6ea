"""Other ways to store a network, where the way that was taken keeps all limits but one."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator

import numpy as np

from tfticket.errors import ExportError
from tfticket.export.fitting.candidates import Candidate, Maker, Storage
from tfticket.export.rounding import sensitivity

_CLOSE = 1.2  # times the bytes that there are: the file may turn out smaller than predicted
_ADDED = 3  # bytes of a weight in float beyond that in int8
_EXAMPLES = 1_000  # that rounding is measured on
_MORE = 3  # layers to leave in float beyond those that emulation asks for


def alternatives(found: Candidate, maker: Maker, tell: Callable[[str], None]) -> Iterator[Storage]:
    """Yield ways to store a network that may keep the limit that isn't kept, the cheapest first.

    Cheap are few bytes; `int16x8` comes last for phones, where it is slow.

    Args:
        found: The network as it was stored.
        maker: Makes its files.
        tell: Called with a line of progress.
    """
    phone, flash = maker.target == "phone", maker.budget.flash_bytes or math.inf
    stored, taken = found.storage, found.taken.flash_bytes
    if phone and found.shortfalls.keys() == {"flash"} and taken / 2 < flash and _has_int4():
        yield Storage("int4")
    floats = found.draft.report.verification.keras_accuracy
    if "accuracy" not in found.shortfalls or floats is None or floats < maker.budget.accuracy:
        return
    lost = 100 * (floats - found.taken.accuracy)
    tell(f"Rounding to {stored.describe()} costs {lost:.2f} points of accuracy.")
    for storage in _exacter(found, maker, _CLOSE * max(flash, taken), tell):
        if storage != stored:
            yield storage


def _exacter(
    found: Candidate, maker: Maker, most: float, tell: Callable[[str], None]
) -> Iterator[Storage]:
    """Yield what rounds less, in their order, and takes about so many bytes at most."""
    phone, taken = maker.target == "phone", found.taken.flash_bytes
    yield Storage("dynamic" if phone else "int16x8")
    whole = [(2 * taken, Storage("fp16")), (4 * taken, Storage("fp32"))] if phone else []
    ways = sorted([*_mixed(found, maker, tell), *whole], key=lambda way: way[0])
    yield from (storage for size, storage in ways if size < most)
    if phone:
        yield Storage("int16x8")


def _mixed(
    found: Candidate, maker: Maker, tell: Callable[[str], None]
) -> list[tuple[int, Storage]]:
    """The layers to leave in float, those first that rounding costs most, with predicted bytes."""
    if found.storage.format != "int8":
        return []
    x, y = (np.asarray(each[:_EXAMPLES]) for each in maker.validation)
    calibration = np.asarray(maker.training.x[:_EXAMPLES])
    try:
        cost = sensitivity(found.model, x, y, calibration=calibration, reach=maker.budget.accuracy)
    except ExportError as error:
        tell(f"No layers are left in float: {error}")
        return []
    tell(cost.summary())
    if cost.keep is None:
        return []
    order = sorted(cost.layers, key=lambda layer: layer.divergence_kept)
    first = max(1, len(cost.keep))
    kept = [order[:count] for count in range(first, min(first + _MORE, len(order)))]
    return [
        (
            found.taken.flash_bytes + _ADDED * sum(layer.weights for layer in layers),
            Storage("int8", tuple(layer.layer for layer in layers)),
        )
        for layers in kept
    ]


def _has_int4() -> bool:
    return importlib.util.find_spec("ai_edge_quantizer") is not None
