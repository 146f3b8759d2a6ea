"""Run tf_keras in a child process, and read what it hands over as plain data."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tfticket import children
from tfticket.errors import ModelError
from tfticket.files import read_arrays
from tfticket.interop.legacy_file import LegacyFile

_NEEDED = {"tensorflow_model_optimization": "tensorflow-model-optimization", "tf_keras": "tf_keras"}
_LONGEST_SAMPLE = 4096

Name = TypeVar("Name")


@dataclass(frozen=True, eq=False)
class LegacyLayer:
    """Layer of the legacy model, without the pruning wrapper.

    Attributes:
        path: Names from the model down to the layer, or to its wrapper.
        names: Name of each weight, without the layer's.
        weights: Values of the weights, in the same order.
        masks: Index of a weight to its mask, boolean, True = kept; empty for a layer that isn't
            wrapped.
        step: Training steps that the wrapper has counted; None without one.
        pruning: Settings of the wrapper: `schedule`, `block_size`, `block_pooling_type`.
        samples: Some values of each output; empty for a layer that is called several times.
    """

    path: tuple[str, ...]
    names: tuple[str, ...]
    weights: tuple[np.ndarray, ...]
    masks: Mapping[int, np.ndarray]
    step: int | None
    pruning: Mapping[str, Any] | None
    samples: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class LegacyContent:
    """Content of a legacy model, as plain data.

    Attributes:
        model: The model as tf_keras describes it: `class_name` and `config`.
        layers: Layers, those of nested models too.
        inputs: Random inputs, one array for each input of the model.
        outputs: Outputs of the model for them.
        versions: Versions of the libraries that read it.
    """

    model: Mapping[str, Any]
    layers: tuple[LegacyLayer, ...]
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    versions: Mapping[str, str]


def read_in_child(path: Path, file: LegacyFile, *, timeout: float) -> LegacyContent:
    """Load a model with tf_keras, in a child process.

    Args:
        path: The legacy file.
        file: Its description.
        timeout: Seconds after which the process is ended.

    Raises:
        ModelError: when tf_keras isn't installed or can't load the file, or it takes too long.
    """
    for module, package in _NEEDED.items():
        if importlib.util.find_spec(module) is None:  # which doesn't import it
            raise ModelError(
                f"A legacy model needs {package} to be read, which isn't installed. Install it: "
                f"pip install {package}"
            )
    with tempfile.TemporaryDirectory(prefix="tfticket-") as folder:
        copy, output = Path(folder, f"legacy{file.suffix}"), Path(folder, "content.npz")
        shutil.copyfile(path, copy)  # tf_keras goes by the suffix
        _run(path, [str(copy), str(output)], folder, timeout)
        header, arrays = read_arrays(output, kind="legacy model")
    return _content(header, arrays)


def _run(path: Path, arguments: list[str], folder: str, timeout: float) -> None:
    # Graphics cards round otherwise, by more than the tolerance of the comparison.
    on_processor = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        children.run(
            "tfticket.interop._legacy",
            *arguments,
            timeout=timeout,
            environment=on_processor,
            folder=folder,
            last_line_only=True,
        )
    except children.ChildTimeoutError as error:
        raise ModelError(
            f"tf_keras must load a model within {timeout:g} s. `{path}` took longer. Give it more "
            "time, or a machine with less to do."
        ) from error
    except children.ChildError as error:
        raise ModelError(
            f"`{path}` can't be loaded by tf_keras: {error} If tf_keras loads it elsewhere, save "
            "it there again with its version of today."
        ) from error


def _content(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LegacyContent:
    layers = []
    for number, layer in enumerate(header["layers"]):
        places = range(len(layer["weights"]))
        layers.append(
            LegacyLayer(
                path=tuple(layer["path"]),
                names=tuple(layer["weights"]),
                weights=tuple(arrays[f"{number}:weight:{i}"] for i in places),
                masks={i: arrays[f"{number}:mask:{i}"] for i in layer["masks"]},
                step=layer.get("step"),
                pruning=layer.get("pruning"),
                samples=tuple(
                    arrays[f"{number}:sample:{i}"] for i in range(layer.get("samples", 0))
                ),
            )
        )
    inputs = sum(name.startswith("input:") for name in arrays)
    outputs = sum(name.startswith("output:") for name in arrays)
    return LegacyContent(
        model=header["model"],
        layers=tuple(layers),
        inputs=tuple(arrays[f"input:{i}"] for i in range(inputs)),
        outputs=tuple(arrays[f"output:{i}"] for i in range(outputs)),
        versions=header["versions"],
    )


@contextlib.contextmanager
def watched(layers: Mapping[Name, Any]) -> Iterator[dict[Name, list[np.ndarray]]]:
    """Record outputs of layers of tf_keras or Keras 3 while a model is called eagerly.

    Args:
        layers: Layers to watch, each once, by any name.

    Yields:
        Name to a sample of each output of the layer. A layer that was called several times is left
        out, since the order of its calls isn't defined.
    """
    calls: dict[Name, list[list[np.ndarray]]] = {name: [] for name in layers}
    seen: dict[Name, list[np.ndarray]] = {}
    with contextlib.ExitStack() as stack:
        for name, layer in layers.items():
            stack.enter_context(_noted(layer, calls[name]))
        yield seen
    seen |= {name: outputs[0] for name, outputs in calls.items() if len(outputs) == 1}


@contextlib.contextmanager
def _noted(layer: Any, calls: list[list[np.ndarray]]) -> Iterator[None]:
    call = layer.call

    def noting(*args: Any, **kwargs: Any) -> Any:
        outputs = call(*args, **kwargs)
        several = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        calls.append([_sample(np.asarray(each)) for each in several])
        return outputs

    layer.call = noting
    try:
        yield
    finally:
        del layer.call


def _sample(array: np.ndarray) -> np.ndarray:
    """Pick at most 4,096 values from all over an array, the same ones for equal shapes."""
    flat = array.ravel()
    # An odd step doesn't stay in one channel or column, as a power of two would.
    step = 1 if flat.size <= _LONGEST_SAMPLE else (flat.size // _LONGEST_SAMPLE + 1) | 1
    return flat[::step]
