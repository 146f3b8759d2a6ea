"""Reading a run, estimates, expectations, tables and charts, shared by all kinds of studies.

Nothing here imports Keras or TensorFlow.
"""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("Summary", "render", "summarize"):  # their former home
        return getattr(importlib.import_module("tfticket.studies"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
