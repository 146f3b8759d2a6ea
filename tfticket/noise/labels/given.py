"""Checks of labels, probabilities and inputs, in one place, and label files."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.labels import LABEL_COLUMNS, MISSING, MISSING_TEXTS, is_whole, numbered
from tfticket.reading import names_in, open_archive, read_array, read_npy, read_text
from tfticket.wording import brief

_SUM_TOLERANCE = 1e-3  # what float16 probabilities of 1000 classes may be off by
NO_CLASS = -1
"""The true label of an example that belongs to none of the classes."""
_CHECKED_AT_ONCE = 4096  # examples


def checked_labels(
    labels: ArrayLike, num_classes: int | None = None, *, name: str = "labels", least: int = 0
) -> np.ndarray:
    """Check labels and return them as a new array of shape (n,), int64.

    Args:
        labels: Integers of shape (n,) or (n, 1), n at least 1.
        num_classes: How many classes there are, at least 2; None leaves the upper end open. It is
            never guessed from the largest label, which may be missing in a subset.
        name: What the error calls them.
        least: The smallest label: 0, or `NO_CLASS` where examples may be of no class.

    Raises:
        DataError: when they are no labels, or out of [least, num_classes).
    """
    array = _regular(labels, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) == 0 or array.dtype.kind not in "iu":
        raise DataError(
            f"`{name}` must be integers of shape (n,), with n at least 1. Received: shape "
            f"{array.shape}, {array.dtype}. Turn one-hot rows into labels with argmax(axis=1)."
        )
    if num_classes is not None and (not isinstance(num_classes, Integral) or num_classes < 2):
        raise DataError(
            "There must be at least 2 classes, a whole number. Received: "
            f"num_classes={num_classes!r}."
        )
    smallest, largest = int(array.min()), int(array.max())
    if smallest < least or (num_classes is not None and largest >= num_classes):
        end = "infinity" if num_classes is None else num_classes
        raise DataError(
            f"`{name}` must lie in [{least}, {end}). Received: labels from {smallest} to {largest}."
        )
    return array.astype(np.int64)


def checked_probabilities(probabilities: ArrayLike, count: int | None = None) -> np.ndarray:
    """Check probabilities and return them as float64, shape (n, k), each row summing to 1.

    Args:
        probabilities: Predictions, shape (n, k) with k at least 2.
        count: The n that is expected; None takes any.

    Raises:
        DataError: when the shape is wrong, or the rows are no distributions. Logits are refused,
            since a second softmax over probabilities would go unnoticed.
    """
    array = _regular(probabilities, "probabilities")
    if array.ndim != 2 or array.shape[1] < 2 or (count is not None and len(array) != count):
        rows = "n" if count is None else count
        raise DataError(
            f"`probabilities` must have the shape ({rows}, classes), with 2 classes or more. "
            f"Received: {array.shape}."
        )
    if array.dtype.kind not in "biuf":
        raise DataError(f"`probabilities` must be numbers. Received: {array.dtype}.")
    array = array.astype(np.float64)  # a copy in any case
    sums = array.sum(axis=1)
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise DataError(
            "`probabilities` must be finite and not negative. Received: values from "
            f"{array.min()} to {array.max()}. Logits go through a softmax first."
        )
    if len(array) and np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise DataError(
            "Each row of `probabilities` must sum to 1. Received: sums from "
            f"{sums.min():.4g} to {sums.max():.4g}."
        )
    array /= sums[:, None]
    return array


def check_finite(x: np.ndarray) -> None:
    """Raise a `DataError` when an input isn't finite, and says which one."""
    for start in range(0, len(x), _CHECKED_AT_ONCE):
        part = x[start : start + _CHECKED_AT_ONCE].reshape(-1, max(x[0].size, 1))
        finite = np.isfinite(part).all(axis=1)
        if not finite.all():
            raise DataError(
                "`x` must be finite: one NaN makes NaN of all weights. Received: NaN or infinity "
                f"in example {start + int(np.argmin(finite))}. Remove or mend such examples."
            )


def checked_features(features: ArrayLike, count: int | None = None) -> np.ndarray:
    """Check rows of numbers, and return them as floats, shape (n, columns).

    Args:
        features: Numbers, shape (n, ...); whatever an example is, is made a row.
        count: The n that is expected; None takes any.

    Raises:
        DataError: when they are no finite numbers, or not as many as expected.
    """
    try:
        array = np.asarray(features)
    except ValueError as error:
        raise DataError(f"`features` must have rows of one length. Received: {error}") from error
    if array.ndim < 2 or array.size == 0 or array.dtype.kind not in "biuf":
        raise DataError(
            "`features` must be numbers of shape (n, columns), a row for each example. Received: "
            f"shape {array.shape}, {array.dtype}."
        )
    if count is not None and len(array) != count:
        raise DataError(
            f"`features` must have a row for each of the {count:,} labels. Received: "
            f"{len(array):,} rows."
        )
    array = array.reshape(len(array), -1)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    check_finite(array)
    return array


def _regular(values: ArrayLike, name: str) -> np.ndarray:
    """An array of them; a `DataError` for rows that differ in length."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(
            f"`{name}` must be an array, with rows of one length. Received: {error}"
        ) from error


def read_label_file(
    path: str | os.PathLike[str],
    *,
    num_classes: int | None = None,
    count: int | None = None,
    class_names: Sequence[str] | None = None,
    missing: str = "refuse",
) -> np.ndarray:
    r"""Read labels from a file: numbers, or names of classes.

    Formats: `.npy`; `.npz` with an array called given, label, labels, target, class or y, or with
    one array only; `.csv` with a header and a column of one of these names, and, if there is one, a
    column `id` that says which example each row is about; `.txt` with one label a line. In a `.csv`
    the column `given` holds numbers, as tfticket writes it, and so does `label` beside it, which is
    the corrected one. Any other text is a name if all labels
    of the file are, and else a number. Missing are empty cells and lines, NaN, None and -1.

    Args:
        path: The file.
        num_classes: The labels must lie in [0, num_classes); None leaves the upper end open.
        count: How many there must be; None takes any number.
        class_names: A name for each class, by label; None takes numbers only.
        missing: `refuse` raises an error when a label is missing, `keep` has it as -1.

    Returns:
        Labels, shape (n,), int64, in the order of the examples.

    Raises:
        DataError: when the file can't be read, or doesn't hold such labels.

    Example:
        >>> _ = Path("labels.csv").write_text("id,label\n1,dog\n0,cat\n2,dog\n")
        >>> read_label_file("labels.csv", class_names=("cat", "dog"))
        array([0, 1, 1])
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"A label file must be one of {', '.join(_READERS)}. Received: {path}. Save other "
            "formats as an array with numpy.save."
        )
    try:
        found = read(path) if class_names else _numbers(read(path))
        labels, names = numbered(found, class_names, name=f"The labels in `{path}`")
    except DataError:
        raise
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise DataError(f"`{path}` can't be read as labels: {error}.") from error
    if names and class_names is None:
        raise DataError(
            f"The labels in `{path}` must be numbers, since the names of the classes aren't known. "
            f"Received: {brief(names[0])}."
        )
    _check_missing(path, labels, missing)
    least = MISSING if missing == "keep" else 0
    labels = checked_labels(labels, num_classes, name=str(path), least=least)
    if count is not None and len(labels) != count:
        raise DataError(
            f"`{path}` must hold a label for each of the {count} examples. Received: {len(labels)}."
        )
    return labels


def _check_missing(path: Path, labels: np.ndarray, missing: str) -> None:
    gone = labels == MISSING
    if missing not in ("refuse", "keep"):
        raise DataError(f"`missing` must be refuse or keep. Received: {missing!r}.")
    if gone.any() and missing == "refuse":
        raise DataError(
            f"{int(gone.sum()):,} of the {len(gone):,} labels in `{path}` are missing, the first "
            f"one at example {int(gone.argmax())}. Each example must have a label here."
        )


def read_npz(path: Path, known: Sequence[str], what: str) -> np.ndarray:
    """Read the array of an archive that has one of the known names, or the only array."""
    with open_archive(path) as archive:
        return read_array(archive, _pick(path, names_in(archive), known, what))


def _read_csv(path: Path) -> np.ndarray:
    table = csv.DictReader(io.StringIO(_text(path), newline=""))
    header = list(table.fieldnames or ())
    known = [name for name in header if name != "id"]
    corrected = {"given", "label"} <= set(known)  # as `tfticket noise apply` writes
    column = "label" if corrected else _pick(path, known, LABEL_COLUMNS, "labels")
    # A row without an id is about a file that couldn't be read.
    rows = [row for row in table if "id" not in header or row["id"]]
    labels = np.array([row[column] or "" for row in rows], object)
    labels = _numbers(labels) if corrected or column == LABEL_COLUMNS[0] else labels
    if "id" not in header:
        return labels
    ids = np.array([int(row["id"]) for row in rows], np.int64)
    if not np.array_equal(np.sort(ids), np.arange(len(ids))):
        raise DataError(
            f"The ids in `{path}` must be 0 to {len(ids) - 1}, each of them once. A file about "
            "some of the examples leaves open what the labels of the others are."
        )
    ordered = np.empty_like(labels)
    ordered[ids] = labels
    return ordered


def _read_txt(path: Path) -> np.ndarray:
    lines = _text(path).rstrip().split("\n")
    return np.array([line for line in lines if not line.startswith("# ")], object)


def _text(path: Path) -> str:
    return read_text(path).removeprefix("\ufeff")


def _numbers(labels: np.ndarray) -> np.ndarray:
    """Return texts that are whole numbers or missing as numbers; anything else as it is."""
    if labels.dtype.kind not in "OU":
        return labels
    texts = [str(text).strip() for text in labels.ravel()]
    if not all(text in MISSING_TEXTS or is_whole(text) for text in texts):
        return labels
    return np.array([np.nan if text in MISSING_TEXTS else float(text) for text in texts])


def _pick(path: Path, names: list[str], known: Sequence[str], what: str) -> str:
    found = [name for name in known if name in names] or (names if len(names) == 1 else [])
    if not found:
        raise DataError(
            f"`{path}` must call its {what} one of {', '.join(known)}. Received: {names}."
        )
    return found[0]


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": read_npy,
    ".npz": lambda path: read_npz(path, LABEL_COLUMNS, "labels"),
    ".csv": _read_csv,
    ".txt": _read_txt,
}
