"""Models from `.keras` files: loaded within limits, checked against the data, saved whole."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

import keras

from tfticket.errors import ModelError
from tfticket.files import write_atomic
from tfticket.internals import calls_of, in_safe_mode
from tfticket.model_file import NamedObject, foreign_objects, named_objects, read_model_file
from tfticket.reading import UnreadableError

_SHOWN = 5
_BY_IDS = (keras.layers.Embedding, keras.layers.CategoryEncoding, keras.layers.IntegerLookup)
# Of the names that Keras exports, and of its modules below `keras.src`. The others load data, read
# and write files, or fetch weights from the network.
_GROUPS = frozenset(
    {
        "activations", "constraints", "dtype_policies", "engine", "initializers", "layers",
        "losses", "metrics", "models", "ops", "optimizers", "quantizers", "random", "regularizers",
        "trainers",
    }
)  # fmt: skip
# Ours that register layers, losses and models when they are imported.
_OURS = re.compile(r"tfticket\.(models|noise|norms|recipe|sparsity)(\.\w+)*", re.ASCII)
# Companions of Keras, which it imports where they are installed.
_COMPANIONS = frozenset({"keras_cv", "keras_hub", "keras_nlp"})


def load_file(
    path: str | os.PathLike[str],
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
) -> keras.Model:
    """Load a `.keras` file with its weights, not compiled.

    Args:
        path: The file.
        input_shape: Shape of one example of the data that it must take; None for any.
        num_classes: Number of classes of the data; None for any.

    Raises:
        ModelError: when the file is missing or damaged, needs code that isn't there, or doesn't fit
            the data.

    Example:
        >>> from tfticket.models import lenet_300_100
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_file(lenet_300_100((4,), 3, width=0.1), Path(folder) / "net.keras")
        ...     load_file(path, input_shape=(4,), num_classes=3).name
        'lenet_300_100'
    """
    path = Path(path)
    if path.suffix != ".keras" or not path.is_file():
        raise ModelError(
            f"A model file must exist and end in .keras. Received: {path.absolute()}, "
            + ("another kind of file." if path.exists() else "no such file.")
        )
    _check_names(path)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a wrong configuration makes its layers raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _unreadable(path, f"{reason:.300}") from error
    if input_shape is not None or num_classes is not None:
        check_fits(path, model, input_shape, num_classes)
    return model


def _check_names(path: Path) -> None:
    """Refuse a file that names code, or can't be read within limits, before Keras reads it."""
    try:
        described = {**read_model_file(path).config, "compile_config": None}
        for module in {named.module for named in named_objects(described)}:
            if _OURS.fullmatch(module):
                with contextlib.suppress(ImportError):  # of another version: it is told below
                    importlib.import_module(module)
        foreign = foreign_objects(described, is_trusted)
    except UnreadableError as error:
        raise _unreadable(path, f"{error}.") from error
    if foreign:
        raise ModelError(
            f"`{path}` needs code that isn't in it: {', '.join(foreign[:_SHOWN])}. A model file "
            "may name parts of Keras, and layers and functions that are registered: decorate them "
            "by `keras.saving.register_keras_serializable`, and import the module that does so "
            "before the model is loaded, in Python."
        )


def is_trusted(named: NamedObject) -> bool:
    """Return whether Keras may look up an object that a model file names.

    Those are registered objects, for which nothing is imported, and Keras' own parts. Lambdas are
    Python code: they pass if the user has called `keras.config.enable_unsafe_deserialization`.

    >>> is_trusted(NamedObject("keras.layers", "Dense", "", "class"))
    True
    >>> is_trusted(NamedObject("keras.utils", "get_file", "", "function"))
    False
    """
    if named.kind == "lambda":
        return in_safe_mode() is False
    name = named.name if named.kind == "function" else named.registered
    if name and keras.saving.get_registered_object(name) is not None:
        return True
    package, _, rest = named.module.partition(".")
    if package == "keras":
        group = rest.removeprefix("src.").partition(".")[0]
        return group in _GROUPS if group else named.kind == "class"
    return package in _COMPANIONS or (package, rest) in (("", ""), ("builtins", ""))


def _unreadable(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"`{path}` can't be loaded: {reason} Save it again with `model.save`; a model with layers "
        "of your own needs them registered by `keras.saving.register_keras_serializable` and "
        "imported first."
    )


def save_file(model: keras.Model, path: str | os.PathLike[str]) -> Path:
    """Write a model as a `.keras` file, whole or not at all; see `load_file` for an example.

    Raises:
        ModelError: when the name doesn't end in `.keras`.
        RunError: when the file can't be written; an older file of that name is unchanged.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise ModelError(f"The name of a model file must end in .keras. Received: {path}")

    def write(file: BinaryIO) -> None:
        # Keras writes only to names that end in .keras, so not to a temporary name.
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / path.name
            model.save(whole)
            with whole.open("rb") as saved:
                shutil.copyfileobj(saved, file)

    return write_atomic(path, write)


def check_fits(
    path: str | os.PathLike[str],
    model: keras.Model,
    input_shape: tuple[int, ...] | None,
    num_classes: int | None,
    label_shape: tuple[int, ...] = (),
) -> None:
    """Raise a `ModelError` if a model doesn't fit the data.

    Args:
        path: Name of the model in the error.
        model: The model.
        input_shape: As for `load_file`.
        num_classes: As for `load_file`; of a regression the number of targets.
        label_shape: Shape of the labels of one example; (height, width) for a label a pixel.

    Example:
        >>> from tfticket.models import lenet_300_100
        >>> check_fits("net", lenet_300_100((4,), 3, width=0.1), (5,), 3)
        Traceback (most recent call last):
          ...
        tfticket.errors.ModelError: `net` takes examples of shape (4,), not (5,) as in the data.
    """
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs or len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"`{path}` has {len(inputs or ())} inputs and {len(outputs or ())} outputs. The model "
            "must have one input and one output, and must have been built."
        )
    takes, gives = tuple(inputs[0].shape[1:]), tuple(outputs[0].shape[1:])
    if input_shape is not None and not _fits(takes, tuple(input_shape)):
        raise ModelError(
            f"`{path}` takes examples of shape {takes}, not {tuple(input_shape)} as in the data."
        )
    if num_classes is not None and not _fits(gives, (*label_shape, num_classes)):
        each = "a pixel" if label_shape else "an example"
        raise ModelError(
            f"`{path}` gives {gives}, but must give {num_classes} numbers {each}, one a class "
            "or a target of the data."
        )


def _fits(takes: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    return len(takes) == len(shape) and all(
        size is None or size == given for size, given in zip(takes, shape, strict=True)
    )


def takes_whole_numbers(model: keras.Model) -> str | None:
    """Describe the part of a model that needs whole numbers as inputs; None if there is none.

    It is the type of the input, or a layer right behind it: one that looks up ids truncates
    fractions silently.

    Args:
        model: A Sequential or Functional model with one input.

    Example:
        >>> ids = keras.Sequential([keras.Input((5,)), keras.layers.Embedding(9, 2, name="words")])
        >>> takes_whole_numbers(ids)
        'the layer words, Embedding'
    """
    (given,) = model.inputs
    if keras.backend.is_int_dtype(given.dtype):
        return f"an input of type {given.dtype}"
    for layer in model.layers:
        inner = layer.layer if isinstance(layer, keras.layers.Wrapper) else layer
        if any(x is given for node in calls_of(layer) for x in node.input_tensors):
            if isinstance(inner, _BY_IDS):
                return f"the layer {layer.name}, {type(inner).__name__}"
            if isinstance(inner, keras.Model) and (needs := takes_whole_numbers(inner)):
                return needs
    return None
