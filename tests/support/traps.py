"""Folders in which a file lies for each module of Python: whoever imports from them is caught."""

from __future__ import annotations

import sys
from pathlib import Path

_MODULE = """
import pathlib
pathlib.Path({mark!r}).touch()
raise SystemExit("{name}.py of the current folder ran")
"""


def lay(folder: Path) -> Path:
    """Fills a folder with traps; returns the file that is there after one has snapped."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "snapped"
    for name in (*sys.stdlib_module_names, "numpy", "keras", "tensorflow"):
        (folder / f"{name}.py").write_text(_MODULE.format(mark=str(mark), name=name))
    return mark
