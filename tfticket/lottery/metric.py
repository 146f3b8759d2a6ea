"""Metrics that tickets are judged by: which direction is better, and how values are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from tfticket.display import words
from tfticket.display.words import Interval
from tfticket.wording import check_name, did_you_mean

Direction = Literal["max", "min"]

_SHARES = ("auc", "f1_score", "mean_iou", "mean_io_u", "precision", "recall")
_OTHERS_HIGHER = ("cosine_similarity", "r2_score")
_LOWER = (
    "binary_crossentropy", "categorical_crossentropy", "hinge", "huber", "kl_divergence",
    "log_cosh", "loss", "mae", "mape", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_error", "mean_squared_logarithmic_error", "mse", "msle", "poisson",
    "root_mean_squared_error", "sparse_categorical_crossentropy",
)  # fmt: skip
DIRECTIONS: Mapping[str, Direction] = MappingProxyType(
    {
        "accuracy": "max",
        **dict.fromkeys((*_SHARES, *_OTHERS_HIGHER), "max"),
        **dict.fromkeys(_LOWER, "min"),
    }
)
"""Metrics of Keras whose direction is known; so is that of each whose name holds `acc`."""
_LABELS = {
    "mae": "mean absolute error",
    "mean_io_u": "mean IoU",
    "mean_iou": "mean IoU",
    "mse": "mean squared error",
    "auc": "AUC",
    "f1_score": "F1 score",
}


@dataclass(frozen=True)
class Metric:
    """A metric of finished networks, and which direction of it is better.

    Attributes:
        name: Name by which the model reports it.
        direction: `max` where higher is better, `min` where lower is.

    Raises:
        ValueError: The direction is neither, or isn't that of a known metric.

    Example:
        >>> error = Metric.of("mean_squared_error")
        >>> error.direction, error.label, error.say(0.25), error.say_gain(0.01)
        ('min', 'mean squared error', '0.2500', '+0.01000')
    """

    name: str
    direction: Direction

    def __post_init__(self) -> None:
        check_name("direction", self.direction, ("max", "min"))
        known = known_direction(self.name)
        if known not in (None, self.direction):
            raise ValueError(
                f"`direction` of {self.name} must be {known!r}, since "
                f"{'higher' if known == 'max' else 'lower'} is better. "
                f"Received: direction={self.direction!r}."
            )

    @classmethod
    def of(cls, name: str, direction: Direction | None = None) -> Metric:
        """Return the metric of a name; `direction` is needed where the name isn't known.

        Raises:
            ValueError: The direction isn't known, or contradicts what is known.
        """
        found = known_direction(name) if direction is None else direction
        if found is None:
            raise ValueError(
                f"`direction` must be 'max' or 'min' for metric={name!r}, whose direction isn't "
                f"known. Received: direction=None.{did_you_mean(name, DIRECTIONS)}"
            )
        return cls(name, found)

    @property
    def sign(self) -> float:
        """1 where higher is better, -1 where lower is: turns differences so that + is better."""
        return 1.0 if self.direction == "max" else -1.0

    @property
    def is_accuracy(self) -> bool:
        """True if it is a share of right answers."""
        return is_accuracy(self.name)

    @property
    def is_share(self) -> bool:
        """True if it lies in [0, 1], so that it is written in percent and points."""
        return self.is_accuracy or self.name in _SHARES

    @property
    def key(self) -> str:
        """Name in tables and JSON: `accuracy` for each accuracy, else its own."""
        return "accuracy" if self.is_accuracy else self.name

    @property
    def label(self) -> str:
        """Name in a sentence."""
        return _LABELS.get(self.name, self.key.replace("_", " "))

    @property
    def title(self) -> str:
        """Name at the beginning of a sentence."""
        return self.label[0].upper() + self.label[1:]

    @property
    def axis(self) -> str:
        """Name on an axis, with its unit."""
        return f"{self.label} (%)" if self.is_share else self.label

    @property
    def scale(self) -> float:
        """Factor of values and gains on an axis."""
        return 100.0 if self.is_share else 1.0

    @property
    def difference(self) -> str:
        """Name of a difference that is positive where the first network is better."""
        return self.label if self.direction == "max" else f"gain in {self.label}"

    def against(self, other: str) -> str:
        """Heading of gains over another network, with the unit."""
        return f"{self.difference} against {other}{self.comma_unit}"

    @property
    def comma_unit(self) -> str:
        """Unit of gains behind a heading; empty in the unit of the metric itself."""
        return ", points" if self.is_share else ""

    def say(self, value: float) -> str:
        """Write a value."""
        return words.percent2(value) if self.is_share else words.significant(value)

    def say_gain(self, gain: float) -> str:
        """Write a gain with its sign: a loss is negative, in either direction."""
        return words.points(gain) if self.is_share else words.signed(gain)

    def say_gains(self, interval: Interval) -> str:
        """Write the bounds of a gain; nothing for a single seed."""
        return words.interval(interval, self.say_gain)

    def say_margin(self, margin: float) -> str:
        """Write a margin: `0.2 points`, `0.01`."""
        return f"{100 * margin:g} points" if self.is_share else f"{margin:.4g}"


def known_direction(name: str) -> Direction | None:
    """Return the direction of a metric by its name; None where it isn't known.

    Example:
        >>> known_direction("mean_iou"), known_direction("sparse_categorical_accuracy")
        ('max', 'max')
        >>> known_direction("my_metric") is None
        True
    """
    return "max" if is_accuracy(name) else DIRECTIONS.get(name)


def is_accuracy(name: str) -> bool:
    """Return whether a metric is an accuracy, by its name.

    Example:
        >>> is_accuracy("sparse_categorical_accuracy"), is_accuracy("loss")
        (True, False)
    """
    return "acc" in name


ACCURACY = Metric("accuracy", "max")
