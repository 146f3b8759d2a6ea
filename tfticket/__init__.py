"""tfticket finds, studies and ships sparse, trainable Keras 3 networks.

The names below are imported when they are first used, so that `import tfticket` and the commands
that don't train anything never wait for TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_SUBPACKAGES = ("data", "export", "lottery", "models", "recipe", "report", "sparsity")
_MODULES = ("errors", "metrics", "schedules", "state")
_NAMES = {
    "Mask": "tfticket.sparsity",
    "Masked": "tfticket.sparsity",
    "Ticket": "tfticket.lottery",
    "TicketSearch": "tfticket.lottery",
    "sparsify": "tfticket.sparsity",
    "strip": "tfticket.sparsity",
}

__all__ = ["__version__", *sorted((*_SUBPACKAGES, *_MODULES, *_NAMES))]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES or name in _MODULES:
        return importlib.import_module(f"tfticket.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'tfticket' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
