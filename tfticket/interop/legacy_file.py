"""Read the description of a model in a file of tf_keras, without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfticket.errors import ModelError
from tfticket.hdf5 import inspect_hdf5
from tfticket.model_file import check_sizes, read_model_file
from tfticket.reading import parse_json

_HDF5_MARK = b"\x89HDF\r\n\x1a\n"
_SAVE_AGAIN = "Save it again with `model.save`, as .h5 or .keras."


@dataclass(frozen=True)
class LegacyFile:
    """Description of a model file of tf_keras.

    Attributes:
        suffix: `.h5` or `.keras` by its content; tf_keras goes by the name.
        model: The model as tf_keras describes it: `class_name` and `config`.
        left_behind: Other parts of the file, in words, which aren't imported.
    """

    suffix: str
    model: Mapping[str, Any]
    left_behind: tuple[str, ...]


def read_legacy_file(path: str | os.PathLike[str]) -> LegacyFile:
    """Read the description of the model in a file of tf_keras.

    Args:
        path: A file that `model.save` of tf_keras (Keras 2) wrote, in HDF5 or in its own format.

    Raises:
        ModelError: when there is no such file, it is damaged, or it holds something else.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            mark = file.read(len(_HDF5_MARK))
    except OSError as error:
        hint = " Of a SavedModel, load it in tf_keras and save it as .h5." if path.is_dir() else ""
        raise ModelError(
            "A legacy model must be one file that can be read, .h5 or .keras. Received: "
            f"{path}: {error.strerror}.{hint}"
        ) from error
    try:
        if mark == _HDF5_MARK:
            return _read_hdf5(path)
        if mark.startswith(b"PK"):
            return _read_archive(path)
    except ModelError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"`{path}` is not a model of tf_keras, or it is damaged ({error!s:.300}). {_SAVE_AGAIN}"
        ) from error
    raise ModelError(
        f"A legacy model must be an HDF5 file or a .keras archive. Received: {path}, which is "
        f"neither. {_SAVE_AGAIN}"
    )


def _read_hdf5(path: Path) -> LegacyFile:
    found = inspect_hdf5(path)
    attributes = found.attributes
    if "model_config" not in attributes:
        what = "weights alone" if "layer_names" in attributes else "no model"
        raise ModelError(
            f"`{path}` must hold a whole model. Received: a file that holds {what}. Load it into "
            "the model in tf_keras, and save that with `model.save`."
        )
    _check_version(path, attributes.get("keras_version", "2"))
    compiled = parse_json(attributes.get("training_config", "{}"))
    described = parse_json(attributes["model_config"])
    check_sizes(described, found.values)
    return LegacyFile(
        ".h5", _described(described), _left(compiled.get("optimizer_config"), compiled)
    )


def _read_archive(path: Path) -> LegacyFile:
    file = read_model_file(path)
    _check_version(path, file.keras_version or "2")
    compiled = file.config.get("compile_config") or {}
    return LegacyFile(".keras", _described(file.config), _left(compiled.get("optimizer"), compiled))


def _described(model: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(model["class_name"], str) or not isinstance(model["config"], dict):
        raise TypeError("its description names no class or has no configuration")
    return model


def _check_version(path: Path, version: str) -> None:
    if not version.startswith(("1.", "2")):
        raise ModelError(
            f"A legacy model must be one of tf_keras (Keras 2). Received: {path}, saved by Keras "
            f"{version}: `keras.saving.load_model` loads it as it is."
        )


def _left(optimizer: Any, compiled: Mapping[str, Any]) -> tuple[str, ...]:
    """List the arguments of `compile` that aren't imported, in words."""
    left = []
    if optimizer:
        name = optimizer.get("class_name") if isinstance(optimizer, dict) else optimizer
        left.append(f"the optimizer {str(name).rpartition('>')[2]} and its state")
    left += [f"the {name}" for name in ("loss", "metrics") if compiled.get(name)]
    return tuple(left)
