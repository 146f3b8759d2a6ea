"""Recipes: studies written down as data."""

import importlib
from typing import Any

import lazy_loader

_names, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "RunDir":  # its former home
        return importlib.import_module("tfticket.runs").RunDir
    return _names(name)
