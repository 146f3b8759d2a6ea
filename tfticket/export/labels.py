"""Labels of any kind, and how right answers are: classes, yes or no, a label a pixel, numbers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tfticket.errors import ExportError
from tfticket.statistics.chance import chance_warning

_VOID = 255  # of segmentation maps: a pixel of which nothing is said
_ONE = 1e-3


@dataclass(frozen=True)
class Quality:
    """Accuracy or error of answers.

    Attributes:
        accuracy: Share of labels that they meet, in [0, 1]; None for numbers.
        error: Root mean square error, in the unit of the labels; None for classes.
        explained: Share of the variance of the labels that they explain (R², at most 1); None for
            classes, and where all labels are the same.
    """

    accuracy: float | None = None
    error: float | None = None
    explained: float | None = None

    @property
    def score(self) -> float | None:
        """The accuracy, or the share of variance explained; larger is better."""
        return self.explained if self.accuracy is None else self.accuracy


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels that belong to outputs of one shape.

    Attributes:
        kind: `classes`, the largest of the last side of the outputs is the answer; `binary`, each
            output is yes or no; `numbers`, the outputs are the answers.
        values: As many as there are answers: integers, -1 where nothing is said, or floats.
        threshold: From which output on an answer of the kind `binary` is yes.
    """

    kind: Literal["classes", "binary", "numbers"]
    values: np.ndarray
    threshold: float = 0.5

    @classmethod
    def of(cls, y: np.ndarray, outputs: np.ndarray, name: str) -> Labels:
        """Tell the kind of labels from their values and the outputs.

        Args:
            y: Labels of n examples: of classes, shape (n,), one for each position of a map, or
                one-hot; of yes or no, 0 or 1 (or -1 and 1) in the shape of the outputs; anything
                else in the shape of the outputs is numbers. A last side of 1 may be left out. In
                maps, 255 and negative labels mark positions of which nothing is said.
            outputs: What a model answers, shape (n, ...).
            name: What to call the labels in an error.

        Raises:
            ExportError: when they aren't finite numbers, or their shape fits no kind.
        """
        y = check_numbers(y, name)
        sides = _without_one(outputs.shape)
        labels = y.reshape(_without_one(y.shape))
        whole = bool(np.all(labels == np.rint(labels)))
        if outputs.shape[-1] > 1 and outputs.ndim > 1:
            if labels.shape == outputs.shape[:-1] and whole:
                return cls("classes", _classes(labels, outputs.shape[-1]))
            if labels.shape == outputs.shape and _is_distribution(labels):
                return cls("classes", labels.argmax(-1))
        if labels.shape != sides:
            raise ExportError(
                f"`{name}` has the shape {y.shape}, but the model answers with {outputs.shape}. "
                "Labels are integers of classes, one an example or one a position, or they have "
                "the shape of the answers. Give labels that belong to this output."
            )
        if whole and np.all((labels == 0) | (labels == 1)):
            inside = bool(np.all((outputs >= 0) & (outputs <= 1)))
            return cls("binary", labels.astype(int), 0.5 if inside else 0.0)
        if whole and np.all(np.abs(labels) == 1):
            return cls("binary", (labels > 0).astype(int), 0.0)
        return cls("numbers", labels.astype(np.float64))

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """Return what outputs say, in the shape of labels of as many examples."""
        if self.kind == "classes":
            return np.asarray(outputs.argmax(-1))
        flat = outputs.reshape(len(outputs), *self.values.shape[1:])
        return (flat >= self.threshold).astype(int) if self.kind == "binary" else flat

    def quality(self, outputs: np.ndarray) -> Quality:
        """Score outputs."""
        return self._quality(self.answers(outputs))

    def chance_note(self, quality: Quality, *, of: str) -> str | None:
        """Describe answers that are no better than chance; None of better ones.

        Args:
            quality: Of the answers.
            of: What gave them, as the beginning of a sentence.
        """
        count = len(self.values)
        if quality.accuracy is not None:
            known = self.values[self.values >= 0]
            return chance_warning(quality.accuracy, known, of=of) if len(known) else None
        if quality.explained is None or quality.explained > 0:
            return None
        mean = self._quality(np.broadcast_to(self.values.mean(axis=0), self.values.shape))
        return (
            f"{of} has an error of {quality.error:.4g} on {count:,} examples, and always answering "
            f"their mean has {mean.error:.4g}: it isn't shown to be better than chance. It may be "
            "fed in another way than it was trained, or the labels mean something else, or it "
            "hasn't learned."
        )

    def _quality(self, answers: np.ndarray) -> Quality:
        if self.kind == "numbers":
            squares = (answers.astype(np.float64) - self.values) ** 2
            variance = float(self.values.var(axis=0).mean())
            return Quality(
                error=float(np.sqrt(squares.mean())),
                explained=1 - float(squares.mean()) / variance if variance else None,
            )
        known = self.values >= 0
        return Quality(accuracy=float(np.mean(answers[known] == self.values[known])))


def _without_one(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def _classes(labels: np.ndarray, classes: int) -> np.ndarray:
    """Integer labels, -1 where those of maps say nothing."""
    labels = labels.astype(int)
    if labels.ndim == 1:
        return labels
    return np.where((labels == _VOID) & (classes <= _VOID) | (labels < 0), -1, labels)


def _is_distribution(labels: np.ndarray) -> bool:
    """Tell whether the last side holds one label, as 1 among zeros, or shares that add up to 1."""
    return bool((labels >= 0).all() and np.all(np.abs(labels.sum(axis=-1) - 1) < _ONE))


_SHOWN = 3


def check_numbers(values: Any, name: str, dtype: Any = None) -> np.ndarray:
    """Return the values as an array of finite numbers.

    Args:
        values: Anything that numpy makes an array of.
        name: What to call them in an error.
        dtype: The type to bring them to; their own when None.

    Raises:
        ExportError: when they aren't numbers, or aren't finite (in this type), with the places.
    """
    array = np.asarray(values)
    if array.dtype == object:
        with contextlib.suppress(TypeError, ValueError):  # Python's numbers, as of a table
            array = array.astype(np.float64)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ExportError(
            f"`{name}` holds {_kind(array)}. It must hold numbers. Give an array of numbers, as "
            "the model takes them."
        )
    if dtype is not None:
        with np.errstate(over="ignore"):  # what gets infinite is found below
            array = array.astype(dtype)
    if array.dtype.kind in "biu":
        return array
    bad = ~np.isfinite(array.astype(np.float32) if array.dtype.kind == "V" else array)
    if not bad.any():
        return array
    places = [int(place) for place in np.unique(np.nonzero(bad)[0])] if array.ndim else [0]
    shown = ", ".join(map(str, places[:_SHOWN])) + (" ..." if len(places) > _SHOWN else "")
    raise ExportError(
        f"`{name}` holds {int(bad.sum()):,} numbers that are NaN or infinite (in {array.dtype}), "
        f"in {len(places):,} of {len(array) if array.ndim else 1:,} examples: {shown}. All must be "
        "finite. Leave these examples out, or put right what makes them."
    )


def _kind(array: np.ndarray) -> str:
    return {"U": "text", "S": "text", "O": "objects"}.get(array.dtype.kind, str(array.dtype))


def check_finite(outputs: np.ndarray, who: str) -> None:
    """Raise an `ExportError` that begins with `who` when an output is NaN or infinite."""
    bad = int(np.count_nonzero(~np.isfinite(outputs)))
    if bad:
        raise ExportError(
            f"{who} must give finite answers. Received: {bad:,} of {outputs.size:,} outputs that "
            "are NaN or infinite. Look for such weights: training may have diverged."
        )
