"""Controls of a ticket's mask: that of another arrangement, and its inputs moved together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfticket.lottery.controls import Control, ControlContext, RandomReinit, Start
from tfticket.sparsity.mask import Mask
from tfticket.studies.locality.schema import TRANSFERRED, WINDOWS


@dataclass(frozen=True)
class TransferredMask(Control):
    """Control with the initial weights of the ticket under the mask of another search.

    Args:
        masks: From a level to the mask of the other search; None where nothing is trained.
    """

    masks: Callable[[int], Mask] | None
    name = TRANSFERRED

    def start(self, context: ControlContext) -> Start:
        """See `Control`."""
        assert self.masks is not None  # a search without them is only planned
        return Start(self.masks(context.level), context.ticket.snapshot)


@dataclass(frozen=True)
class Windows(Control):
    """Control with a locally connected first layer: each unit's inputs are moved together.

    Each unit keeps as many inputs as in the ticket; the other layers keep the ticket's mask.
    Initial weights are those of the reinitialized control.
    """

    name = WINDOWS
    begins_at_step_zero = True

    def start(self, context: ControlContext) -> Start:
        """See `Control`."""
        drawn = RandomReinit().start(context)
        first, *_ = drawn.mask
        return Start(Mask({**drawn.mask, first: windows(drawn.mask[first])}), drawn.snapshot)


def windows(kernel: np.ndarray) -> np.ndarray:
    """Move the inputs of each unit together, to windows that are spread evenly over the signal.

    Windows have the order of the medians of the units' inputs. At the medians themselves they would
    crowd in the middle, and leave the ends of the signal out.

    Args:
        kernel: Mask of a dense layer that reads signals, shape (points, units).

    Example:
        >>> windows(np.array([[1, 0], [0, 0], [0, 0], [1, 1]], bool)).astype(int).tolist()
        [[1, 0], [1, 0], [0, 0], [0, 1]]
    """
    fan_in = kernel.sum(axis=0)
    units = np.flatnonzero(fan_in)
    medians = [np.median(np.flatnonzero(kernel[:, unit])) for unit in units]
    moved = np.zeros_like(kernel)
    for rank, unit in enumerate(units[np.argsort(medians, kind="stable")]):
        share = rank / max(1, len(units) - 1)
        begin = round(share * (len(kernel) - int(fan_in[unit])))
        moved[begin : begin + fan_in[unit], unit] = True
    return moved
