"""Label noise made on purpose, by a seed, with a receipt of what was really done.

The same words mean different things in the literature: half of the "symmetric 0.5" of one code base
are the 0.45 of another, and "asymmetric 0.4" may be 40 % or 20 % wrong labels. A `Corruption`
therefore carries the rate it was asked for beside the one that came out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tfticket.errors import DataError
from tfticket.files import digest, load_arrays, write_arrays
from tfticket.noise.labels.given import NO_CLASS, check_finite, checked_labels
from tfticket.noise.labels.transition import (
    ORIENTATION,
    TransitionMatrix,
    as_transition,
    checked_rate,
)
from tfticket.seeds import generator
from tfticket.wording import brief_repr

_SPREAD = 0.1  # deviation of the flip rates of single examples (Xia et al. 2020, algorithm 2)
CHUNK = 1024
"""Rows that are worked on at once."""


def corrupt(
    labels: ArrayLike, transition: TransitionMatrix | ArrayLike, *, seed: int, exact: bool = False
) -> Corruption:
    """Draw given labels from true ones, by a transition matrix.

        >>> from tfticket.noise import symmetric
        >>> corrupt([0, 1, 2] * 10, symmetric(3, 0.2), seed=0, exact=True).realized_rate
        0.2

    With one seed, what is wrong at a low symmetric or pair rate is wrong in the same way at any
    higher one (unless `exact` rounds), so that rates are compared on nested sets.

    Args:
        labels: True labels, shape (n,), integers in [0, k). They aren't changed.
        transition: T, shape (k, k): `symmetric`, `pair`, `cifar10_asymmetric` or any matrix.
        seed: Seed of the run; the noise has a stream of its own.
        exact: Each example for itself (False), or counts that are as near to n T as whole numbers
            can be: round(n * rate) wrong labels in all, shared among classes and targets by
            largest remainders.

    Returns:
        The given labels with their receipt.

    Raises:
        DataError: when the labels are none, or out of the matrix's range.
    """
    transition = as_transition(transition)
    matrix = transition.matrix
    true = checked_labels(labels, len(matrix))
    rng = generator(seed, "noise", "labels")
    draw = _exactly if exact else _each_for_itself
    return Corruption(
        given=draw(true, matrix, rng),
        true=true,
        num_classes=len(matrix),
        kind=transition.kind,
        nominal_rate=transition.nominal_rate,
        nominal=matrix,
        seed=seed,
        exact=exact,
    )


def instance_dependent(
    x: ArrayLike, labels: ArrayLike, *, num_classes: int, rate: float, seed: int
) -> Corruption:
    """Draw given labels by noise that depends on the example.

    Each example gets a flip rate q from a normal distribution around `rate` (deviation 0.1, cut),
    and flips to j with probability q softmax_j(x W_y) over j != y, with Gaussian W_y.

    Source: Xia et al., "Part-dependent Label Noise" (2020, arXiv:2006.07836), algorithm 2. There
    the distribution is cut to [0, 1], which gives 8 % wrong labels at a rate of 0; here it is cut
    as far from `rate` on both sides, so that `rate` is its mean. And here x is first brought to
    mean 0 and deviation 1, so that bytes and floats give the same noise.

    Args:
        x: Inputs, shape (n, ...), finite numbers.
        labels: True labels, shape (n,), integers in [0, num_classes).
        num_classes: k, at least 2.
        rate: Mean flip rate, in [0, 1].
        seed: Seed of the run.

    Raises:
        DataError: when an argument is out of its range, or x and labels differ in number.
    """
    true = checked_labels(labels, num_classes)
    inputs = as_rows(x, len(true))
    q = _flip_rates(checked_rate(rate), len(true), seed)
    given = true.copy()
    flip = generator(seed, "noise", "flips").random(len(true)) < q
    aim = generator(seed, "noise", "targets").random(len(true))
    scale, offset = _standardizing(inputs)
    for label in range(num_classes):
        w = generator(seed, "noise", "projection", label).normal(
            size=(inputs.shape[1], num_classes)
        )
        members = np.flatnonzero(flip & (true == label))
        for start in range(0, len(members), CHUNK):
            ids = members[start : start + CHUNK]
            scores = (inputs[ids].astype(np.float64) - offset) * scale @ w
            scores[:, label] = -np.inf
            given[ids] = pick(special.softmax(scores, axis=1), aim[ids])
    return Corruption(
        given=given,
        true=true,
        num_classes=num_classes,
        kind="instance_dependent",
        nominal_rate=float(rate),
        seed=seed,
    )


def open_set(
    x: ArrayLike, labels: ArrayLike, *, foreign: ArrayLike, num_classes: int, rate: float, seed: int
) -> tuple[np.ndarray, Corruption]:
    """Replace inputs by ones that belong to none of the classes; the labels stay.

    round(n * rate) inputs are replaced by different inputs of another data set; the labels stay.

    Source: Wang et al., "Iterative Learning with Open-set Noisy Labels" (2018, arXiv:1804.00092).

    Args:
        x: Inputs, shape (n, ...). They aren't changed.
        labels: Labels, shape (n,), integers in [0, num_classes).
        foreign: Inputs of no class, shape (m, ...) with m at least round(n * rate), in the units
            and of the type of `x`.
        num_classes: k, at least 2.
        rate: Share of the inputs to replace, in [0, 1].
        seed: Seed of the run.

    Returns:
        The inputs, shape (n, ...), and the corruption, whose true labels are -1 where replaced.

    Raises:
        DataError: when an argument is out of its range, or `foreign` doesn't fit or is too small.
    """
    true = checked_labels(labels, num_classes)
    count = round(len(true) * checked_rate(rate))
    given, inputs, foreign = true.copy(), np.array(x), np.asarray(foreign)
    forms = {(array.shape[1:], array.dtype) for array in (inputs, foreign)}
    if len(forms) > 1 or len(inputs) != len(true) or len(foreign) < count:
        raise DataError(
            "`x` must be as many as the labels, and `foreign` inputs of their shape and type, one "
            f"for each of the {count} that are replaced. Received: x {inputs.shape} "
            f"{inputs.dtype}, {len(true)} labels, foreign {foreign.shape} {foreign.dtype}."
        )
    rng = generator(seed, "noise", "open set")
    replaced = np.sort(rng.permutation(len(true))[:count])
    inputs[replaced] = foreign[rng.permutation(len(foreign))[:count]]
    true[replaced] = NO_CLASS
    corruption = Corruption(
        given=given,
        true=true,
        num_classes=num_classes,
        kind="open_set",
        nominal_rate=float(rate),
        seed=seed,
        exact=True,
    )
    return inputs, corruption


def _flip_rates(rate: float, count: int, seed: int) -> np.ndarray:
    """The q of each example, shape (count,): normal, as far below `rate` as above it."""
    edge = special.ndtr(min(rate, 1 - rate) / _SPREAD)
    places = generator(seed, "noise", "flip rates").random(count)
    q = rate + _SPREAD * special.ndtri((1 - edge) + (2 * edge - 1) * places)
    cut: np.ndarray = np.clip(q, 0, 1)  # rounding
    return cut


def _each_for_itself(true: np.ndarray, matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # One number says whether a label flips and another one where to: both are drawn for every
    # example, and so don't depend on the rate.
    flip = rng.random(len(true)) < 1 - np.diag(matrix)[true]
    aim = rng.random(len(true))
    given = true.copy()
    given[flip] = pick(_targets(matrix)[true[flip]], aim[flip])
    return given


def _exactly(true: np.ndarray, matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    counts = np.bincount(true, minlength=len(matrix))
    expected = counts * (1 - np.diag(matrix))
    flips = _whole(expected, round(expected.sum()), rng)
    given = true.copy()
    for label, count in enumerate(flips):
        members = rng.permutation(np.flatnonzero(true == label))[:count]
        shares = _whole(count * _targets(matrix)[label], count, rng)
        given[members] = np.repeat(np.arange(len(matrix)), shares)
    return given


def _whole(expected: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """Whole numbers that sum to `total`, by largest remainders; ties go by chance."""
    whole = np.floor(expected + 1e-9).astype(int)
    missing = total - int(whole.sum())
    if missing > 0:
        # Rounded, since two remainders that only differ in their last bits are a tie.
        remainder = np.round(expected - whole, 9)
        whole[np.lexsort((rng.random(len(whole)), -remainder))[:missing]] += 1
    return whole


def _targets(matrix: np.ndarray) -> np.ndarray:
    """Return the probabilities of new labels given a flip: T without its diagonal, normalized."""
    away = matrix * (1 - np.eye(len(matrix)))
    sums = np.maximum(away.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    targets: np.ndarray = away / sums
    return targets


def pick(probabilities: np.ndarray, aim: np.ndarray) -> np.ndarray:
    """The class that a number in [0, 1) stands for, in each row."""
    bounds = np.cumsum(probabilities, axis=1)
    bounds /= bounds[:, -1:]  # so that rounding never leaves a gap below 1
    picked: np.ndarray = (bounds <= aim[:, None]).sum(axis=1)
    return picked


def as_rows(x: ArrayLike, count: int) -> np.ndarray:
    """Check inputs and return them as rows, shape (count, values of an example)."""
    array = np.asarray(x)
    if array.ndim < 2 or len(array) != count or array.dtype.kind not in "uifb":
        raise DataError(
            f"`x` must be numbers of shape ({count}, ...), an example for each label. Received: "
            f"{array.shape}, {array.dtype}."
        )
    check_finite(array)
    return array.reshape(count, -1)


def _standardizing(inputs: np.ndarray) -> tuple[float, float]:
    """One over the deviation and the mean of all values; products then have a deviation near 1."""
    mean = float(inputs.mean(dtype=np.float64))
    square = sum(
        float(np.square(inputs[start : start + CHUNK] - mean, dtype=np.float64).sum())
        for start in range(0, len(inputs), CHUNK)
    )
    deviation = np.sqrt(square / inputs.size)
    return (1 / deviation if deviation > 0 else 0.0), mean


@dataclass(frozen=True, eq=False)
class Corruption:
    """Given labels and the true ones, with the noise that was asked for and that came out.

    Attributes:
        given: The labels to train on, shape (n,), int64 in [0, num_classes).
        true: The true labels, shape (n,), int64; -1 where the example is of no class.
        num_classes: k.
        kind: How they were made: a kind of `TransitionMatrix`, `instance_dependent`, `human_like`,
            `open_set`, or `file`.
        nominal_rate: The rate that was asked for, in [0, 1]; None where none was.
        nominal: The matrix T that they were drawn from, shape (k, k); None where there is none.
        seed: Seed of the run; None for labels from a file.
        exact: Whether the counts were fixed, and not drawn for each example.

    Raises:
        DataError: when labels are out of range, or given and true ones differ in number.
    """

    given: np.ndarray
    true: np.ndarray
    num_classes: int
    kind: str
    nominal_rate: float | None = None
    nominal: np.ndarray | None = None
    seed: int | None = None
    exact: bool = False

    _KIND: ClassVar[str] = "corruption"

    __repr__ = brief_repr

    def __post_init__(self) -> None:
        given = checked_labels(self.given, self.num_classes, name="given")
        true = checked_labels(self.true, self.num_classes, name="true", least=NO_CLASS)
        if len(given) != len(true):
            raise DataError(
                "There must be a given label for each true one. Received: "
                f"{len(given)} given, {len(true)} true."
            )
        for name, array in (("given", given), ("true", true)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.nominal is not None:
            object.__setattr__(self, "nominal", as_transition(self.nominal).matrix)

    @property
    def changed(self) -> np.ndarray:
        """True where the given label is wrong, shape (n,), bool."""
        changed: np.ndarray = self.given != self.true
        return changed

    @property
    def realized_rate(self) -> float:
        """Share of wrong labels, in [0, 1]."""
        return float(self.changed.mean())

    @property
    def realized(self) -> np.ndarray:
        """The realized matrix, shape (k, k); a row of NaN for a class without examples."""
        known = self.true != NO_CLASS
        counts = np.zeros((self.num_classes, self.num_classes))
        np.add.at(counts, (self.true[known], self.given[known]), 1)
        sums = counts.sum(axis=1, keepdims=True)
        return np.where(sums > 0, counts / np.maximum(sums, 1), np.nan)

    @property
    def sha256(self) -> str:
        """Hash of the true and the given labels; what was asked for doesn't enter."""
        return digest({"given": self.given, "true": self.true})

    def to_dict(self) -> dict[str, Any]:
        """The receipt as plain values for JSON; rows of absent classes are None."""
        return {
            "kind": self.kind,
            "examples": len(self.given),
            "num_classes": self.num_classes,
            "nominal_rate": self.nominal_rate,
            "realized_rate": self.realized_rate,
            "wrong": int(self.changed.sum()),
            "exact": self.exact,
            "seed": self.seed,
            "orientation": ORIENTATION,
            "nominal": None if self.nominal is None else self.nominal.tolist(),
            "realized": [None if np.isnan(row).any() else row.tolist() for row in self.realized],
            "sha256": self.sha256,
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write labels and receipt as one `.npz`, whole or not at all.

        Raises:
            RunError: when it can't be written.
        """
        arrays = {"given": self.given, "true": self.true}
        return write_arrays(
            path, kind=self._KIND, header={"receipt": self.to_dict()}, arrays=arrays
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Corruption:
        """Read what `save` wrote.

        Raises:
            TicketError: when the file is missing, damaged, or no corruption.
        """
        return load_arrays(path, cls._decode, kind=cls._KIND, holds="labels and their receipt")

    @classmethod
    def _decode(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Corruption:
        names = ("num_classes", "kind", "nominal_rate", "nominal", "seed", "exact")
        settings = {name: header["receipt"][name] for name in names}
        return cls(arrays["given"], arrays["true"], **settings)


def given_labels(true: ArrayLike, given: ArrayLike, *, num_classes: int) -> Corruption:
    """Make a `Corruption` of labels that you have, such as people's.

    Args:
        true: True labels, shape (n,), integers in [0, num_classes).
        given: What somebody took them for, in the same order: compare `read_label_file`.
        num_classes: k, at least 2.

    Raises:
        DataError: when labels are out of range, or they differ in number.
    """
    true = checked_labels(true, num_classes, name="true")
    return Corruption(np.asarray(given), true, num_classes, "file")
