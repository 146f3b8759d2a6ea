"""`to_tflite`: convert, embed provenance, run the bytes, and only then give the file its name."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np

from tfticket import __version__
from tfticket.errors import ExportError
from tfticket.export import flatbuffer, latency, metadata
from tfticket.export.convert import convert
from tfticket.export.result import FORMATS, ExportReport, Format, Preprocessing
from tfticket.export.runtime import Session
from tfticket.export.static import check_exportable, predictions, static_copy
from tfticket.export.verify import Reference, check_finite, check_structure, verify
from tfticket.export.zeros import count_zeros
from tfticket.files import digest, write_atomic, write_text
from tfticket.sparsity.convert import get_mask, masked_layers
from tfticket.sparsity.mask import Mask
from tfticket.state import kernels_of, named_variables

_RANDOM_INPUTS = 32


def to_tflite(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    format: Format = "fp32",
    calibration: np.ndarray | None = None,
    check_on: tuple[np.ndarray, np.ndarray | None] | None = None,
    mask: Mask | None = None,
    preprocessing: Preprocessing | None = None,
    provenance: Mapping[str, Any] | None = None,
    min_agreement: float = 0.95,
    baseline: str | os.PathLike[str] | None = None,
) -> ExportReport:
    """Writes a model as a `.tflite` file that was run and found right, and a `.json` beside it.

    The file takes one example at a time, of what the Keras model takes (already normalized; see
    `feeding` in the report for the way from raw data), and gives what the model gives. The bytes
    are run in LiteRT with and without its default delegate and compared with Keras before the file
    gets its name. Weights are stored densely: the zeros of a ticket don't make the file itself
    smaller, only what gzip makes of it. Exporting again gives the same bytes.

    Args:
        model: A built Sequential or Functional model, sparsified or plain, with one input and one
            output. It isn't changed.
        path: Where to write; must end in `.tflite`.
        format: `fp32`, exact; `fp16`, weights in half precision; `dynamic`, weights in 8 bits,
            computed in floats; `int8`, all in 8 bits, input and output too.
        calibration: For `int8`: some hundred training examples as the model takes them, shape
            (n, ...). From training data, so that the test data says nothing about the file.
        check_on: Real examples as the model takes them, shape (n, ...), at least 200 if there are
            as many, and their labels, integers, shape (n,), or None. Without it the calibration
            data is used, and without that random numbers, which say little about quantized files.
        mask: The ticket's mask, for a plain model; a sparsified one has its own.
        preprocessing: How raw data becomes what the model takes; nothing to do when None.
        provenance: What the file is to tell about its origin: recipe, seed, level. Anything JSON
            can hold.
        min_agreement: For `dynamic` and `int8`: smallest share, in [0, 1], of `check_on` on which
            the file must give the same class as Keras, unless its outputs are near anyway.
        baseline: A `.tflite` file to measure the latency against, in turns: the dense fp32 network.

    Returns:
        What was written, and what was seen when it was run.

    Raises:
        ExportError: when the model can't be converted, or the file fails a check; then no file is
            left behind, and an older one of that name is as it was.
        ModelError: for a subclassed model.
        RunError: when the file can't be written.
    """
    path = Path(path)
    source = f"The {format} file for `{path.name}`"
    _check_arguments(model, path, format, calibration)
    if calibration is not None:
        calibration = _examples(model, calibration, "calibration")
    reference = _reference(model, calibration, check_on)
    static = static_copy(model)
    kernels = _kernels(static)
    mask = get_mask(model) if masked_layers(model) else mask
    _check_mask(mask, kernels)
    parsed = flatbuffer.parse(convert(static, format, calibration), source=source)
    check_structure(parsed, source)
    zeros = count_zeros(kernels, list(flatbuffer.constants(parsed)))
    session = Session(flatbuffer.pack(parsed), source=source)
    feeding = (preprocessing or Preprocessing()).feeding(session.input)
    about = _about(static, mask, format=format, feeding=feeding, provenance=provenance or {})
    metadata.embed(parsed, about)
    content = flatbuffer.pack(parsed)
    report = ExportReport(
        path=path,
        format=format,
        size_bytes=len(content),
        gzip_bytes=len(gzip.compress(content, compresslevel=9, mtime=0)),
        sha256=hashlib.sha256(content).hexdigest(),
        input=session.input,
        output=session.output,
        feeding=feeding,
        operators=flatbuffer.operators(parsed),
        zeros=zeros,
        verification=verify(
            content, reference, format=format, min_agreement=min_agreement, source=source
        ),
        latency=None if baseline is None else _latency(content, Path(baseline), reference.x[0]),
        provenance=about,
    )
    _write(path, content)
    write_text(report.report_path, report.to_json())
    return report


def _check_arguments(
    model: keras.Model, path: Path, format: str, calibration: np.ndarray | None
) -> None:
    check_exportable(model)
    if path.suffix != ".tflite":
        raise ExportError(f"`path` must end in .tflite. Received: {path}")
    if format not in FORMATS:
        raise ExportError(f"`format` must be one of {FORMATS}. Received: {format!r}")
    if format == "int8":
        if calibration is None:
            raise ExportError(
                "The format int8 needs the ranges of all values inside the network, so it must be "
                "calibrated. Received: calibration=None. Give some hundred training examples, as "
                "the model takes them."
            )
        if not keras.backend.is_float_dtype(model.inputs[0].dtype):
            raise ExportError(
                "Only a model that takes floats can take int8 in their place. Received: an input "
                f"of type {model.inputs[0].dtype}. Choose the format dynamic."
            )


def _reference(
    model: keras.Model,
    calibration: np.ndarray | None,
    check_on: tuple[np.ndarray, np.ndarray | None] | None,
) -> Reference:
    y = None
    if check_on is not None:
        x, inputs = _examples(model, check_on[0], "check_on[0]"), "given"
        y = None if check_on[1] is None else np.asarray(check_on[1])
        if y is not None and (y.shape != (len(x),) or y.dtype.kind not in "iu"):
            raise ExportError(
                f"`check_on[1]` must be integer labels of shape ({len(x)},). Received: "
                f"{y.dtype} of shape {y.shape}."
            )
    elif calibration is not None:
        x, inputs = calibration, "calibration"
    else:
        x, inputs = _random_examples(model), "random"
    reduced = any(layer.compute_dtype in ("float16", "bfloat16") for layer in model.layers)
    outputs = predictions(model, x)
    check_finite(outputs, "The Keras model itself")
    return Reference(x, outputs, y, inputs, reduced)


def _examples(model: keras.Model, x: np.ndarray, name: str) -> np.ndarray:
    x, given = np.asarray(x), model.inputs[0]
    if x.shape[1:] != tuple(given.shape[1:]) or not len(x):
        raise ExportError(
            f"`{name}` must be one example or more of the shape {tuple(given.shape[1:])}. "
            f"Received: an array of shape {x.shape}."
        )
    if x.dtype.kind in "iub" and keras.backend.is_float_dtype(given.dtype):
        raise ExportError(
            f"`{name}` must be what the model takes, already normalized: {given.dtype}. Received: "
            f"{x.dtype}. Scale raw data as for training, and say how by `preprocessing`."
        )
    return x.astype(given.dtype)


def _random_examples(model: keras.Model) -> np.ndarray:
    rng, given = np.random.default_rng(0), model.inputs[0]
    shape = (_RANDOM_INPUTS, *given.shape[1:])
    if keras.backend.is_float_dtype(given.dtype):
        return rng.standard_normal(shape).astype(given.dtype)
    return rng.integers(0, 2, shape).astype(given.dtype)  # 0 and 1 are valid for any vocabulary


def _kernels(model: keras.Model) -> dict[str, np.ndarray]:
    return {key: kernel.numpy() for key, kernel in kernels_of(model).items()}


def _check_mask(mask: Mask | None, kernels: Mapping[str, np.ndarray]) -> None:
    for key, expected in ({} if mask is None else mask.apply(kernels)).items():
        leaked = int(np.count_nonzero(expected != kernels[key]))
        if leaked:
            raise ExportError(
                "A pruned weight must be zero before the model is exported. Received: "
                f"{leaked:,} that are not, in `{key}`. Give the mask that the model was trained "
                "with, or apply it first."
            )


def _about(
    static: keras.Model,
    mask: Mask | None,
    *,
    format: str,
    feeding: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    weights = {key: variable.numpy() for key, variable in named_variables(static).items()}
    return {
        "made_by": f"tfticket {__version__}",
        "format": format,
        "feeding": dict(feeding),
        "mask_sha256": None if mask is None else mask.sha256,
        "density": None if mask is None else mask.density,
        "weights_sha256": digest(weights),
        "versions": {name: version(name) for name in ("keras", "tensorflow", "ai-edge-litert")},
        "provenance": dict(provenance),
    }


def _latency(content: bytes, baseline: Path, example: np.ndarray) -> latency.Latency:
    try:
        other = baseline.read_bytes()
    except OSError as error:
        raise ExportError(
            f"`baseline` must be a .tflite file. Received: {baseline}: {error.strerror}."
        ) from error
    return latency.against(content, other, example)


def _write(path: Path, content: bytes) -> None:
    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomic(path, write)
