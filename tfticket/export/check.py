"""`check_file`: is this `.tflite` file, whoever made it, safe to ship?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, latency
from tfticket.export.hazards import check_hazards
from tfticket.export.metadata import provenance_of
from tfticket.export.runtime import Session, TensorSpec
from tfticket.export.sizes import Sizes
from tfticket.export.verify import check_finite, check_structure

_RANDOM_INPUTS = 200
_FLOAT_TOLERANCE = 1e-3
_ROUNDED_TOLERANCE = 5e-2


@dataclass(frozen=True)
class TensorZeros:
    """Zeros of one constant tensor.

    Attributes:
        name: The tensor.
        size: How many numbers it has.
        zeros: How many are exactly zero.
    """

    name: str
    size: int
    zeros: int


@dataclass(frozen=True)
class FileCheck:
    """What was found of a file that passed.

    Attributes:
        path: The file.
        sizes: Its bytes, raw and compressed.
        input: What it takes.
        output: What it gives.
        operators: How often each operator is in it.
        tensors: The zeros of each constant of two axes or more.
        inputs: Where the inputs were from: `given` or `random`.
        count: How many it was run on, with the default delegate and without.
        delegate_difference: Largest difference of an output between the two, relative to the range
            of the outputs.
        accuracy: Share of labels it gets right; None without labels.
        microseconds: Median time of an inference on `host`, with the default delegate.
        host: The processor.
        provenance: What tfticket wrote into the file; None for a foreign file.
    """

    path: Path
    sizes: Sizes
    input: TensorSpec
    output: TensorSpec
    operators: Mapping[str, int]
    tensors: tuple[TensorZeros, ...]
    inputs: str
    count: int
    delegate_difference: float
    accuracy: float | None
    microseconds: float
    host: str
    provenance: Mapping[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "path": str(self.path)}


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a `.tflite` file.

    Raises:
        ExportError: when it can't be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ExportError(
            f"A .tflite file must be there to be read. Received: {path}: {error.strerror}."
        ) from error


def check_file(
    path: str | os.PathLike[str],
    *,
    raw: np.ndarray | None = None,
    y: np.ndarray | None = None,
) -> FileCheck:
    """Runs a file with and without the default delegate, and looks for what is known to go wrong.

    Args:
        path: The file; it may be of any origin.
        raw: Examples as the data set has them, shape (n, ...). They are brought to the file's input
            as its own metadata says, so this needs a file made by tfticket.
        y: Their labels, shape (n,).

    Returns:
        What was found.

    Raises:
        ExportError: when the file can't be read, is damaged, doesn't run, gives no finite answers,
            answers differently with and without the delegate, or has a storage that is known to
            crash or to be silently wrong somewhere.
    """
    path, source = Path(path), f"`{path}`"
    content = read_file(path)
    parsed = flatbuffer.parse(content, source=source)
    provenance = provenance_of(parsed, source)
    check_structure(parsed, source)
    check_hazards(parsed, source)
    session = Session(content, source=source)
    x = _inputs(session.input, raw, provenance, source)
    fast = session.run(x)
    plain = Session(content, source=source, delegate=False).run(x)
    for outputs, how in ((fast, "with the default delegate"), (plain, "without delegates")):
        check_finite(outputs, f"{source}, run {how},")
    difference = _difference(fast, plain, source, rounded=_is_rounded(parsed))
    timed = latency.measure({"file": content}, x[0], baseline="file")["file"]
    return FileCheck(
        path=path,
        sizes=Sizes.of(content),
        input=session.input,
        output=session.output,
        operators=flatbuffer.operators(parsed),
        tensors=tuple(_zeros(parsed)),
        inputs="random" if raw is None else "given",
        count=len(x),
        delegate_difference=difference,
        accuracy=None if y is None else float(np.mean(fast.argmax(-1) == y)),
        microseconds=timed.microseconds,
        host=timed.host,
        provenance=provenance,
    )


def _inputs(
    given: TensorSpec, raw: np.ndarray | None, provenance: Mapping[str, Any] | None, source: str
) -> np.ndarray:
    """Real numbers for `Session.run`."""
    if raw is None:
        rng = np.random.default_rng(0)
        shape = (_RANDOM_INPUTS, *given.shape[1:])
        integers = given.scale is None and np.dtype(given.dtype).kind in "iub"
        return rng.integers(0, 2, shape) if integers else rng.standard_normal(shape)
    if provenance is None:
        raise ExportError(
            f"{source} must say how raw data becomes its input to be tried on data. It holds no "
            "metadata of tfticket. Check it without data."
        )
    if tuple(raw.shape[1:]) != given.shape[1:]:
        raise ExportError(
            f"The data must have examples of the shape that {source} takes, {given.shape[1:]}. "
            f"Received: {raw.shape[1:]}."
        )
    feeding = provenance["feeding"]
    fed = raw * np.asarray(feeding["scale"], np.float64) + np.asarray(feeding["offset"])
    if given.scale is None or given.zero_point is None:
        return fed.astype(given.dtype)
    return (fed - given.zero_point) * given.scale


def _is_rounded(parsed: Any) -> bool:
    """Whether weights are integers; then the two ways may round what they compute otherwise."""
    weights = [constant for constant in flatbuffer.constants(parsed) if constant.values.ndim > 1]
    return any(constant.values.dtype.kind == "i" for constant in weights)


def _difference(fast: np.ndarray, plain: np.ndarray, source: str, *, rounded: bool) -> float:
    span = max(float(np.ptp(plain)), float(np.finfo(np.float32).tiny))
    difference = float(np.abs(fast - plain).max()) / span
    tolerance = _ROUNDED_TOLERANCE if rounded else _FLOAT_TOLERANCE
    if difference > tolerance and _agreement(fast, plain) < 1 - tolerance:
        raise ExportError(
            f"{source} must answer alike with and without the default delegate. Received: outputs "
            f"that differ by {difference:.2g} of their range. One of the two is wrong: export the "
            "model again in another format."
        )
    return difference


def _agreement(fast: np.ndarray, plain: np.ndarray) -> float:
    if fast.ndim != 2 or fast.shape[1] < 2:
        return 0.0
    return float(np.mean(fast.argmax(-1) == plain.argmax(-1)))


def _zeros(parsed: Any) -> list[TensorZeros]:
    return [
        TensorZeros(constant.name, constant.values.size, int(constant.is_zero.sum()))
        for constant in flatbuffer.constants(parsed)
        if constant.values.ndim > 1
    ]
