"""Run the bytes of an exported file, and hold its answers against those of Keras."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from tfticket.errors import ExportError
from tfticket.export.labels import Labels, Quality, check_finite, check_numbers
from tfticket.export.preparation import predictions, recurrent_steps
from tfticket.export.runtime import Session
from tfticket.state import kernels_of, named_variables

CheckData = tuple[np.ndarray, np.ndarray | None]
"""Examples as the model takes them, and their labels (see `Labels.of`) or None."""

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
_TINY = float(np.finfo(np.float32).tiny)
_WITHOUT_DELEGATE = 200
_MANY = 100  # examples of which a network that has learned doesn't take all for the same
_RANDOM_INPUTS = 32

_BYTES_A_WEIGHT: Mapping[str, float] = {
    "fp32": 4.0,
    "fp16": 2.0,
    "dynamic": 1.0,
    "int8": 1.0,
    "int4": 0.5,
}
_MAY_STAY_FLOAT = ("dynamic", "int4")  # what has no kernel for few bits is left in float32
_OVERHEAD = 1.25
_BYTES_A_LAYER = 4096  # names, shapes, scales: generous, since graphs can be unrolled
_BYTES_A_STEP = 8192  # of a recurrent layer without a loop
_BYTES_A_FILE = 65_536


@dataclass(frozen=True, eq=False)
class Reference:
    """Inputs, and what the Keras model answers to them.

    Attributes:
        x: What the model takes, real numbers, shape (n, ...).
        outputs: What it gives, shape (n, ...).
        labels: What is right, or None.
        inputs: Where `x` is from: `given`, `calibration` or `random`.
        reduced_precision: Whether Keras computed with less than float32.
    """

    x: np.ndarray
    outputs: np.ndarray
    labels: Labels | None
    inputs: str
    reduced_precision: bool = False

    @property
    def has_classes(self) -> bool:
        """True if the model chooses among classes, as far as is known."""
        if self.labels is not None:
            return self.labels.kind != "numbers"
        return self.outputs.ndim == 2 and self.outputs.shape[1] > 1

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """Return the classes that are chosen."""
        return outputs.argmax(-1) if self.labels is None else self.labels.answers(outputs)

    def quality(self, outputs: np.ndarray) -> Quality:
        """Tell how right outputs are; nothing is known without labels."""
        return Quality() if self.labels is None else self.labels.quality(outputs)


@dataclass(frozen=True)
class Verification:
    """Comparison of the answers of a file with those of Keras.

    Attributes:
        inputs: Where the inputs were from: `given`, `calibration` (training data) or `random`.
        count: How many there were, run with the default delegate; the first 200 without it too.
        max_difference: Largest difference of an output, over both ways to run.
        relative_difference: The same, divided by the largest output of Keras.
        agreement: Share of answers with the same class, the lower of both ways to run; None for a
            model that isn't a classifier.
        accuracy: Share of labels that the file gets right; None without labels of classes.
        keras_accuracy: The same for the Keras model.
        error: Root mean square error of the file, in the unit of the labels; None without labels
            that are numbers.
        keras_error: The same for the Keras model.
        explained: Share of the variance of such labels that the file explains (R²).
        keras_explained: The same for the Keras model.
    """

    inputs: str
    count: int
    max_difference: float
    relative_difference: float
    agreement: float | None
    accuracy: float | None
    keras_accuracy: float | None
    error: float | None = None
    keras_error: float | None = None
    explained: float | None = None
    keras_explained: float | None = None

    @property
    def score(self) -> float | None:
        """The accuracy, or the share of variance explained; larger is better."""
        return self.explained if self.accuracy is None else self.accuracy

    @property
    def keras_score(self) -> float | None:
        """The same for the Keras model."""
        return self.keras_explained if self.keras_accuracy is None else self.keras_accuracy


def reference_of(
    model: keras.Model, calibration: np.ndarray | None, check_on: CheckData | None
) -> Reference:
    """Ask a model about the examples that its file will be checked on.

    Args:
        model: The model.
        calibration: Examples to take when there are no others.
        check_on: Examples and their labels; without any examples, random numbers are taken.

    Raises:
        ExportError: when the examples don't fit the model, or its answers aren't finite.
    """
    y = None
    if check_on is not None:
        x, inputs, y = examples_for(model, check_on[0], "check_on[0]"), "given", check_on[1]
        if y is not None and len(y := np.asarray(y)) != len(x):
            raise ExportError(
                f"`check_on` holds {len(x):,} examples and {len(y):,} labels. Each example must "
                "have one. Give labels of the same examples, in the same order."
            )
    elif calibration is not None:
        x, inputs = calibration, "calibration"
    else:
        x, inputs = _random_examples(model), "random"
    reduced = any(layer.compute_dtype in ("float16", "bfloat16") for layer in model.layers)
    outputs = predictions(model, x)
    check_finite(outputs, "The Keras model itself")
    labels = None if y is None else Labels.of(y, outputs, "check_on[1]")
    return Reference(x, outputs, labels, inputs, reduced)


def examples_for(model: keras.Model, x: np.ndarray, name: str) -> np.ndarray:
    """Return examples in the type that the model takes.

    Args:
        model: The model.
        x: The examples, shape (n, ...).
        name: What to call them in an error.

    Raises:
        ExportError: when they have another shape, aren't finite, or are raw numbers that training
            didn't see.
    """
    x, given = check_numbers(x, name), model.inputs[0]
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
    return check_numbers(x, name, given.dtype)


def _random_examples(model: keras.Model) -> np.ndarray:
    rng, given = np.random.default_rng(0), model.inputs[0]
    shape = (_RANDOM_INPUTS, *given.shape[1:])
    if keras.backend.is_float_dtype(given.dtype):
        return rng.standard_normal(shape).astype(given.dtype)
    return rng.integers(0, 2, shape).astype(given.dtype)  # 0 and 1 are valid for any vocabulary


def verify(
    content: bytes, reference: Reference, *, format: str, min_agreement: float, source: str
) -> Verification:
    """Run a file with and without the default delegate, and compare its answers with Keras.

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
    fast = Session(content, source=source).run(reference.x)
    plain = Session(content, source=source, delegate=False).run(reference.x[few])
    differences, agreements = [], []
    for how, outputs, expected in (
        ("with the default delegate", fast, reference.outputs),
        ("without delegates", plain, reference.outputs[few]),
    ):
        check_finite(outputs, f"{source}, run {how},")
        differences.append(float(np.abs(outputs - expected).max()))
        if reference.has_classes:
            same = reference.answers(outputs) == reference.answers(expected)
            agreements.append(float(np.mean(same)))
    ours, theirs = reference.quality(fast), reference.quality(reference.outputs)
    found = Verification(
        inputs=reference.inputs,
        count=len(reference.x),
        max_difference=max(differences),
        relative_difference=max(differences) / max(float(np.abs(reference.outputs).max()), _TINY),
        agreement=min(agreements, default=None),
        accuracy=ours.accuracy,
        keras_accuracy=theirs.accuracy,
        error=ours.error,
        keras_error=theirs.error,
        explained=ours.explained,
        keras_explained=theirs.explained,
    )
    if format in _TOLERANCES:
        tolerance = _TOLERANCES["fp16" if reference.reduced_precision else format]
        if found.relative_difference > tolerance:
            raise ExportError(
                f"{source} must answer as the Keras model does, to {tolerance:g} of its largest "
                f"output. Received: outputs that differ by {found.relative_difference:.2g} of it."
            )
    else:
        _check_quantized(found, reference, min_agreement=min_agreement, source=source)
    return found


def _check_quantized(
    found: Verification, reference: Reference, *, min_agreement: float, source: str
) -> None:
    difference = found.max_difference / max(float(np.ptp(reference.outputs)), _TINY)
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


def chance_notes(reference: Reference) -> list[str]:
    """Say when a Keras model is no better than chance on what its file is checked on.

    Files are held against the model, so one that answers nonsense as the model does passes. Without
    labels, all that can be seen is that it gives the same answer to everything.
    """
    if reference.labels is not None:
        quality = reference.labels.quality(reference.outputs)
        return list(filter(None, [reference.labels.chance_note(quality, of="The Keras model")]))
    if reference.inputs == "random" or not reference.has_classes or len(reference.x) < _MANY:
        return []
    first, *others = np.unique(reference.answers(reference.outputs))
    if others:
        return []
    return [
        f"The Keras model gives the same class, {first}, to all {len(reference.x):,} examples. It "
        "may be fed in another way than it was trained, or it hasn't learned."
    ]


def predicted_bytes(static: keras.Model, format: str) -> int | None:
    """Return the bytes of the weights in a format; None where that depends on their zeros."""
    if format not in _BYTES_A_WEIGHT:
        return None
    kernels = sum(math.prod(kernel.shape) for kernel in kernels_of(static).values())
    total = sum(math.prod(variable.shape) for variable in named_variables(static).values())
    size: float = kernels * _BYTES_A_WEIGHT[format] + 4 * (total - kernels)
    return round(size)


def check_size(size_bytes: int, static: keras.Model, format: str, source: str) -> None:
    """Raise an `ExportError` when a file is much larger than its weights: it holds something else.

    It isn't asked whether it is smaller: equal weights are stored once, and normalization is folded
    away. Lost weights show in the answers.
    """
    predicted = predicted_bytes(static, "fp32" if format in _MAY_STAY_FLOAT else format)
    if predicted is None:
        predicted = predicted_bytes(static, "fp32") or 0  # sparse storage is never larger
    most = predicted * _OVERHEAD + len(static.layers) * _BYTES_A_LAYER + _BYTES_A_FILE
    most += recurrent_steps(static, unrolled=True) * _BYTES_A_STEP
    if size_bytes > most:
        raise ExportError(
            f"{source} must be about as large as its weights, {predicted:,} bytes. Received: "
            f"{size_bytes:,} bytes. The converter made constants of something else: a layer that "
            "computes with large fixed arrays, or a loop that was unrolled."
        )
