"""Properties of tickets: densities, dead units, signs and overlap, compared with chance.

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

__all__ = [
    "DeadUnits",
    "Overlap",
    "SignAgreement",
    "connected",
    "dead_units",
    "is_chain",
    "layer_densities",
    "overlap",
    "sign_agreement",
    "surviving_inputs",
]


@dataclass(frozen=True)
class DeadUnits:
    """Counts of the dead units of one layer.

    Attributes:
        units: Outputs of the layer.
        dead_in: Units without an incoming weight, whose output is constant.
        dead_out: Units without an outgoing weight. None where the next layer isn't known.
        dead: Units that are either. None where `dead_out` is.

    Example:
        >>> dead_units({"a/kernel": np.array([[True, False]])})["a/kernel"].dead_in
        1
    """

    units: int
    dead_in: int
    dead_out: int | None = None
    dead: int | None = None


@dataclass(frozen=True)
class SignAgreement:
    """Counts of surviving weights that keep their sign in training.

    Attributes:
        weights: Survivors that are nonzero before and after training.
        agreeing: Those that kept their sign.

    Example:
        >>> SignAgreement(weights=100, agreeing=90).share
        0.9
    """

    weights: int
    agreeing: int

    @property
    def share(self) -> float:
        """`agreeing / weights`, in [0, 1]; nan without weights. Chance gives 0.5."""
        return self.agreeing / self.weights if self.weights else math.nan


@dataclass(frozen=True)
class Overlap:
    """Overlap of two masks, compared with masks drawn at random.

    Chance is two independent masks with the same number of kept weights in each layer, so that
    layers of different density don't pass for agreement.

    Attributes:
        common: Weights that both keep.
        expected: Expected number by chance.
        jaccard: |A and B| / |A or B|, in [0, 1].
        expected_jaccard: The same ratio with the expected intersection.
        z: Distance of `common` from `expected` in standard deviations (hypergeometric, layers
            independent); nan where chance has no variance (dense or empty masks).

    Example:
        >>> mask = {"a/kernel": np.array([[True, False], [False, False]])}
        >>> found = overlap(mask, mask)
        >>> found.common, found.expected, found.ratio
        (1, 0.25, 4.0)
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
    """Return the share of weights kept, by key, in [0, 1].

    Args:
        mask: Key to boolean array, True = kept.

    Example:
        >>> layer_densities({"a/kernel": np.array([[True, False]])})
        {'a/kernel': 0.5}
    """
    return {key: float(np.mean(array)) for key, array in mask.items()}


def is_chain(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Tell whether by their shapes each layer can feed the next one.

    A dense layer may have a multiple of the units before it as inputs (a flattened feature map).
    Skip connections can't be seen in shapes.

    Args:
        shapes: Key to the shape of the kernel, in the order of the network.

    Example:
        >>> is_chain({"a/kernel": (4, 3), "b/kernel": (3, 2)})
        True
    """
    ordered = list(shapes.values())
    if any(len(shape) < 2 for shape in ordered):
        return False
    return all(_feeds(a, b) for a, b in itertools.pairwise(ordered))


def dead_units(mask: Mapping[str, np.ndarray], *, chain: bool = False) -> dict[str, DeadUnits]:
    """Count units without incoming or outgoing weights.

    Args:
        mask: Key to boolean array, True = kept, keys in the order of the network.
        chain: Whether each layer feeds the next one only, whose kernel then holds the outgoing
            weights; outputs of the last layer are never dead.

    Returns:
        Key to counts, in the order of `mask`.

    Raises:
        MaskError: when `chain` is set and the shapes don't fit.

    Example:
        >>> mask = {"a": np.ones((2, 2), bool), "b": np.array([[True], [False]])}
        >>> dead_units(mask, chain=True)["a"].dead_out
        1
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
    """Select the kept weights that lie on a path from an input to an output.

    The others have no effect, whatever their values: the effective density of a ticket (Vysogorets
    & Kempe 2021, arXiv:2107.02306) counts only connected weights.

    Args:
        mask: Key to boolean array, True = kept, keys in the order of the network, each layer
            feeding the next one only.

    Returns:
        Key to boolean array, a subset of `mask`.

    Raises:
        MaskError: when the shapes aren't those of a chain.

    Example:
        >>> mask = {"a": np.ones((2, 2), bool), "b": np.array([[True], [False]])}
        >>> connected(mask)["a"].tolist()
        [[True, False], [True, False]]
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
    """Compare the signs of surviving weights before and after training.

    Zhou et al. (2019, arXiv:1905.01067) found that of the initial weights the sign matters.

    Args:
        mask: Key to boolean array, True = kept.
        initial: Weights before training, by key, of the mask's shapes; other keys are ignored.
        final: Weights after training, likewise.

    Returns:
        Key to counts.

    Raises:
        MaskError: when a key is missing or has another shape.

    Example:
        >>> mask = {"a": np.array([[True, True, False]])}
        >>> initial, final = {"a": np.array([[1.0, -1.0, 1.0]])}, {"a": np.array([[2.0, 3.0, 0.0]])}
        >>> sign_agreement(mask, initial=initial, final=final)["a"]
        SignAgreement(weights=2, agreeing=1)
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
    """Compare the overlap of two masks with chance.

    Args:
        first: Key to boolean array, True = kept.
        second: Mask of the same keys and shapes.

    Raises:
        MaskError: when keys or shapes differ.

    Example:
        >>> mask = {"a/kernel": np.array([[True, False], [False, False]])}
        >>> overlap(mask, mask).jaccard
        1.0
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
    """Compute the density of a first layer by input, as an image.

    Args:
        kernel: Mask of the first kernel, True = kept: dense `(inputs, units)` or convolutional
            `(height, width, channels, filters)`.
        image_shape: `(height, width)` or `(height, width, channels)` of the images, for a dense
            layer that reads them flattened.

    Returns:
        Share of kept weights, in [0, 1]: of each pixel over the units, shape `image_shape`; of each
        position in the filter over the filters, shape `(height, width, channels)`.

    Raises:
        MaskError: when the kernel is neither, or doesn't fit the images.

    Example:
        >>> surviving_inputs(np.ones((4, 3), bool), image_shape=(2, 2)).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
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
    """Reshape a kernel to `(inputs, units)`."""
    return kernel.reshape(-1, kernel.shape[-1])


def _outgoing(kernel: np.ndarray, *, units: int) -> np.ndarray:
    """Tell which of the `units` before this kernel it still reads, boolean, shape `(units,)`."""
    reads = kernel.any(axis=-1)  # (..., inputs)
    # A flattened feature map repeats its channels fastest.
    return np.asarray(np.any(reads.reshape(-1, units), axis=0))


def _per_input(reached: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """`reached` of the units before, repeated to the kernel's inputs, shape `(inputs,)`."""
    return np.tile(reached, kernel.shape[-2] // reached.size)
