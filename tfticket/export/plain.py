"""Plain `.keras` files: what anyone can load without tfticket."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

import keras

from tfticket.errors import ExportError
from tfticket.files import write_atomic
from tfticket.sparsity.convert import strip


def save_keras(model: keras.Model, path: str | os.PathLike[str]) -> Path:
    """Writes a model as a `.keras` file to predict with, whole or not at all.

    It holds no wrappers, but their zeros, and no optimizer or loss: nothing of tfticket is needed
    to load it.

    Args:
        model: A built Sequential or Functional model, sparsified or plain. It isn't changed.
        path: Where to write; must end in `.keras`.

    Raises:
        ExportError: when the name ends in something else.
        ModelError: for a subclassed model.
        RunError: when the file can't be written.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise ExportError(f"`path` must end in .keras. Received: {path}")
    plain = strip(model)
    plain.compiled, plain.optimizer = False, None  # Keras has no option to leave them out

    def write(file: BinaryIO) -> None:
        # Keras writes only to names that end in .keras, so not to one that is in the making.
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / path.name
            plain.save(whole)
            with whole.open("rb") as saved:
                shutil.copyfileobj(saved, file)

    return write_atomic(path, write)
