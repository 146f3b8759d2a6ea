"""Run the bytes of an exported file, and hold its answers against those of Keras."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import keras
import numpy as np

from tfticket.errors import ExportError
from tfticket.export.ends import input_names, one_each, output_names
from tfticket.export.labels import Labels, Quality, check_finite, check_numbers
from tfticket.export.preparation import all_predictions, recurrent_steps
from tfticket.export.runtime import Arrays, Examples, Loaded
from tfticket.state import kernels_of, named_variables

CheckData = tuple[Arrays, Any]
"""Examples as the model takes them, and their labels (see `Labels.of`) or None; of several inputs
or outputs one each, in a list or by name."""

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
    "int16x8": 1.0,
    "int4": 0.5,
}
_MAY_STAY_FLOAT = ("dynamic", "int4")  # what has no kernel for few bits is left in float32
_OVERHEAD = 1.25
_BYTES_A_LAYER = 4096  # names, shapes, scales: generous, since graphs can be unrolled
_BYTES_A_STEP = 8192  # of a recurrent layer without a loop
_BYTES_A_FILE = 65_536


@dataclass(frozen=True, eq=False)
class Expected:
    """Expected answers at one output of the Keras model.

    Attributes:
        name: The output.
        outputs: The answers, shape (n, ...).
        labels: What is right, or None.
    """

    name: str
    outputs: np.ndarray
    labels: Labels | None = None

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


@dataclass(frozen=True, eq=False)
class Reference:
    """Inputs, and what the Keras model answers to them.

    Attributes:
        x: What the model takes, real numbers.
        expected: Its answers, output by output.
        inputs: Where `x` is from: `given`, `calibration` or `random`.
        reduced_precision: Whether Keras computed with less than float32.
    """

    x: Examples
    expected: tuple[Expected, ...]
    inputs: str
    reduced_precision: bool = False


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
        name: The output; empty for the whole file where it has several.
        outputs: Of a file with several outputs one each. The whole has the worst difference and
            agreement among them, and the mean of the accuracies and explained shares; no error.
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
    name: str = ""
    outputs: tuple[Verification, ...] = ()

    @classmethod
    def of_several(cls, outputs: tuple[Verification, ...]) -> Verification:
        """Put together what was found of each output; of one it is all."""
        if len(outputs) == 1:
            return outputs[0]

        def known(field: str) -> list[float]:
            return [found for each in outputs if (found := getattr(each, field)) is not None]

        def mean(field: str) -> float | None:
            found = known(field)
            return fmean(found) if found else None

        return cls(
            inputs=outputs[0].inputs,
            count=outputs[0].count,
            max_difference=max(known("max_difference")),
            relative_difference=max(known("relative_difference")),
            agreement=min(known("agreement"), default=None),
            accuracy=mean("accuracy"),
            keras_accuracy=mean("keras_accuracy"),
            explained=mean("explained"),
            keras_explained=mean("keras_explained"),
            outputs=outputs,
        )

    @property
    def score(self) -> float | None:
        """The accuracy, or the share of variance explained; larger is better."""
        return fmean(self.scores) if self.scores else None

    @property
    def keras_score(self) -> float | None:
        """The same for the Keras model."""
        scores = self._scores("keras_accuracy", "keras_explained")
        return fmean(scores) if scores else None

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each output that has labels."""
        return self._scores("accuracy", "explained")

    def _scores(self, *fields: str) -> tuple[float, ...]:
        found = ([getattr(each, field) for field in fields] for each in self.outputs or (self,))
        known = ([score for score in scores if score is not None] for scores in found)
        return tuple(scores[0] for scores in known if scores)


def reference_of(
    model: keras.Model,
    calibration: Examples | None,
    check_on: CheckData | None,
    original: keras.Model | None = None,
    *,
    streaming: bool = False,
) -> Reference:
    """Ask a model about the examples that its file will be checked on.

    Args:
        model: The model.
        calibration: Examples to take when there are no others.
        check_on: Examples and their labels; without any examples, random numbers are taken.
        original: The model whose inputs and outputs have the names, if another.
        streaming: Whether the examples follow one another, since the model keeps a state.

    Raises:
        ExportError: when the examples don't fit the model, or its answers aren't finite.
    """
    original, y = original or model, None
    if check_on is not None:
        x, inputs, y = examples_for(original, check_on[0], "check_on[0]"), "given", check_on[1]
    elif calibration is not None:
        x, inputs = calibration, "calibration"
    else:
        x, inputs = _random_examples(original), "random"
    reduced = any(layer.compute_dtype in ("float16", "bfloat16") for layer in original.layers)
    names = output_names(original)
    labels = (None,) * len(names) if y is None else one_each(y, names, "check_on[1]")
    expected = []
    for name, outputs, given in zip(
        names, all_predictions(model, x, streaming=streaming), labels, strict=True
    ):
        check_finite(outputs, f"The Keras model itself{_at(name, names)}")
        known = None if given is None else _labels(given, outputs, len(x), _at(name, names))
        expected.append(Expected(name, outputs, known))
    return Reference(x, tuple(expected), inputs, reduced)


def _at(name: str, names: Sequence[str]) -> str:
    """Where several outputs are, of which one something is said."""
    return f" at the output {name!r}" if len(names) > 1 else ""


def _labels(y: Any, outputs: np.ndarray, count: int, where: str) -> Labels:
    if len(y := np.asarray(y)) != count:
        raise ExportError(
            f"`check_on` holds {count:,} examples and {len(y):,} labels{where}. Each example must "
            "have one. Give labels of the same examples, in the same order."
        )
    return Labels.of(y, outputs, f"check_on[1]{where}")


def examples_for(model: keras.Model, x: Arrays, name: str) -> Examples:
    """Return examples in the types that the model takes.

    Args:
        model: The model.
        x: The examples, shape (n, ...) for each input.
        name: What to call them in an error.

    Raises:
        ExportError: when they have another shape, aren't finite, or are raw numbers that training
            didn't see.
    """
    names = input_names(model)
    whose = [f"{name}[{each!r}]" for each in names] if len(names) > 1 else [name]
    given = one_each(x, names, name)
    arrays = tuple(map(_examples_for, given, model.inputs, whose))
    counts = [len(array) for array in arrays]
    if len(set(counts)) > 1:
        raise ExportError(
            f"`{name}` must have as many examples for each input. Received: "
            f"{', '.join(f'{n:,} of {who}' for who, n in zip(names, counts, strict=True))}."
        )
    return Examples(arrays)


def _examples_for(x: Any, given: keras.KerasTensor, name: str) -> np.ndarray:
    x = check_numbers(x, name)
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


def _random_examples(model: keras.Model) -> Examples:
    rng, made = np.random.default_rng(0), []
    for given in model.inputs:
        shape = (_RANDOM_INPUTS, *given.shape[1:])
        if keras.backend.is_float_dtype(given.dtype):
            made.append(rng.standard_normal(shape).astype(given.dtype))
        else:  # 0 and 1 are valid for any vocabulary
            made.append(rng.integers(0, 2, shape).astype(given.dtype))
    return Examples(tuple(made))


def verify(
    content: bytes, reference: Reference, *, format: str, min_agreement: float, source: str
) -> Verification:
    """Run a file with and without the default delegate, and compare its answers with Keras.

    Args:
        content: The whole file.
        reference: Inputs and the answers of Keras.
        format: One of `FORMATS`; decides how near the answers must be.
        min_agreement: For formats that round: smallest share of equal answers on real inputs.
        source: What to call the file in an error.

    Raises:
        ExportError: when the file doesn't load or run, or its answers aren't finite or differ; of
            several outputs it names the one.
    """
    few = reference.x.first(_WITHOUT_DELEGATE)
    fast = Loaded(content, source=source).run_all(reference.x)
    plain = Loaded(content, source=source, delegate=False).run_all(few)
    names = [each.name for each in reference.expected]
    outputs = []
    for expected, ours, others in zip(reference.expected, fast, plain, strict=True):
        who = f"{source}{_at(expected.name, names)}"
        found = _compared(expected, ours, others, reference, who)
        if format in _TOLERANCES:
            _check_exact(found, format, reduced=reference.reduced_precision, who=who)
        else:
            _check_quantized(found, expected, min_agreement=min_agreement, who=who)
        outputs.append(found)
    return Verification.of_several(tuple(outputs))


def _compared(
    expected: Expected, fast: np.ndarray, plain: np.ndarray, reference: Reference, who: str
) -> Verification:
    differences, agreements = [], []
    for how, outputs, theirs in (
        ("with the default delegate", fast, expected.outputs),
        ("without delegates", plain, expected.outputs[: len(plain)]),
    ):
        check_finite(outputs, f"{who}, run {how},")
        differences.append(float(np.abs(outputs - theirs).max()))
        if expected.has_classes:
            same = expected.answers(outputs) == expected.answers(theirs)
            agreements.append(float(np.mean(same)))
    ours, keras_quality = expected.quality(fast), expected.quality(expected.outputs)
    return Verification(
        inputs=reference.inputs,
        count=len(reference.x),
        max_difference=max(differences),
        relative_difference=max(differences) / max(float(np.abs(expected.outputs).max()), _TINY),
        agreement=min(agreements, default=None),
        accuracy=ours.accuracy,
        keras_accuracy=keras_quality.accuracy,
        error=ours.error,
        keras_error=keras_quality.error,
        explained=ours.explained,
        keras_explained=keras_quality.explained,
        name=expected.name,
    )


def _check_exact(found: Verification, format: str, *, reduced: bool, who: str) -> None:
    tolerance = _TOLERANCES["fp16" if reduced else format]
    if found.relative_difference > tolerance:
        raise ExportError(
            f"{who} must answer as the Keras model does, to {tolerance:g} of its largest "
            f"output. Received: outputs that differ by {found.relative_difference:.2g} of it."
        )


def _check_quantized(
    found: Verification, expected: Expected, *, min_agreement: float, who: str
) -> None:
    difference = found.max_difference / max(float(np.ptp(expected.outputs)), _TINY)
    if found.agreement is None or found.inputs == "random":
        if difference > _QUANTIZED_TOLERANCE_ALONE:
            raise ExportError(
                f"{who} must answer as the Keras model does, to {_QUANTIZED_TOLERANCE_ALONE:g} "
                f"of the range of its outputs. Received: outputs that differ by {difference:.2g} "
                "of it. Check and calibrate it with real examples."
            )
    elif difference > _QUANTIZED_TOLERANCE and found.agreement < min_agreement:
        raise ExportError(
            f"{who} must give the same answer as the Keras model to at least "
            f"{min_agreement:.1%} of {found.count:,} inputs. Received: {found.agreement:.1%}. "
            "Calibrate with more, or more typical, training data, or choose fp16."
        )


def chance_notes(reference: Reference) -> list[str]:
    """Say when a Keras model is no better than chance on what its file is checked on.

    Files are held against the model, so one that answers nonsense as the model does passes. Without
    labels, all that can be seen is that it gives the same answer to everything.
    """
    names = [each.name for each in reference.expected]
    notes = (
        _chance_note(each, reference, f"The Keras model{_at(each.name, names)}")
        for each in reference.expected
    )
    return list(filter(None, notes))


def _chance_note(expected: Expected, reference: Reference, who: str) -> str | None:
    if expected.labels is not None:
        return expected.labels.chance_note(expected.quality(expected.outputs), of=who)
    if reference.inputs == "random" or not expected.has_classes or len(reference.x) < _MANY:
        return None
    first, *others = np.unique(expected.answers(expected.outputs))
    if others:
        return None
    return (
        f"{who} gives the same class, {first}, to all {len(reference.x):,} examples. It "
        "may be fed in another way than it was trained, or it hasn't learned."
    )


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
