"""Folders that take long to fill, filled once for all processes that run the tests."""

from __future__ import annotations

import fcntl
import os


def filled_once(factory, name, fill):
    """A folder that all workers read and none changes.

    Args:
        factory: The `tmp_path_factory`.
        name: Of the folder.
        fill: Is given the folder, empty, by the first who asks for it; the others wait.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # where each worker has a folder of its own
    folder = base / name
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            partial = factory.mktemp(name)
            fill(partial)
            partial.rename(folder)
    return folder
