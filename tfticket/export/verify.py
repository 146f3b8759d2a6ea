"""Run the bytes of an exported file and hold its answers against those of Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.runtime import Session

# Largest difference of an output, relative to the largest output: rounding of sums for fp32, of
# each weight to 11 bits for fp16.
_TOLERANCES = {
    **dict.fromkeys(("fp32", "sparse_fc", "sparse_fc_fast", "sparse_conv"), 1e-4),
    "fp16": 2e-2,
}
# The same for rounding everything to 8 bits, relative to the range that the outputs span. It may do
# more, as long as the answers agree; where they can't tell, at most the second number.
_QUANTIZED_TOLERANCE = 5e-2
_QUANTIZED_TOLERANCE_ALONE = 0.25
_WITHOUT_DELEGATE = 200


@dataclass(frozen=True, eq=False)
class Reference:
    """Inputs, and what the Keras model answers to them.

    Attributes:
        x: What the model takes, real numbers, shape (n, ...).
        outputs: What it gives, shape (n, ...).
        y: Labels, integers, shape (n,), or None.
        inputs: Where `x` is from: `given`, `calibration` or `random`.
        reduced_precision: Whether Keras computed with less than float32.
    """

    x: np.ndarray
    outputs: np.ndarray
    y: np.ndarray | None
    inputs: str
    reduced_precision: bool = False

    @property
    def has_classes(self) -> bool:
        """Whether the largest output is the model's answer."""
        return self.outputs.ndim == 2 and self.outputs.shape[1] > 1


@dataclass(frozen=True)
class Verification:
    """How the answers of a file compare with those of Keras.

    Attributes:
        inputs: Where the inputs were from: `given`, `calibration` (training data) or `random`.
        count: How many there were, run with the default delegate; the first 200 without it too.
        max_difference: Largest difference of an output, over both ways to run.
        relative_difference: The same, divided by the largest output of Keras.
        agreement: Share of inputs with the same largest output, the lower of both ways to run;
            None for a model that isn't a classifier.
        accuracy: Share of labels that the file gets right; None without labels.
        keras_accuracy: The same for the Keras model.
    """

    inputs: str
    count: int
    max_difference: float
    relative_difference: float
    agreement: float | None
    accuracy: float | None
    keras_accuracy: float | None


def verify(
    content: bytes, reference: Reference, *, format: str, min_agreement: float, source: str
) -> Verification:
    """Runs a file with and without the default delegate and compares its answers with Keras.

    Args:
        content: The whole file.
        reference: Inputs and the answers of Keras.
        format: One of `FORMATS`; decides how near the answers must be.
        min_agreement: For `dynamic`, `int8` and `int4`: smallest share of equal answers on real
            inputs.
        source: What to call the file in an error.

    Raises:
        ExportError: when the file doesn't load or run, or its answers aren't finite or differ.
    """
    few = slice(0, _WITHOUT_DELEGATE)
    ways = [
        (True, Session(content, source=source).run(reference.x), slice(None)),
        (False, Session(content, source=source, delegate=False).run(reference.x[few]), few),
    ]
    differences, agreements = [], []
    for delegate, outputs, part in ways:
        how = f"{source}, run {'with the default delegate' if delegate else 'without delegates'},"
        check_finite(outputs, how)
        expected = reference.outputs[part]
        differences.append(float(np.abs(outputs - expected).max()))
        agreements.append(float(np.mean(outputs.argmax(-1) == expected.argmax(-1))))
    largest = max(float(np.abs(reference.outputs).max()), float(np.finfo(np.float32).tiny))
    found = Verification(
        inputs=reference.inputs,
        count=len(reference.x),
        max_difference=max(differences),
        relative_difference=max(differences) / largest,
        agreement=min(agreements) if reference.has_classes else None,
        accuracy=_accuracy(ways[0][1], reference),
        keras_accuracy=_accuracy(reference.outputs, reference),
    )
    _check_near(found, reference, format=format, min_agreement=min_agreement, source=source)
    return found


def check_structure(model: Any, source: str) -> None:
    """Raises an `ExportError` for operators or shapes that a stock runtime can't be relied on for.

    Args:
        model: A `ModelT`, from `flatbuffer.parse`.
        source: What to call the file in the error.
    """
    custom = [name for name in flatbuffer.operators(model) if ":" in name]
    if custom:
        raise ExportError(
            f"{source} must consist of operators that every runtime has. Received: {custom}."
        )
    dynamic = flatbuffer.dynamic_tensors(model)
    if dynamic:
        raise ExportError(
            f"{source} must have static shapes. Received: sides of unknown length in {dynamic}."
        )


def check_finite(outputs: np.ndarray, who: str) -> None:
    """Raises an `ExportError` that begins with `who` when an output is NaN or infinite."""
    bad = int(np.count_nonzero(~np.isfinite(outputs)))
    if bad:
        raise ExportError(
            f"{who} must give finite answers. Received: {bad:,} of {outputs.size:,} outputs that "
            "are NaN or infinite. Look for such weights: training may have diverged."
        )


def _accuracy(outputs: np.ndarray, reference: Reference) -> float | None:
    if reference.y is None or not reference.has_classes:
        return None
    return float(np.mean(outputs.argmax(-1) == reference.y))


def _check_near(
    found: Verification, reference: Reference, *, format: str, min_agreement: float, source: str
) -> None:
    if format not in _TOLERANCES:
        _check_quantized(found, reference, min_agreement=min_agreement, source=source)
        return
    tolerance = _TOLERANCES["fp16" if reference.reduced_precision else format]
    if found.relative_difference > tolerance:
        raise ExportError(
            f"{source} must answer as the Keras model does, to {tolerance:g} of its largest "
            f"output. Received: outputs that differ by {found.relative_difference:.2g} of it."
        )


def _check_quantized(
    found: Verification, reference: Reference, *, min_agreement: float, source: str
) -> None:
    span = max(float(np.ptp(reference.outputs)), float(np.finfo(np.float32).tiny))
    difference = found.max_difference / span
    if found.agreement is None or reference.inputs == "random":
        if difference > _QUANTIZED_TOLERANCE_ALONE:
            raise ExportError(
                f"{source} must answer as the Keras model does, to {_QUANTIZED_TOLERANCE_ALONE:g} "
                f"of the range of its outputs. Received: outputs that differ by {difference:.2g} "
                "of it. Check and calibrate it with real examples."
            )
    elif difference > _QUANTIZED_TOLERANCE and found.agreement < min_agreement:
        raise ExportError(
            f"{source} must give the same answer as the Keras model to at least "
            f"{min_agreement:.1%} of {found.count:,} inputs. Received: {found.agreement:.1%}. "
            "Calibrate with more, or more typical, training data, or choose fp16."
        )
