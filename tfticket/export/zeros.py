"""Are the zeros of the Keras model still zero in the file?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfticket.errors import ExportError
from tfticket.export.flatbuffer import Constant


@dataclass(frozen=True)
class ZeroCount:
    """The zeros of one kernel.

    Attributes:
        key: The kernel's key in the Keras model.
        size: How many weights it has.
        zeros: How many of them are zero in the Keras model.
        zeros_in_file: How many are zero in the file, all of the former among them; rounding adds
            some. None when the converter split or merged the kernel, as it does for recurrent
            layers: such kernels are counted together.
        tensor: The tensor of the file that holds it, or None.
    """

    key: str
    size: int
    zeros: int
    zeros_in_file: int | None
    tensor: str | None


def count_zeros(
    kernels: Mapping[str, np.ndarray], constants: Sequence[Constant]
) -> tuple[ZeroCount, ...]:
    """Finds each kernel in the file by its zeros and checks that none was lost.

    The converter stores kernels with their axes in another order and folds factors of
    normalization into them; neither moves a zero off its weight. So the tensor of a kernel is the
    one of its size that, read along some order of the kernel's axes, is zero wherever it is.

    Args:
        kernels: Key to array, of the Keras model.
        constants: The tensors of the file.

    Returns:
        One count a kernel, in their order.

    Raises:
        ExportError: when zeros were lost.
    """
    zero_in = [constant.is_zero for constant in constants]
    counts: list[ZeroCount] = []
    used: set[int] = set()
    for key, kernel in kernels.items():
        pruned = kernel == 0
        fitting = [i for i, zero in enumerate(zero_in) if _covers(zero, pruned)]
        # Of several that cover it, the one with the fewest zeros is nearest.
        best = min(fitting, key=lambda i: int(zero_in[i].sum()), default=None)
        if best is not None:
            used.add(best)
        counts.append(
            ZeroCount(
                key=key,
                size=pruned.size,
                zeros=int(pruned.sum()),
                zeros_in_file=None if best is None else int(zero_in[best].sum()),
                tensor=None if best is None else constants[best].name,
            )
        )
    lost = [count for count in counts if count.tensor is None]
    expected = sum(count.zeros for count in lost)
    found = sum(int(zero.sum()) for i, zero in enumerate(zero_in) if i not in used)
    if found < expected:
        raise ExportError(
            "Each pruned weight must be zero in the exported file too. Received: "
            f"{found:,} zeros where the Keras model has {expected:,}, in "
            f"{', '.join(f'`{count.key}`' for count in lost)}."
        )
    return tuple(counts)


def _covers(zero: np.ndarray, pruned: np.ndarray) -> bool:
    """Whether `zero` holds wherever `pruned` does, for some order of the axes of `pruned`."""
    flat = zero.ravel()
    if flat.size != pruned.size or np.count_nonzero(flat) < np.count_nonzero(pruned):
        return False
    orders = itertools.permutations(reversed(range(pruned.ndim)))
    return any(bool(np.all(flat | ~pruned.transpose(order).ravel())) for order in orders)
