"""Packages whose names are imported when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, origins: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`, to offer names without importing them.

    Args:
        package: The package's `__name__`.
        origins: Name to the module that defines it; a name that is the module's own last part
            stands for the module.
    """

    def get(name: str) -> Any:
        if name not in origins:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(origins[name])
        return module if module.__name__ == f"{package}.{name}" else getattr(module, name)

    names = sorted(origins)
    return get, lambda: names, names
