"""What a ticket looks like inside: where its weights are, and whether that is chance.

Pure functions of masks and weight arrays. A kernel's last axis is its outputs (units or channels)
and the axis before it its inputs, as in Keras' Dense and convolution layers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfticket.errors import MaskError


@dataclass(frozen=True)
class DeadUnits:
    """Units of one layer that a mask cut off.

    Attributes:
        units: Outputs of the layer.
        dead_in: How many have no incoming weight left: their output is a constant.
        dead_out: How many have no outgoing weight left: nothing depends on them. None where the
            next layer isn't known.
        dead: How many are either. None where `dead_out` is.
    """

    units: int
    dead_in: int
    dead_out: int | None = None
    dead: int | None = None


@dataclass(frozen=True)
class SignAgreement:
    """How many surviving weights end training with the sign they began with.

    Attributes:
        weights: Survivors that are nonzero before and after training.
        agreeing: How many of them kept their sign.
    """

    weights: int
    agreeing: int

    @property
    def share(self) -> float:
        """`agreeing / weights`, in [0, 1]; nan without weights. Chance gives 0.5."""
        return self.agreeing / self.weights if self.weights else math.nan


@dataclass(frozen=True)
class Overlap:
    """The weights that two masks keep in common, against masks drawn at random.

    Chance is two independent masks with the same number of kept weights in each layer, so that
    layers of different density don't pass for agreement.

    Attributes:
        common: Weights that both keep.
        expected: How many chance would give.
        jaccard: |A and B| / |A or B|, in [0, 1].
        expected_jaccard: The same ratio with the expected intersection.
        z: How many standard deviations (hypergeometric, layers independent) `common` lies above
            `expected`; nan where chance leaves no freedom (dense or empty masks).
    """

    common: int
    expected: float
    jaccard: float
    expected_jaccard: float
    z: float

    @property
    def ratio(self) -> float:
        """`common / expected`: 1 is chance; nan when nothing is expected."""
        return self.common / self.expected if self.expected else math.nan


def layer_densities(mask: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Share of weights kept, by key, in [0, 1]."""
    return {key: float(np.mean(array)) for key, array in mask.items()}


def is_chain(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the shapes allow that each layer feeds the next one and nothing else does.

    The order of `shapes` is that of the network. A dense layer may have a multiple of the units
    before it as inputs (a flattened feature map). Skip connections can't be seen in shapes.
    """
    ordered = list(shapes.values())
    if any(len(shape) < 2 for shape in ordered):
        return False
    return all(_feeds(a, b) for a, b in itertools.pairwise(ordered))


def dead_units(mask: Mapping[str, np.ndarray], *, chain: bool = False) -> dict[str, DeadUnits]:
    """Counts units without incoming or outgoing weights.

    Args:
        mask: Key to boolean array, True = kept, keys in the order of the network.
        chain: Whether each layer feeds the next one only. If so, outgoing weights are looked for
            there; the outputs of the last layer are never dead.

    Returns:
        Key to counts, in the order of `mask`.

    Raises:
        MaskError: `chain` is asked for, but the shapes don't follow one another.
    """
    if chain:
        _check_chain(mask)
    found: dict[str, DeadUnits] = {}
    keys = list(mask)
    for index, key in enumerate(keys):
        kernel = mask[key]
        without_in = ~_flat_inputs(kernel).any(axis=0)
        if not chain or index == len(keys) - 1:
            found[key] = DeadUnits(kernel.shape[-1], int(without_in.sum()))
            continue
        without_out = ~_outgoing(mask[keys[index + 1]], units=kernel.shape[-1])
        found[key] = DeadUnits(
            kernel.shape[-1],
            int(without_in.sum()),
            int(without_out.sum()),
            int((without_in | without_out).sum()),
        )
    return found


def connected(mask: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The kept weights that lie on a path from an input to an output of a chain of layers.

    The others can't carry the input to the output, whatever their values: the effective density
    of a ticket (Vysogorets & Kempe 2021, arXiv:2107.02306) counts the connected ones only.

    Args:
        mask: Key to boolean array, True = kept, keys in the order of the network, each layer
            feeding the next one only.

    Returns:
        Key to boolean array, a subset of `mask`.

    Raises:
        MaskError: The shapes don't follow one another.
    """
    _check_chain(mask)
    result = {key: np.array(array, bool) for key, array in mask.items()}
    keys = list(result)
    reached: np.ndarray = np.ones(result[keys[0]].shape[-2], bool)
    for key in keys:
        result[key] &= _per_input(reached, result[key])[:, None]
        reached = np.any(_flat_inputs(result[key]), axis=0)
    needed = np.ones(result[keys[-1]].shape[-1], bool)
    for index in range(len(keys) - 1, -1, -1):
        result[keys[index]] &= needed
        if index:
            needed = _outgoing(result[keys[index]], units=result[keys[index - 1]].shape[-1])
    return result


def sign_agreement(
    mask: Mapping[str, np.ndarray],
    *,
    initial: Mapping[str, np.ndarray],
    final: Mapping[str, np.ndarray],
) -> dict[str, SignAgreement]:
    """Compares the signs of surviving weights before and after training.

    Zhou et al. (2019, arXiv:1905.01067) found that the sign is the part of the initial weights
    that makes a ticket.

    Args:
        mask: Key to boolean array, True = kept.
        initial: Weights before training, by key, of the mask's shapes; other keys are ignored.
        final: Weights after training, likewise.

    Returns:
        Key to counts.

    Raises:
        MaskError: A key is missing or has another shape.
    """
    counts: dict[str, SignAgreement] = {}
    for key, kept in mask.items():
        shapes = [np.shape(arrays[key]) if key in arrays else None for arrays in (initial, final)]
        if shapes != [kept.shape] * 2:
            raise MaskError(
                "Signs can be compared only for weights of the mask's shape. Received: "
                f"`{key}` with the mask {kept.shape}, initial {shapes[0]}, final {shapes[1]}."
            )
        product = np.sign(initial[key][kept]) * np.sign(final[key][kept])
        counts[key] = SignAgreement(int(np.count_nonzero(product)), int((product > 0).sum()))
    return counts


def overlap(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> Overlap:
    """How much two masks have in common, against chance.

    Args:
        first: Key to boolean array, True = kept.
        second: The same keys and shapes.

    Raises:
        MaskError: Keys or shapes differ.
    """
    if {k: v.shape for k, v in first.items()} != {k: v.shape for k, v in second.items()}:
        raise MaskError(
            "Masks overlap only when they cover the same variables with the same shapes. "
            f"Received: {sorted(first)} and {sorted(second)}, or other shapes."
        )
    common, kept, expected, variance = 0, 0, 0.0, 0.0
    for key, array in first.items():
        a, b = int(np.count_nonzero(array)), int(np.count_nonzero(second[key]))
        common += int(np.count_nonzero(array & second[key]))
        kept += a + b
        size = array.size
        expected += a * b / size
        if size > 1:
            variance += (a * b / size) * ((size - a) / size) * ((size - b) / (size - 1))
    return Overlap(
        common=common,
        expected=expected,
        jaccard=common / (kept - common) if kept > common else 1.0,
        expected_jaccard=expected / (kept - expected) if kept > expected else 1.0,
        z=(common - expected) / math.sqrt(variance) if variance > 0 else math.nan,
    )


def surviving_inputs(kernel: np.ndarray, *, image_shape: Sequence[int] | None = None) -> np.ndarray:
    """Which inputs a first layer still looks at, as a picture.

    Args:
        kernel: Mask of the first kernel, True = kept: dense `(inputs, units)` or convolutional
            `(height, width, channels, filters)`.
        image_shape: `(height, width)` or `(height, width, channels)` of the images that a dense
            layer sees flattened; left out for a convolution.

    Returns:
        Share of kept weights, float in [0, 1]: of an input pixel over the units,
        `image_shape`; of a place in the filter over the filters, `(height, width, channels)`.

    Raises:
        MaskError: The kernel is neither, or doesn't fit the images.
    """
    if kernel.ndim == 4 and image_shape is None:
        return np.asarray(kernel.mean(axis=-1))
    if kernel.ndim != 2 or image_shape is None or math.prod(image_shape) != kernel.shape[0]:
        raise MaskError(
            "A picture needs a dense kernel and the shape of its images, or a 2-D convolution's "
            f"kernel alone. Received: kernel {kernel.shape}, image_shape={image_shape}."
        )
    return np.asarray(kernel.mean(axis=-1)).reshape(tuple(image_shape))


def _feeds(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    inputs, units = after[-2], before[-1]
    return inputs == units or (len(after) == 2 and inputs % units == 0)


def _check_chain(mask: Mapping[str, np.ndarray]) -> None:
    shapes = {key: array.shape for key, array in mask.items()}
    if not shapes or not is_chain(shapes):
        raise MaskError(
            "Outgoing weights can be found only where each layer feeds the next one, so each "
            f"kernel needs as many inputs as the one before has outputs. Received: {shapes}."
        )


def _flat_inputs(kernel: np.ndarray) -> np.ndarray:
    """The kernel as `(everything that comes in, units)`."""
    return kernel.reshape(-1, kernel.shape[-1])


def _outgoing(kernel: np.ndarray, *, units: int) -> np.ndarray:
    """Which of the `units` before this kernel it still reads, shape `(units,)`."""
    reads = kernel.any(axis=-1)  # (..., inputs)
    # A flattened feature map repeats its channels fastest.
    return np.asarray(np.any(reads.reshape(-1, units), axis=0))


def _per_input(reached: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """`reached` of the units before, repeated to the kernel's inputs, shape `(inputs,)`."""
    return np.tile(reached, kernel.shape[-2] // reached.size)
