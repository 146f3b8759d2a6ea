"""Ctrl-C, wherever it comes."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from tfticket.cli.common import InterruptError


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Lets Ctrl-C end a block by `KeyboardInterrupt`, and by nothing else.

    Python raises it in the middle of whatever runs. In the middle of TensorFlow's C code it may
    come out as an error that says nothing of it, such as a `SystemError` for an argument that was
    being made. After Ctrl-C, every error is taken for what the interruption became.

    Where Ctrl-C is ignored, as in jobs of the background, it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        before(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception as error:
        if interrupted and not isinstance(error, InterruptError):
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)
