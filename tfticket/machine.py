"""What this runs on."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path


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
