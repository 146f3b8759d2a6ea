"""Linear mode connectivity: the step from which on the outcome doesn't depend on data order.

Two copies of a network are trained from step k with different data order. If the error on the
straight line between the two results stays flat, the network was *stable* at step k, and rewinding
to step k finds winning tickets.

Source: Frankle et al. (2020, arXiv:1912.05671), section 2, "instability analysis".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfticket.errors import TicketError
from tfticket.state import Snapshot
from tfticket.statistics.population import recalibrate as recalibrate_statistics
from tfticket.wording import brief_repr

__all__ = [
    "Connectivity",
    "ConnectivityScan",
    "connectivity",
    "error_along_line",
    "instability",
    "interpolate",
    "scan",
]

POINTS = 30
STABLE_BELOW = 0.02

Train = Callable[[Snapshot, int], Snapshot]
Evaluate = Callable[[keras.Model], float]


def interpolate(
    a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], alpha: float
) -> dict[str, np.ndarray]:
    """Interpolate states: (1 - alpha) a + alpha b, exactly a and b at the ends.

    Args:
        a: Key to array. Arrays without floats (the states of seed generators) are taken from it.
        b: Arrays of the same keys and shapes.
        alpha: Position on the line, in [0, 1].

    Raises:
        TicketError: when keys or shapes differ.

    Example:
        >>> interpolate({"w": np.array([0.0])}, {"w": np.array([4.0])}, 0.25)["w"].tolist()
        [1.0]
    """
    shapes = [{key: array.shape for key, array in end.items()} for end in (a, b)]
    if shapes[0] != shapes[1]:
        differing = sorted({key for key, _ in shapes[0].items() ^ shapes[1].items()})
        raise TicketError(f"Both ends of a line need the same variables. Differing: {differing}")
    return {key: _between(array, b[key], alpha) for key, array in a.items()}


def _between(a: np.ndarray, b: np.ndarray, alpha: float) -> np.ndarray:
    if not keras.backend.is_float_dtype(a.dtype.name):
        return a
    # Written so that equal ends give the same number all along, pruned zeros above all.
    return b if alpha == 1.0 else (a + alpha * (b - a)).astype(a.dtype)


def instability(errors: Sequence[float], error_a: float, error_b: float) -> float:
    """Compute the rise of the error on the line: max E(alpha) - (E(a) + E(b)) / 2.

    Source: Frankle et al. (2020), section 2.

    Args:
        errors: Error at points of the line, in [0, 1].
        error_a: Error at one end.
        error_b: Error at the other end.

    Example:
        >>> instability([0.25, 0.75, 0.25], 0.25, 0.25)
        0.5
    """
    return float(max(*errors, error_a, error_b) - (error_a + error_b) / 2)


def error_along_line(
    model: keras.Model,
    state_a: Snapshot,
    state_b: Snapshot,
    evaluate: Evaluate,
    *,
    points: int = POINTS,
    recalibrate: Sequence[Any] | None = None,
) -> np.ndarray:
    """Compute the error at evenly spaced points of the line between two states, ends included.

    Args:
        model: A model that the states fit; its own state is restored afterwards.
        state_a: State at alpha = 0.
        state_b: State at alpha = 1.
        evaluate: Function from the model to its error, in [0, 1].
        points: Number of points, at least 2.
        recalibrate: Batches of inputs on which the statistics of batch normalization are recomputed
            at each point. By default they are interpolated like weights, which can show a barrier
            where there is none.

    Returns:
        Errors, float64, shape (points,).

    Raises:
        ValueError: when `points` is below 2.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="out")])
        >>> ends = [Snapshot({"out/kernel": np.full((1, 1), w), "out/bias": np.zeros(1)}, None, 0)
        ...         for w in (0.0, 1.0)]
        >>> evaluate = lambda model: model.get_layer("out").kernel.numpy().item()
        >>> error_along_line(model, *ends, evaluate, points=3).tolist()
        [0.0, 0.5, 1.0]
    """
    if points < 2:
        raise ValueError(f"`points` must be at least 2, the ends. Received: points={points}")
    errors = []
    with _unchanged(model):
        for alpha in np.linspace(0.0, 1.0, points):
            variables = interpolate(state_a.variables, state_b.variables, float(alpha))
            Snapshot(variables, None, 0).restore(model)
            if recalibrate is not None:
                recalibrate_statistics(model, recalibrate)
            errors.append(float(evaluate(model)))
    return np.array(errors)


@dataclass(frozen=True)
class Connectivity:
    """Errors on the line between two copies trained from the same step.

    Attributes:
        k: Step that the copies were trained from.
        errors: Error at evenly spaced points of the line, ends included.
        statistics: Treatment of moving statistics: `interpolated` or `recalibrated`.

    Example:
        >>> Connectivity(500, (0.25, 0.75, 0.25), "interpolated").stable
        False
    """

    k: int
    errors: tuple[float, ...]
    statistics: str

    __repr__ = brief_repr

    @property
    def instability(self) -> float:
        """See `instability`."""
        return instability(self.errors, self.errors[0], self.errors[-1])

    @property
    def stable(self) -> bool:
        """True if the instability is below the paper's threshold of 2 %."""
        return self.instability < STABLE_BELOW

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "k": self.k,
            "errors": list(self.errors),
            "instability": self.instability,
            "stable": self.stable,
            "statistics": self.statistics,
        }


@dataclass(frozen=True)
class ConnectivityScan:
    """Instability by the step that the copies were trained from.

    Attributes:
        k: Steps, ascending.
        instability: Instability of each pair of copies, for each step.
        points: Number of points on each line.
        statistics: `interpolated` or `recalibrated`.

    Example:
        >>> ConnectivityScan((0, 500), ((0.2,), (0.01,)), 30, "interpolated").recommended
        500
    """

    k: tuple[int, ...]
    instability: tuple[tuple[float, ...], ...]
    points: int
    statistics: str

    __repr__ = brief_repr

    @property
    def recommended(self) -> int | None:
        """The smallest k that is stable in the mean over pairs; None when there is none."""
        means = (float(np.mean(pairs)) for pairs in self.instability)
        return next((k for k, m in zip(self.k, means, strict=True) if m < STABLE_BELOW), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "k": list(self.k),
            "instability": [list(pairs) for pairs in self.instability],
            "recommended": self.recommended,
            "points": self.points,
            "statistics": self.statistics,
        }


def connectivity(
    model: keras.Model,
    snapshot: Snapshot,
    *,
    train: Train,
    evaluate: Evaluate,
    order_seeds: tuple[int, int] = (0, 1),
    points: int = POINTS,
    recalibrate: Sequence[Any] | None = None,
) -> Connectivity:
    """Train two copies from one snapshot, and compute errors on the line between them.

    Args:
        model: A model that the states fit; its own state is restored afterwards.
        snapshot: The network at step k.
        train: Function from snapshot and seed of the data order to the trained snapshot. It may
            train in `model`; only the data order may differ between two calls.
        evaluate: Function from the model to its error, in [0, 1].
        order_seeds: Seeds of the two copies.
        points: As in `error_along_line`.
        recalibrate: As in `error_along_line`.

    Raises:
        TicketError: when both copies are equal, so that their data order can't have differed.
    """
    with _unchanged(model):
        a, b = (train(snapshot, seed) for seed in order_seeds)
        if all(np.array_equal(array, b.variables[key]) for key, array in a.variables.items()):
            raise TicketError(
                "Two copies trained with different data order must differ. Received: the same "
                f"weights for the order seeds {order_seeds}; `train` must shuffle by its seed."
            )
        errors = error_along_line(model, a, b, evaluate, points=points, recalibrate=recalibrate)
    statistics = "interpolated" if recalibrate is None else "recalibrated"
    return Connectivity(snapshot.step, tuple(errors.tolist()), statistics)


def scan(
    model: keras.Model,
    snapshots: Sequence[Snapshot],
    *,
    train: Train,
    evaluate: Evaluate,
    pairs: int = 1,
    points: int = POINTS,
    recalibrate: Sequence[Any] | None = None,
) -> ConnectivityScan:
    """Compute the instability at several steps of one training run, and recommend one.

    Args:
        model: As in `connectivity`.
        snapshots: The network at the steps to try.
        train: As in `connectivity`.
        evaluate: As in `connectivity`.
        pairs: Pairs of copies at each step, with the order seeds (0, 1), (2, 3), ...
        points: As in `connectivity`.
        recalibrate: As in `connectivity`.
    """
    results = {
        snapshot.step: [
            connectivity(
                model,
                snapshot,
                train=train,
                evaluate=evaluate,
                order_seeds=(2 * pair, 2 * pair + 1),
                points=points,
                recalibrate=recalibrate,
            )
            for pair in range(pairs)
        ]
        for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.step)
    }
    return ConnectivityScan(
        tuple(results),
        tuple(tuple(one.instability for one in of_k) for of_k in results.values()),
        points,
        "interpolated" if recalibrate is None else "recalibrated",
    )


@contextlib.contextmanager
def _unchanged(model: keras.Model) -> Iterator[None]:
    before = Snapshot.capture(model, step=0)
    try:
        yield
    finally:
        before.restore(model)
