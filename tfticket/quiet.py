"""Keep known native chatter off the terminal, and nothing else.

TensorFlow, its converter and LiteRT write to file descriptor 2, past Python and before any of their
settings take hold, so the only way is to filter the descriptor. Known lines about nothing are
dropped; all others come through. This file is also a script: the filter of a process that starts.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_CHATTER = re.compile(
    rb"I\d{4} |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: I |INFO: (Created TensorFlow Lite XNNPACK"
    rb"|Initialized TensorFlow Lite runtime)"  # information
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions: .* rebuild TensorFlow"
    rb"|W\d{4} .*Ignored (output_format|drop_control_dependency)"
    rb"|W\d{4} .*Skipping runtime version metadata"
    rb"|fully_quantize: "
)
_NO_DRIVER = re.compile(rb"E.*failed call to cuInit|[EW].*(Unable to register|Cannot dlopen).*")
_GPUS = ("/dev/nvidiactl", "/dev/dxg")


def start_tensorflow() -> None:
    """Import TensorFlow and Keras and let them look for devices, quietly.

    The filter is a process of its own: what a TensorFlow that dies at the start has to say still
    comes through. Python's warnings do anyway.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # later on: warnings and errors
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from tfticket.machine import import_keras  # not above: the script has no package around it

    with _filtered_stderr():
        import_keras()
        import tensorflow as tf

        tf.config.list_logical_devices()
    tf.get_logger().addFilter(_worth_logging)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop Python's standard output and the known lines; other lines come out at the end."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            written.seek(0)
            for line in worth_saying(written):
                os.write(saved, line)
            os.close(saved)


def worth_saying(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines that a user should see."""
    has_gpu = any(Path(device).exists() for device in _GPUS)
    for line in lines:
        # Without any GPU, a driver that doesn't answer is no error.
        if not _CHATTER.match(line) and (has_gpu or not _NO_DRIVER.match(line)):
            yield line


@contextlib.contextmanager
def retracing_expected() -> Iterator[None]:
    """Drop the warning that functions are traced again, as those of each network are."""
    import tensorflow as tf

    logger = tf.get_logger()
    known = _worth_logging in logger.filters
    logger.addFilter(_worth_logging)
    try:
        yield
    finally:
        if not known:
            logger.removeFilter(_worth_logging)


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


def _worth_logging(record: logging.LogRecord) -> bool:
    # Each network of a run has functions of its own, and TensorFlow counts them by their names.
    return "triggered tf.function retracing" not in record.getMessage()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that we filter
    for kept in worth_saying(iter(sys.stdin.buffer.readline, b"")):
        sys.stdout.buffer.write(kept)
        sys.stdout.buffer.flush()
