"""Importing Keras in a process of our own, without what it takes along for others."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

# For `keras.visualization`, for data frames given to `fit`, for `keras.wrappers`.
_OPTIONAL = ("matplotlib", "pandas", "sklearn")


def import_keras() -> None:
    """Imports Keras as if its optional packages weren't installed, which saves a second of three.

    They can be imported as ever afterwards; what Keras itself does with them is off. So it is for
    processes that only run what is in tfticket, and does nothing where Keras is imported already.
    """
    with _hidden(_OPTIONAL):
        import keras  # noqa: F401


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
