"""Transition matrices: the probabilities of given labels by true label.

    T[i, j] = P(given label = j | true label = i)          a row for each true label; it sums to 1

This is the orientation of the papers (Patrini et al. 2017, arXiv:1609.03683). Some libraries keep
the transpose; `TransitionMatrix` refuses a matrix whose columns sum to 1 and whose rows don't.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tfticket.errors import DataError
from tfticket.noise.labels.given import read_npz
from tfticket.reading import read_npy
from tfticket.wording import brief_repr

ORIENTATION = "T[i, j] = P(given = j | true = i): row = true label, rows sum to 1"
_TOLERANCE = 1e-6
# truck -> automobile, bird -> airplane, cat <-> dog, deer -> horse
_CIFAR10_CONFUSED = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}


@dataclass(frozen=True, eq=False)
class TransitionMatrix:
    """A checked transition matrix with its kind and nominal rate.

    `numpy.asarray` of it gives the matrix, so it goes wherever an array does.

    Attributes:
        matrix: T, shape (k, k) with k at least 2, float64, read-only, rows summing to 1.
        kind: `symmetric`, `symmetric_inclusive`, `pair`, `cifar10_asymmetric`, or `matrix`.
        nominal_rate: The rate that its maker was asked for, in [0, 1]; None for a plain matrix.
            It isn't always the share of wrong labels: compare `rate`.

    Raises:
        DataError: when it isn't square, has a negative entry, or a row that doesn't sum to 1.
    """

    matrix: np.ndarray
    kind: str = "matrix"
    nominal_rate: float | None = None

    __repr__ = brief_repr

    def __post_init__(self) -> None:
        matrix = _checked(self.matrix)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.matrix, dtype=dtype) if copy else np.asarray(self.matrix, dtype)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.matrix)

    def rate(self, prior: ArrayLike | None = None) -> float:
        """The expected share of wrong labels, in [0, 1].

        Args:
            prior: Share of each true class, shape (k,), summing to 1; None for equal shares.
        """
        return noise_rate(self.matrix, prior)


def as_transition(value: TransitionMatrix | ArrayLike) -> TransitionMatrix:
    """Check any matrix; raises `DataError` when it is no transition matrix."""
    return value if isinstance(value, TransitionMatrix) else TransitionMatrix(_checked(value))


def symmetric(num_classes: int, rate: float, *, inclusive: bool = False) -> TransitionMatrix:
    """Make a matrix of symmetric noise: every wrong label is as likely as any other.

        exclusive     T = (1 - e) I + e / (k - 1) (1 - I)
        inclusive     T = (1 - e) I + e / k                     a new label may be the true one

        >>> symmetric(3, 0.3).matrix
        array([[0.7 , 0.15, 0.15],
               [0.15, 0.7 , 0.15],
               [0.15, 0.15, 0.7 ]])

    Source: exclusive as in Chen et al. (2019, arXiv:1905.05040) and Han et al. (2018,
    arXiv:1804.06872); inclusive as in the code of DivideMix (Li et al. 2020, arXiv:2002.07394).

    Args:
        num_classes: k, at least 2.
        rate: e, in [0, 1]. Inclusive, only e (k - 1) / k of the labels become wrong.
        inclusive: Whether a corrupted label may stay as it was.
    """
    k, rate = _checked_classes(num_classes), checked_rate(rate)
    if inclusive:
        matrix = (1 - rate) * np.eye(k) + rate / k
        return TransitionMatrix(matrix, "symmetric_inclusive", rate)
    matrix = (1 - rate) * np.eye(k) + rate / (k - 1) * (1 - np.eye(k))
    return TransitionMatrix(matrix, "symmetric", rate)


def pair(num_classes: int, rate: float) -> TransitionMatrix:
    """Make a matrix of pair noise: i becomes i + 1, the last 0, with probability `rate` in [0, 1].

        >>> pair(3, 0.4).matrix
        array([[0.6, 0.4, 0. ],
               [0. , 0.6, 0.4],
               [0.4, 0. , 0.6]])

    Source: "pair flipping" of Han et al. (2018, arXiv:1804.06872); the "asymmetric" noise of Chen
    et al. (2019, arXiv:1905.05040).
    """
    k, rate = _checked_classes(num_classes), checked_rate(rate)
    matrix = (1 - rate) * np.eye(k) + rate * np.roll(np.eye(k), 1, axis=1)
    return TransitionMatrix(matrix, "pair", rate)


def cifar10_asymmetric(rate: float) -> TransitionMatrix:
    """Make a matrix of confusions between look-alikes of CIFAR-10, often called "asymmetric" noise.

    Truck becomes automobile, bird airplane, deer horse, and cat and dog each other, each with
    probability `rate` in [0, 1]. Only 5 of the 10 classes are touched: half of `rate` is the share
    of wrong labels.

    Source: Patrini et al. (2017, arXiv:1609.03683), section 5.
    """
    rate = checked_rate(rate)
    matrix = np.eye(10)
    for true, given in _CIFAR10_CONFUSED.items():
        matrix[true, true] -= rate
        matrix[true, given] += rate
    return TransitionMatrix(matrix, "cifar10_asymmetric", rate)


def named_transition(kind: str, num_classes: int, rate: float) -> TransitionMatrix:
    """Make the matrix of a noise that recipes and the command line know by name.

    Args:
        kind: `symmetric`, `symmetric_inclusive`, `pair` or `cifar10_asymmetric`.
        num_classes: Number of classes; `cifar10_asymmetric` has 10, whatever is asked for.
        rate: In [0, 1].
    """
    if kind == "cifar10_asymmetric":
        return cifar10_asymmetric(rate)
    if kind == "pair":
        return pair(num_classes, rate)
    return symmetric(num_classes, rate, inclusive=kind == "symmetric_inclusive")


def noise_rate(transition: TransitionMatrix | ArrayLike, prior: ArrayLike | None = None) -> float:
    """Compute the expected share of wrong labels, 1 - sum_i p_i T_ii, in [0, 1].

    Args:
        transition: T, shape (k, k).
        prior: p, share of each true class, shape (k,), summing to 1; None for equal shares.

    Raises:
        DataError: when T is no transition matrix or p no distribution over its classes.
    """
    matrix = np.asarray(as_transition(transition))
    wrong = checked_prior(prior, len(matrix)) @ (1 - np.diag(matrix))
    return float(np.clip(wrong, 0.0, 1.0))


def checked_prior(prior: ArrayLike | None, num_classes: int) -> np.ndarray:
    """Check shares of the classes, shape (k,), summing to 1; None gives equal shares.

    Raises:
        DataError: when they are no distribution over `num_classes` classes.
    """
    if prior is None:
        return np.full(num_classes, 1 / num_classes)
    try:
        shares = np.asarray(prior, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"`prior` must be numbers. Received: {error}.") from error
    good = shares.shape == (num_classes,) and (shares >= 0).all()
    if not good or abs(shares.sum() - 1) > _TOLERANCE:
        raise DataError(
            f"`prior` must be {num_classes} shares that sum to 1. Received: {shares.tolist()}."
        )
    scaled: np.ndarray = shares / shares.sum()
    return scaled


def _checked(matrix: ArrayLike) -> np.ndarray:
    try:
        array = np.array(matrix, np.float64)
    except (TypeError, ValueError) as error:  # words, or rows of several lengths
        raise DataError(
            "A transition matrix must be a table of numbers, of the shape (k, k). Received: "
            f"{error}."
        ) from error
    if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < 2:
        raise DataError(
            "A transition matrix must have the shape (k, k) with k at least 2. Received: "
            f"{array.shape}."
        )
    lowest, highest = np.min(array), np.max(array)
    if not np.isfinite(array).all() or lowest < -_TOLERANCE:
        raise DataError(
            "A transition matrix must hold probabilities. Received: entries from "
            f"{lowest} to {highest}."
        )
    sums = array.sum(axis=1)
    if np.abs(sums - 1).max() > _TOLERANCE:
        columns = np.abs(array.sum(axis=0) - 1).max() <= _TOLERANCE
        hint = " Its columns do: transpose it." if columns else ""
        raise DataError(
            "Each row of a transition matrix must sum to 1, a row for each true label. Received: "
            f"sums {np.round(sums, 6).tolist()}.{hint}"
        )
    array = np.maximum(array, 0)
    rows: np.ndarray = array / array.sum(axis=1, keepdims=True)
    return rows


def checked_rate(rate: float) -> float:
    """Check a noise rate; raises `DataError` unless it is a number in [0, 1]."""
    if not isinstance(rate, Real) or not 0 <= rate <= 1:
        raise DataError(f"A noise rate must be in [0, 1], never percent. Received: {rate!r}.")
    return float(rate)


def _checked_classes(num_classes: int) -> int:
    if not isinstance(num_classes, Integral) or num_classes < 2:
        raise DataError(
            f"There must be at least 2 classes, a whole number. Received: {num_classes!r}."
        )
    return int(num_classes)


_NAMES = ("matrix", "transition", "T", "nominal", "estimated")


def read_transition_file(path: str | os.PathLike[str]) -> TransitionMatrix:
    """Read a transition matrix from a file, a row for each true label.

    Formats: `.npy`; `.npz` with an array called matrix, transition, T, nominal or estimated, or
    with one array only; `.csv` without a header.

    Args:
        path: The file.

    Returns:
        The matrix, checked.

    Raises:
        DataError: when the file can't be read, or doesn't hold a transition matrix.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"The file of a transition matrix must be one of {', '.join(_READERS)}. Received: "
            f"{path}. Save other formats as an array with numpy.save."
        )
    try:
        rows = np.asarray(read(path), np.float64)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise DataError(
            f"`{path}` must hold a table of numbers, a .csv without a header. Received: {error}."
        ) from error
    try:
        return TransitionMatrix(rows)
    except DataError as error:
        raise DataError(f"`{path}`: {error}") from error


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": read_npy,
    ".npz": lambda path: read_npz(path, _NAMES, "matrix"),
    ".csv": lambda path: np.loadtxt(path, delimiter=",", ndmin=2),
}
