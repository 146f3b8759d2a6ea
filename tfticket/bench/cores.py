"""How many processors a benchmark uses; to be said before TensorFlow starts."""

from __future__ import annotations

import os

from tfticket.errors import TFTicketError
from tfticket.machine import usable_cores

_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def use_cores(count: int | None) -> None:
    """Keeps this process, and those that it starts, to so many processors and threads.

    Args:
        count: How many; None for all that there are.

    Raises:
        TFTicketError: when there are fewer, or the system can't do it.
    """
    if count is None:
        return
    if count > usable_cores():
        raise TFTicketError(
            f"A benchmark can use the processors that there are. Received: {count} of "
            f"{usable_cores()}."
        )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    for name in _THREADS:
        os.environ[name] = str(count)
