"""The machine and this process: processor, cores, memory, threads, and importing Keras quickly."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

_MANY_STEPS = 2_000  # two seconds of a small network's training: worth a warning
_FEW_WEIGHTS = 500_000  # at a million, two threads are as fast as one
# For `keras.visualization`, for data frames given to `fit`, for `keras.wrappers`.
_OPTIONAL = ("matplotlib", "pandas", "sklearn")


def processor() -> str:
    """Return the name of this machine's processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Count the CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def op_threads() -> int:
    """Count the threads with which TensorFlow computes one operation in this process."""
    import tensorflow as tf  # the rest of this module does without

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return threads or int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or usable_cores()


def warn_of_threads(model: keras.Model, steps: int, *, chunked: bool) -> None:
    """Warn when a small dense network would train faster on one thread.

    Each operation is divided among the threads, which then wait for each other: LeNet-300-100
    trains 1.2 to 1.3 times slower on two threads than on one. A function of many steps that XLA
    doesn't compile is no slower.

    Args:
        model: The compiled model, about to be trained.
        steps: Number of training steps; there is no warning below 2,000.
        chunked: Whether one call trains many steps, as with `data.ChunkedFit`.
    """
    xla = bool(model.jit_compile)
    if steps < _MANY_STEPS or (chunked and not xla):
        return
    weights = [weight.shape for weight in model.trainable_variables]
    is_small = all(len(shape) <= 2 for shape in weights) and (
        sum(math.prod(shape) for shape in weights) <= _FEW_WEIGHTS
    )
    threads = op_threads()
    if threads == 1 or not is_small or not only_cpus():
        return
    warnings.warn(
        f"This network is so small that one thread trains it faster than {threads}. Set the "
        "environment variable TF_NUM_INTRAOP_THREADS=1, or call "
        "`tf.config.threading.set_intra_op_parallelism_threads(1)` before anything else uses "
        "TensorFlow."
        + (" Or compile it with `jit_compile=models.jit_choice(model)`." if xla else ""),
        stacklevel=2,
    )


def available_memory() -> float:
    """Return the free memory in bytes, as the kernel estimates it; infinite if unknown."""
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    return math.inf


def only_cpus() -> bool:
    """Tell whether TensorFlow sees no devices but CPUs."""
    import tensorflow as tf

    return all(device.device_type == "CPU" for device in tf.config.list_physical_devices())


def import_keras() -> None:
    """Import Keras in half the time, in a process of tfticket's own.

    Keras' optional packages (matplotlib, pandas, scikit-learn) are hidden from it; they can be
    imported afterwards, but the features of Keras that use them are off. The garbage collector is
    paused, and never again visits the million objects that were imported. Call it only in processes
    that run nothing but tfticket. If Keras is imported already, nothing happens.
    """
    if "keras" not in sys.modules:
        with _hidden(_OPTIONAL), _uncollected():
            import keras  # noqa: F401


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Exclude all objects that exist at its end from garbage collection."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


@contextlib.contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Make packages that aren't imported yet impossible to import."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
