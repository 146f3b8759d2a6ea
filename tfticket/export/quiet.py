"""Keeps known chatter of the converter and the runtime off the terminal, and nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# What they write past Python, to file descriptor 2, in every conversion, about nothing.
_CHATTER = re.compile(
    rb"I\d{4} "
    rb"|W\d{4} .*Ignored (output_format|drop_control_dependency)"
    rb"|W\d{4} .*Skipping runtime version metadata"
    rb"|INFO: Created TensorFlow Lite XNNPACK delegate"
    rb"|INFO: Initialized TensorFlow Lite runtime"
    rb"|fully_quantize: "
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops Python's standard output and the known lines; other lines come out at the end."""
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
            for line in written:
                if not _CHATTER.match(line):
                    os.write(saved, line)
            os.close(saved)
