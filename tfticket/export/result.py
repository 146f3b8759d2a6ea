"""The report of an exported file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tfticket.errors import ExportError
from tfticket.export.contents import ZeroCount
from tfticket.export.emulate import Emulated
from tfticket.export.latency import Latency
from tfticket.export.runtime import TensorSpec
from tfticket.export.verification import Verification
from tfticket.files import REPORT_SUFFIX

Format = Literal[
    "fp32",
    "fp16",
    "dynamic",
    "int8",
    "int16x8",
    "int4",
    "sparse_fc",
    "sparse_fc_fast",
    "sparse_conv",
]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class Preprocessing:
    """The way from raw data to what the Keras model takes: `raw * scale + offset`.

    It is not part of the exported file: the file takes what the model takes.

    Attributes:
        scale: One factor, or one a channel.
        offset: What is added after it, as many as factors.

    Example:
        >>> Preprocessing.of(1 / 255, 0.0).feeding(TensorSpec((1, 28, 28), "float32"))["formula"]
        'input = float32(raw * scale + offset)'
    """

    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    @classmethod
    def of(cls, scale: Any, offset: Any) -> Preprocessing:
        """Make it from arrays or numbers, shape () or (channels,)."""
        scales = tuple(float(value) for value in np.ravel(scale))
        offsets = tuple(float(value) for value in np.ravel(offset))
        if len(scales) != len(offsets):
            raise ExportError(
                "Preprocessing needs as many offsets as factors. Received: "
                f"scale={scales}, offset={offsets}."
            )
        return cls(scales, offsets)

    def feeding(self, given: TensorSpec) -> dict[str, Any]:
        """Tell how raw data becomes the bytes of the file's input, in words and in numbers.

        Args:
            given: The input of the file.

        Returns:
            `formula` with `scale` and `offset`, each a number a channel or one for all.
        """
        if given.scale is None or given.zero_point is None:
            return {
                "formula": f"input = {given.dtype}(raw * scale + offset)",
                "scale": list(self.scale),
                "offset": list(self.offset),
            }
        limits = np.iinfo(given.dtype)
        return {
            "formula": f"input = {given.dtype}(clip(round(raw * scale + offset), {limits.min}, "
            f"{limits.max}))",
            "scale": [factor / given.scale for factor in self.scale],
            "offset": [added / given.scale + given.zero_point for added in self.offset],
        }


def feeding_of(
    takes: Sequence[TensorSpec],
    preprocessing: Preprocessing | Mapping[str, Preprocessing] | None = None,
) -> dict[str, Any]:
    """Tell how raw data becomes the inputs of a file; see `Preprocessing.feeding`.

    Args:
        takes: The inputs.
        preprocessing: Of the one input, or by the names of several; None for nothing to do.

    Returns:
        For one input what `feeding` says; for several the same by name.
    """
    if len(takes) == 1 and not isinstance(preprocessing, Mapping):
        return (preprocessing or Preprocessing()).feeding(takes[0])
    if isinstance(preprocessing, Preprocessing) or {*(preprocessing or ())} - {
        spec.name for spec in takes
    }:
        raise ExportError(
            "`preprocessing` must say which input it is of, as {name: Preprocessing}, where there "
            f"are several: {', '.join(spec.name for spec in takes)}. Received: {preprocessing}."
        )
    return {
        spec.name: (preprocessing or {}).get(spec.name, Preprocessing()).feeding(spec)
        for spec in takes
    }


@dataclass(frozen=True)
class ExportReport:
    """A file that was written, and how it answered when it was run.

    Attributes:
        path: The file.
        format: One of `FORMATS`.
        size_bytes: Its size. Zeros don't make a dense file smaller; `gzip_bytes` shows them.
        gzip_bytes: Its size after gzip at level 9: what goes over the wire.
        zstd_bytes: Its size after Zstandard, at level 19 below 256 MiB and 9 from there on.
        predicted_bytes: What the weights of the model take in the format; None where that depends
            on their zeros.
        sha256: Hash of its bytes.
        takes: Its inputs.
        gives: Its outputs: logits, where the Keras model gives them.
        feeding: How raw data becomes the input, see `Preprocessing.feeding`; by name where there
            are several.
        operators: How often each operator is in the file.
        zeros: For each kernel of the Keras model, its zeros there and in the file.
        verification: How the file's answers compare with those of Keras.
        latency: Time against a baseline, when one was given.
        provenance: What stands in the file's metadata.
        warnings: What should be known before it is used, in words; of sparsely stored convolutions.
        emulated: How it answers on an emulated processor without AVX: for sparsely stored
            convolutions, when qemu-user is installed.
    """

    path: Path
    format: Format
    size_bytes: int
    gzip_bytes: int
    zstd_bytes: int
    predicted_bytes: int | None
    sha256: str
    takes: tuple[TensorSpec, ...]
    gives: tuple[TensorSpec, ...]
    feeding: Mapping[str, Any]
    operators: Mapping[str, int]
    zeros: tuple[ZeroCount, ...]
    verification: Verification
    latency: Latency | None
    provenance: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    emulated: Emulated | None = None

    def __repr__(self) -> str:
        return f"ExportReport({self.path.name!r}, {self.format}, {self.size_bytes:,} bytes)"

    @property
    def report_path(self) -> Path:
        """Path of the report beside the file, `.report.json` in place of `.tflite`."""
        return self.path.with_suffix(REPORT_SUFFIX)

    @property
    def input(self) -> TensorSpec:
        """The first input."""
        return self.takes[0]

    @property
    def output(self) -> TensorSpec:
        """The first output."""
        return self.gives[0]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `input` and `output` are the first of each.

        Of the path it has the name alone, since a run may be moved.
        """
        ends = {"input": asdict(self.input), "output": asdict(self.output)}
        return {**asdict(self), **ends, "path": self.path.name}

    def to_json(self) -> str:
        """Return the text of the file beside the exported one."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
