"""Runs the child that has tf_keras, and reads what it hands on."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
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
_LONGEST_REASON = 500


@dataclass(frozen=True, eq=False)
class LegacyLayer:
    """A layer of the legacy model, without the wrapper that prunes it.

    Attributes:
        path: Names on the way from the model to the layer; of the wrapper, where there is one.
        names: Name of each weight, without the layer's.
        weights: Their values, in the same order.
        masks: Place of a weight to its mask, boolean, True = kept; empty for a layer that isn't
            wrapped.
        step: Training steps that the wrapper has seen; None without one.
        pruning: How the wrapper prunes: `schedule`, `block_size`, `block_pooling_type`.
        samples: Of each of its outputs, some values; empty for a layer that is called several
            times.
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
    """All of a legacy model, as plain data.

    Attributes:
        model: The model as tf_keras describes it: `class_name` and `config`.
        layers: Its layers, those of models inside it too.
        inputs: Random inputs, one array each input of the model.
        outputs: What the model makes of them.
        versions: Of the libraries that read it.
    """

    model: Mapping[str, Any]
    layers: tuple[LegacyLayer, ...]
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    versions: Mapping[str, str]


def read_in_child(path: Path, file: LegacyFile, *, timeout: float) -> LegacyContent:
    """Loads a model with tf_keras, in a process of its own.

    Args:
        path: The legacy file.
        file: What was found in it.
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
    command = children.command("tfticket.interop._legacy", *arguments)
    # Graphics cards round otherwise, by more than what is to be told.
    on_processor = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            env={**os.environ, **on_processor},
            cwd=folder,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"tf_keras must load a model within {timeout:g} s. `{path}` took longer. Give it more "
            "time, or a machine with less to do."
        ) from error
    if done.returncode:
        raise ModelError(
            f"`{path}` can't be loaded by tf_keras: {_reason(done)} If tf_keras loads it "
            "elsewhere, save it there again with its version of today."
        )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"its process was ended by {name}, perhaps for want of memory."
    lines = done.stderr.strip().splitlines()
    reason = lines[-1] if lines else "it gave no reason"
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]} ..."
    return reason if reason.endswith(".") else f"{reason}."


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


_LONGEST = 4096

Name = TypeVar("Name")


@contextlib.contextmanager
def watched(layers: Mapping[Name, Any]) -> Iterator[dict[Name, list[np.ndarray]]]:
    """Notes the outputs of layers while a model is called eagerly.

    Args:
        layers: Layers to watch, each once, by any name.

    Yields:
        Name to a sample of each output of the layer. A layer that was called several times is left
        out: the order of its calls is nobody's promise.
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
    """At most some thousand values from all over the array, the same for equal shapes."""
    flat = array.ravel()
    # An odd step doesn't keep to one channel or column, as a power of two would.
    step = 1 if flat.size <= _LONGEST else (flat.size // _LONGEST + 1) | 1
    return flat[::step]
