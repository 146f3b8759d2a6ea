"""What this runs on."""

from __future__ import annotations

import math
import os
import platform
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

# From here on it is worth a warning: about two seconds of a small network's training.
_MANY_STEPS = 2_000
# At a million weights two threads of one core are as fast as one.
_FEW_WEIGHTS = 500_000


def processor() -> str:
    """The name of this machine's processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def op_threads() -> int:
    """With how many threads TensorFlow computes one operation in this process."""
    import tensorflow as tf  # others ask what needs none

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return threads or int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or usable_cores()


def warn_of_threads(model: keras.Model, steps: int, *, chunked: bool) -> None:
    """Warns when a small dense network is about to be trained on more threads than serve it.

    Each operation is divided among the threads, which then wait for each other: LeNet-300-100
    trains 1.2 to 1.3 times slower on two threads than on one. A function of many steps that XLA
    doesn't compile is no slower.

    Args:
        model: The compiled model, about to be trained.
        steps: Number of training steps; nothing is said of fewer than 2,000.
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
    """Bytes that processes can have before others must give some back; infinite if unknown."""
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    return math.inf


def only_cpus() -> bool:
    """Whether TensorFlow sees no devices but CPUs."""
    import tensorflow as tf  # others ask what needs none

    return all(device.device_type == "CPU" for device in tf.config.list_physical_devices())
