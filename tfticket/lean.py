"""Importing Keras in a process of our own: no more than is needed, and no search for garbage."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator

# For `keras.visualization`, for data frames given to `fit`, for `keras.wrappers`.
_OPTIONAL = ("matplotlib", "pandas", "sklearn")


def import_keras() -> None:
    """Imports Keras as if its optional packages weren't installed, in half the time.

    They can be imported as ever afterwards; what Keras itself does with them is off. The garbage
    collector rests meanwhile, and never again looks at the million objects that were imported. So
    it is for processes that only run what is in tfticket; nothing is done where Keras is imported
    already.
    """
    if "keras" not in sys.modules:
        with _hidden(_OPTIONAL), _for_good():
            import keras  # noqa: F401


@contextlib.contextmanager
def _for_good() -> Iterator[None]:
    """What is made here, and what there is already, is no garbage till the process ends."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


@contextlib.contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Makes packages that aren't imported yet impossible to import."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
