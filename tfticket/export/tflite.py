"""One model, one format, one file: `to_tflite`, and the draft that it writes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import keras

from tfticket import __version__
from tfticket.errors import ExportError
from tfticket.export import flatbuffer, latency, metadata
from tfticket.export.contents import (
    INTEGERS,
    Ends,
    check_hazards,
    check_structure,
    check_types,
    count_zeros,
)
from tfticket.export.conversion import Convertible, check_inside, produce
from tfticket.export.emulate import check_without_avx, why_not
from tfticket.export.foreign import read_file
from tfticket.export.preparation import check_exportable, check_pruned
from tfticket.export.result import FORMATS, ExportReport, Format, Preprocessing, feeding_of
from tfticket.export.runtime import Arrays, Loaded, TensorSpec
from tfticket.export.sparse.encoding import Encoding
from tfticket.export.verification import (
    CheckData,
    chance_notes,
    check_size,
    predicted_bytes,
    verify,
)
from tfticket.files import digest, write_atomic, write_text
from tfticket.sparsity.convert import get_mask, masked_layers
from tfticket.sparsity.mask import Mask
from tfticket.state import kernels_of, named_variables

_EMULATED_EXAMPLES = 8


def to_tflite(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    format: Format = "fp32",
    ends: Ends | None = None,
    keep_float: Sequence[str] = (),
    calibration: Arrays | None = None,
    check_on: CheckData | None = None,
    mask: Mask | None = None,
    preprocessing: Preprocessing | Mapping[str, Preprocessing] | None = None,
    provenance: Mapping[str, Any] | None = None,
    min_agreement: float = 0.95,
    baseline: str | os.PathLike[str] | None = None,
    encodings: Mapping[str, Encoding] | None = None,
) -> ExportReport:
    """Write a model as a `.tflite` file that was run and found right, and its `.report.json`.

    The file takes one example at a time, of what the Keras model takes (already normalized; see
    `feeding` in the report for the way from raw data), and gives what the model gives. The bytes
    are run in LiteRT with and without its default delegate and compared with Keras before the file
    gets its name. The model is converted as it is, layer by layer: `export` takes dead units out
    and chooses a format. But for the sparse formats weights are stored densely: the zeros of a
    ticket don't make the file itself smaller, only what gzip makes of it. Exporting again gives the
    same bytes, but for recurrent layers, which the converter itself doesn't always repeat.

    Args:
        model: A built Sequential or Functional model, sparsified or plain. It isn't changed. The
            file has its inputs and outputs in their order and, where there are several, its
            signature has their names (`export.ends`). A state that the model keeps between calls
            is kept by the file too; it begins with the one that the model has now.
        path: Where to write; must end in `.tflite`.
        format: `fp32`, exact; `fp16`, weights in half precision; `dynamic`, weights in 8 bits,
            computed in floats; `int8`, all in 8 bits, input and output too; `int16x8`, the same
            with 16 bits for what isn't weights, more exact and slow; `int4`, weights in 4 bits,
            computed in floats (needs `tfticket[int4]`); `sparse_fc`, exact, the weights of
            dense layers stored without their zeros where that takes fewer bytes, and
            `sparse_fc_fast`, where it takes less time on this machine; `sparse_conv`, an
            experiment: all weights stored sparsely, in fp32, refused where it is known to crash or
            to be wrong on other processors, and otherwise with `warnings` in the report.
        ends: For `int8` and `int16x8`: the type of inputs and outputs, `uint8` or `float32` instead
            of `int8`, `float32` instead of `int16`.
        keep_float: For `int8`: keys of layers whose kernels and activations stay float32, such as
            `sensitivity` finds; inputs and outputs are floats then. `export` makes no such files
            for `micro`.
        calibration: For `int8` and `int16x8`: some hundred training examples as the model takes
            them, shape (n, ...). From training data, so that the test data says nothing about the
            file. For several inputs a list, or a dictionary by their names.
        check_on: Real examples as the model takes them, shape (n, ...), at least 200 if there are
            as many, and their labels or None: classes, yes or no, one a pixel, one-hot, or numbers
            in the shape of the outputs; of several outputs one each, which may be None. Those of
            a model that keeps a state follow one another. Without it the calibration data is used,
            and without that random numbers, which say little about quantized files.
        mask: The ticket's mask, for a plain model; a sparsified one has its own.
        preprocessing: How raw data becomes what the model takes, by name for several inputs;
            nothing to do when None.
        provenance: What the file is to tell about its origin: recipe, seed, level. Anything JSON
            can hold.
        min_agreement: For `dynamic`, `int8` and `int4`: smallest share, in [0, 1], of `check_on`
            on which the file must give the same class as Keras, unless its outputs are near anyway.
        baseline: A `.tflite` file to measure the latency against, in turns: the dense fp32 network.
        encodings: For the sparse formats: how to store each dense layer, from the metadata of an
            earlier file. Measured when None, unless an older file of this path and these weights
            has them.

    Returns:
        What was written, and what was seen when it was run.

    Raises:
        ExportError: when the model can't be converted, or the file fails a check; then no file is
            left behind, and an older one of that name is as it was.
        ModelError: for a subclassed model.
        RunError: when the file can't be written.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> report = to_tflite(model, "net.tflite")
        >>> report.operators, report.input.shape
        ({'FULLY_CONNECTED': 1}, (1, 4))
    """
    if (format not in INTEGERS and ends not in (None, "float32")) or (
        keep_float and format != "int8"
    ):
        raise ExportError(
            "`ends` are of the formats int8 and int16x8, and `keep_float` is of int8. Received: "
            f"the format {format}."
        )
    made = draft(
        Convertible(model, calibration, check_on, ends, tuple(keep_float)),
        Path(path),
        format=format,
        mask=mask,
        preprocessing=preprocessing,
        provenance=provenance,
        min_agreement=min_agreement,
        baseline=None if baseline is None else Path(baseline),
        encodings=encodings,
    )
    return made.save()


@dataclass(frozen=True, eq=False)
class Draft:
    """The bytes of a file that passed its checks, and what is known of them.

    Attributes:
        content: The whole file.
        report: What was seen; its `path` is where `save` writes.
    """

    content: bytes
    report: ExportReport

    def slimmed(self, content: bytes) -> Draft:
        """Take slimmer bytes that answer alike; all else that was seen holds for them too."""
        sizes = flatbuffer.Sizes.of(content)
        report = replace(
            self.report,
            size_bytes=sizes.raw,
            gzip_bytes=sizes.gzip,
            zstd_bytes=sizes.zstd,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        return Draft(content, report)

    def save(self) -> ExportReport:
        """Write the file, whole or not at all, and its report beside it.

        Raises:
            RunError: when they can't be written.
        """

        def write(file: BinaryIO) -> None:
            file.write(self.content)

        write_atomic(self.report.path, write)
        write_text(self.report.report_path, self.report.to_json())
        return self.report


def draft(
    of: Convertible,
    path: Path,
    *,
    format: Format,
    mask: Mask | None = None,
    preprocessing: Preprocessing | Mapping[str, Preprocessing] | None = None,
    provenance: Mapping[str, Any] | None = None,
    min_agreement: float = 0.95,
    baseline: Path | None = None,
    facts: Mapping[str, Any] | None = None,
    encodings: Mapping[str, Encoding] | None = None,
) -> Draft:
    """Convert a model and verify the result; see `to_tflite` for the arguments and errors.

    `facts` are entries of the file's metadata that stand in for its own, such as the mask's hash
    where the model was shrunk and the mask no longer fits it. `encodings` say how dense layers are
    stored; without them what was measured for an older file of this path and these weights is used
    again, so that exporting twice gives the same bytes.
    """
    source = f"The {format} file for `{path.name}`"
    model = of.model
    _check_arguments(of, path, format)
    if format in INTEGERS:
        assert of.examples is not None
        check_inside(of.computing, of.examples)
    reference, static = of.reference, of.static
    if format in INTEGERS:
        static = of.unrolled(source)
    kernels = {key: kernel.numpy() for key, kernel in kernels_of(static).items()}
    mask = get_mask(model) if masked_layers(model) else mask
    check_pruned(mask, static)

    produced = produce(
        format,
        of,
        static=static,
        encodings=_earlier_encodings(path, format, static) if encodings is None else encodings,
        source=source,
    )
    parsed = flatbuffer.parse(produced.content, source=source)
    check_structure(parsed, source)
    check_hazards(parsed, source)
    notes = [*chance_notes(reference), *check_types(parsed, format, source, _ends(of))]
    zeros = count_zeros(kernels, list(flatbuffer.constants(parsed)))

    loaded = Loaded(flatbuffer.pack(parsed), source=source)
    feeding = feeding_of(loaded.inputs, preprocessing)
    about = {
        "made_by": f"tfticket {__version__}",
        "format": format,
        "feeding": feeding,
        **({"keep_float": list(of.keep_float)} if of.keep_float and format == "int8" else {}),
        "mask_sha256": None if mask is None else mask.sha256,
        "density": None if mask is None else mask.density,
        "weights_sha256": _hash(static),
        "versions": {name: version(name) for name in ("keras", "tensorflow", "ai-edge-litert")},
        "provenance": dict(provenance or {}),
        **produced.facts,
        **(facts or {}),
    }
    metadata.embed(parsed, about)
    content = flatbuffer.pack(parsed)
    sizes = flatbuffer.Sizes.of(content)
    check_size(sizes.raw, static, format, source)

    report = ExportReport(
        path=path,
        format=format,
        size_bytes=sizes.raw,
        gzip_bytes=sizes.gzip,
        zstd_bytes=sizes.zstd,
        predicted_bytes=predicted_bytes(static, format),
        sha256=hashlib.sha256(content).hexdigest(),
        takes=loaded.inputs,
        gives=_named(loaded.outputs, [each.name for each in reference.expected]),
        feeding=feeding,
        operators=flatbuffer.operators(parsed),
        zeros=zeros,
        verification=verify(
            content, reference, format=format, min_agreement=min_agreement, source=source
        ),
        latency=None
        if baseline is None
        else latency.against(content, read_file(baseline), reference.x),
        provenance=about,
        warnings=(*notes, *_streaming_notes(of), *produced.warnings),
        # What this machine's kernels don't show, where it can be tried and is at stake.
        emulated=check_without_avx(content, reference.x.first(_EMULATED_EXAMPLES), source=source)
        if format == "sparse_conv" and why_not() is None
        else None,
    )
    return Draft(content, report)


def _ends(of: Convertible) -> Ends | None:
    """The type that a file of integers has to take and give.

    Raises:
        ExportError: where layers stay in float, and something else than floats is asked for.
    """
    if of.keep_float and of.ends not in (None, "float32"):
        raise ExportError(
            "A file with layers in float (`keep_float`) takes and gives float32. Received: `ends` "
            f"of {of.ends}. Leave one of the two out."
        )
    return "float32" if of.keep_float else of.ends


def _named(specs: Sequence[TensorSpec], names: Sequence[str]) -> tuple[TensorSpec, ...]:
    """Several outputs may be one tensor, which has one name in the file."""
    if len(specs) == 1:
        return tuple(specs)
    return tuple(replace(spec, name=name) for spec, name in zip(specs, names, strict=True))


def _streaming_notes(of: Convertible) -> list[str]:
    if not of.streams:
        return []
    return [
        "It keeps a state between inferences, as the model does, so its inputs are steps of one "
        "stream, and it was checked on them in their order. A file that is loaded anew begins with "
        "the state that the model had when it was exported, recurrent layers with zeros."
    ]


def _check_arguments(of: Convertible, path: Path, format: str) -> None:
    model = of.model
    check_exportable(model)
    if path.suffix != ".tflite":
        raise ExportError(f"`path` must end in .tflite. Received: {path}")
    if format not in FORMATS:
        raise ExportError(f"`format` must be one of {FORMATS}. Received: {format!r}")
    if format in INTEGERS and _ends(of) not in (None, *INTEGERS[format]):
        raise ExportError(
            f"`ends` of the format {format} must be one of {INTEGERS[format]}. Received: "
            f"{of.ends!r}"
        )
    if format in INTEGERS:
        if of.calibration is None:
            raise ExportError(
                f"The format {format} needs the ranges of all values inside the network, so it "
                "must be calibrated. Received: calibration=None. Give some hundred training "
                "examples, as the model takes them."
            )
        types = [tensor.dtype for tensor in model.inputs]
        if not any(map(keras.backend.is_float_dtype, types)):
            raise ExportError(
                f"Only a model that takes floats can take {format} in their place. Received: an "
                f"input of type {types[0]}. Choose the format dynamic."
            )


def _earlier_encodings(
    path: Path, format: str, static: keras.Model
) -> Mapping[str, Encoding] | None:
    """Return how an older file of this format and these weights stores its dense layers."""
    if not format.startswith("sparse_fc") or not path.is_file():
        return None
    try:
        before = metadata.read_provenance(path)
    except ExportError:
        return None
    same = before.get("format") == format and before.get("weights_sha256") == _hash(static)
    return before.get("encodings") if same else None


def _hash(static: keras.Model) -> str:
    return digest({key: variable.numpy() for key, variable in named_variables(static).items()})
