"""Receptive fields of a first layer: how many inputs its units keep, and how near to one another.

Chance is a permutation of each unit's inputs, so that units with many inputs don't pass for local
ones. Its mean and variance are exact: no permutation is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfticket.errors import MaskError
from tfticket.wording import brief_repr

__all__ = ["ReceptiveFields", "receptive_fields"]


@dataclass(frozen=True, eq=False)
class ReceptiveFields:
    """The inputs that the units of a first layer keep.

    Two inputs are adjacent where they are neighbors along one direction: consecutive points of a
    signal; pixels beside or above one another, in the same channel.

    Attributes:
        fan_in: Inputs of each unit, shape (units,), 0 for a unit that lost all.
        span: Last place minus first place of a unit's inputs, plus 1, in each direction, shape
            (units, directions); channels aren't a direction. 0 for a unit without inputs.
        adjacent: Adjacent pairs of inputs that one unit keeps, all units together.
        expected: Mean of `adjacent` when each unit's inputs are permuted.
        expected_by_input: Mean of `adjacent` when pairs are drawn in proportion to how many units
            keep each of the two inputs, as many pairs a unit as it keeps. Where all units prefer
            some inputs (the middle of an image), this is above `expected`.
        deviation: Standard deviation of `adjacent` when each unit's inputs are permuted.

    Example:
        >>> fields = receptive_fields(np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool))
        >>> fields.fan_in.tolist(), fields.span.ravel().tolist(), fields.adjacent
        ([2, 2], [2, 3], 1)
    """

    fan_in: np.ndarray
    span: np.ndarray
    adjacent: int
    expected: float
    expected_by_input: float
    deviation: float

    __repr__ = brief_repr

    @property
    def locality(self) -> float:
        """`adjacent / expected`: 1 is chance; nan where no unit keeps two inputs."""
        return self.adjacent / self.expected if self.expected else math.nan

    @property
    def unit_locality(self) -> float:
        """`adjacent / expected_by_input`: locality beyond what all units prefer; 1 is chance."""
        return self.adjacent / self.expected_by_input if self.expected_by_input else math.nan

    @property
    def z(self) -> float:
        """Distance of `adjacent` from `expected` in standard deviations; nan without variance."""
        return (self.adjacent - self.expected) / self.deviation if self.deviation else math.nan

    @property
    def units(self) -> int:
        """Number of units with an input."""
        return int(np.count_nonzero(self.fan_in))

    @property
    def median_fan_in(self) -> float:
        """Median number of inputs, of the units that have one."""
        return float(np.median(self.fan_in[self.fan_in > 0]))

    @property
    def median_span(self) -> tuple[float, ...]:
        """Median span in each direction, of the units that have an input."""
        return tuple(np.median(self.span[self.fan_in > 0], axis=0).tolist())


def receptive_fields(
    mask: np.ndarray | Mapping[str, np.ndarray], input_shape: Sequence[int] | None = None
) -> ReceptiveFields:
    """Measure the receptive fields of a first layer.

    Args:
        mask: Mask of the first kernel, True = kept, dense `(inputs, units)` or convolutional
            `(*places, channels, filters)`; or the mask of a network, whose first kernel is taken.
        input_shape: Shape of an example that a dense layer reads flattened: `(points,)`,
            `(height, width)` or `(height, width, channels)`; a signal by default. The fields of a
            convolution are places within its filters.

    Raises:
        MaskError: when there is no kernel that reads such examples, or no unit keeps an input.

    Source: Greydanus & Kobak (2024, arXiv:2011.14439), section on lottery tickets, counts pairs of
    neighboring inputs.

    Example:
        >>> kernel = np.eye(6, 4, dtype=bool) | np.eye(6, 4, k=-1, dtype=bool)
        >>> round(receptive_fields(kernel).locality, 2), receptive_fields(kernel).median_span
        (3.0, (2.0,))
    """
    kernel: np.ndarray = (
        _first_kernel(mask, input_shape) if isinstance(mask, Mapping) else np.asarray(mask)
    )
    grid = _grid(kernel, input_shape)
    if not kernel.any():
        raise MaskError(
            "Receptive fields need a unit that keeps an input. Received: a first layer of shape "
            f"{kernel.shape} in which every weight is pruned. Take a less sparse mask."
        )
    kept = kernel.reshape(*grid, kernel.shape[-1])
    places = len(grid) - 1
    pairs = [_pairs(kept, axis) for axis in range(places)]
    fan_in = np.count_nonzero(kept.reshape(-1, kept.shape[-1]), axis=0)
    edges = sum(first.size for first, _ in pairs) // kept.shape[-1]
    mean, variance = _chance(fan_in, grid, edges)
    readers = np.count_nonzero(kept, axis=-1)[..., None].astype(float)
    drawn = (readers.sum() ** 2 - (readers**2).sum()) / 2  # of all pairs of inputs
    adjacent = sum((a * b).sum() for a, b in (_pairs(readers, axis) for axis in range(places)))
    pairs_kept = float((fan_in * (fan_in - 1.0)).sum()) / 2
    return ReceptiveFields(
        fan_in=fan_in,
        span=np.stack([_span(kept, axis) for axis in range(places)], axis=-1),
        adjacent=sum(int(np.count_nonzero(first & second)) for first, second in pairs),
        expected=float(mean.sum()),
        expected_by_input=pairs_kept * float(adjacent / drawn) if drawn else 0.0,
        deviation=math.sqrt(max(0.0, float(variance.sum()))),
    )


def _first_kernel(mask: Mapping[str, np.ndarray], input_shape: Sequence[int] | None) -> np.ndarray:
    """Return the mask of the kernel that reads the inputs."""
    key = next(iter(mask), None)
    if key is None or mask[key].ndim < 2:
        received = "no kernel" if key is None else f"`{key}` of shape {mask[key].shape}"
        raise MaskError(
            "Receptive fields need the mask of a network that begins with a dense layer or a "
            f"convolution, with that layer in it. Received: {received}. Was the layer skipped?"
        )
    inputs = mask[key].shape[-2]
    if input_shape is not None and inputs not in (math.prod(input_shape), input_shape[-1]):
        raise MaskError(
            f"The first kernel of the mask must read the examples, of shape {tuple(input_shape)}. "
            f"Received: `{key}` of shape {mask[key].shape}. Was the first layer skipped?"
        )
    return mask[key]


def _grid(kernel: np.ndarray, input_shape: Sequence[int] | None) -> tuple[int, ...]:
    """The sides of the fields, then the number of channels."""
    if kernel.ndim > 2:
        return tuple(kernel.shape[:-1])
    shape = tuple(input_shape or kernel.shape[:1])
    if kernel.ndim != 2 or math.prod(shape) != kernel.shape[0] or len(shape) > 3:
        raise MaskError(
            "The inputs of a dense layer must be a flattened example of shape (points,), (height, "
            f"width) or (height, width, channels). Received: kernel {kernel.shape}, "
            f"input_shape={input_shape}."
        )
    return shape if len(shape) == 3 else (*shape, 1)


def _pairs(kept: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the adjacent pairs along an axis, as views with that axis in front."""
    moved = np.moveaxis(kept, axis, 0)
    return moved[:-1], moved[1:]


def _span(kept: np.ndarray, axis: int) -> np.ndarray:
    """Last minus first kept place along an axis, plus 1, shape (units,); 0 without inputs."""
    others = tuple(other for other in range(kept.ndim - 1) if other != axis)
    used = np.asarray(kept.any(axis=others))  # (places, units)
    span = used.shape[0] - used.argmax(axis=0) - used[::-1].argmax(axis=0)
    return np.where(used.any(axis=0), span, 0)


def _chance(fan_in: np.ndarray, grid: Sequence[int], edges: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each unit's adjacent pairs when its inputs are permuted.

    Of two pairs, both are kept if all inputs in them are: three where the pairs share one, else
    four. Source: Cliff & Ord (1981), "Spatial Processes", join counts without replacement.
    """
    count = math.prod(grid)
    degrees = np.zeros(tuple(grid))
    for axis in range(len(grid) - 1):
        for end in _pairs(degrees, axis):
            end += 1
    sharing = float((degrees * (degrees - 1)).sum())  # ordered pairs of pairs
    together = [np.ones(fan_in.shape)]
    for drawn in range(4):  # chance that `drawn + 1` given inputs are all kept
        together.append(together[-1] * (fan_in - drawn).clip(0) / max(1, count - drawn))
    mean = edges * together[2]
    apart = edges * (edges - 1) - sharing
    return mean, mean + sharing * together[3] + apart * together[4] - mean**2
