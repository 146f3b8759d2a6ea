"""Starts TensorFlow without its start-up chatter, and with its warnings.

TensorFlow's C++ side writes to file descriptor 2 before any of its own settings take hold, so the
only way is to filter the descriptor while it starts. The filter is a process of its own: what a
TensorFlow that dies at the start has to say still comes through. Python's warnings do anyway.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_CHATTER = re.compile(
    rb"I\d{4} \d\d:\d\d:|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: I "  # information
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions: .* rebuild TensorFlow"
)
_NO_DRIVER = re.compile(rb"E.*failed call to cuInit|[EW].*(Unable to register|Cannot dlopen).*")
_GPUS = ("/dev/nvidiactl", "/dev/dxg")


def start_tensorflow() -> None:
    """Imports TensorFlow and Keras and lets them look for devices, quietly."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # later on: warnings and errors
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from tfticket.machine import import_keras  # not above: this file is also run alone, as a filter

    with _filtered_stderr():
        import_keras()
        import tensorflow as tf

        tf.config.list_logical_devices()
    tf.get_logger().addFilter(_worth_logging)


def _worth_logging(record: logging.LogRecord) -> bool:
    # Each network of a run has functions of its own, and TensorFlow counts them by their names.
    return "triggered tf.function retracing" not in record.getMessage()


@contextlib.contextmanager
def _filtered_stderr() -> Iterator[None]:
    sys.stderr.flush()
    saved = os.dup(2)
    command = [sys.executable, "-I", "-S", __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=saved) as process:
        assert process.stdin is not None
        os.dup2(process.stdin.fileno(), 2)
        process.stdin.close()
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)  # closes the pipe: the filter ends, and `with` waits for it
            os.close(saved)


def worth_saying(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of TensorFlow's start that a user should see."""
    has_gpu = any(Path(device).exists() for device in _GPUS)
    for line in lines:
        # Without any GPU, that its driver doesn't answer is no error.
        if not _CHATTER.match(line) and (has_gpu or not _NO_DRIVER.match(line)):
            yield line


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that we filter
    for kept in worth_saying(iter(sys.stdin.buffer.readline, b"")):
        sys.stdout.buffer.write(kept)
        sys.stdout.buffer.flush()
