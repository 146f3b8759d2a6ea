"""Criteria of a study: a metric that its models report, and its margin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tfticket.errors import ModelError
from tfticket.lottery.comparison import USUAL, Criteria
from tfticket.lottery.metric import Direction, Metric, is_accuracy
from tfticket.wording import did_you_mean

_RELATIVE_MARGIN = 0.05


def chosen_metric(
    reported: Sequence[str], name: str | None = None, direction: Direction | None = None
) -> Metric:
    """Return what to judge by: the metric that is named, the accuracy, or the first one.

    Args:
        reported: Names that a model reports, `loss` among them.
        name: Name of the metric; None to choose.
        direction: `max` or `min`; None for what is known.

    Raises:
        ModelError: The model doesn't report it, or reports nothing but its loss.
        ValueError: Its direction isn't known, or contradicts what is known.

    Example:
        >>> chosen_metric(["loss", "mean_absolute_error"])
        Metric(name='mean_absolute_error', direction='min')
    """
    accuracies = [each for each in reported if is_accuracy(each)]
    if name is not None:
        chosen = name
    elif len(accuracies) > 1:
        chosen = "accuracy"
    else:
        others = [each for each in reported if each != "loss"]
        chosen = next(iter([*accuracies, *others]), "")
    if chosen in reported:
        return Metric.of(chosen, direction)
    if name is None:
        raise ModelError(
            "A study needs a metric to judge by: compile the model with metrics=['accuracy'], or "
            "['mean_squared_error'] for a regression, or name one of its own by `metric`. "
            f"Received: {', '.join(reported)}."
        )
    raise ModelError(
        "`metric` must be among what the model reports; compile it with "
        f"metrics=[{name!r}] if that is one of Keras. Received: metric={name!r}, of a model that "
        f"reports {', '.join(reported)}.{did_you_mean(name, reported)}"
    )


def chosen_criteria(
    metric: Metric,
    labels: np.ndarray,
    margin: float | None = None,
    margin_is: Literal["absolute", "relative"] | None = None,
) -> Criteria:
    """Return the criteria of a metric; without a margin, those that suit it.

    Args:
        metric: The metric.
        labels: Labels of the test data.
        margin: As of `study`.
        margin_is: As of `study`.

    Raises:
        RunError: The margin is out of its range.
        ValueError: `margin_is` comes without a margin.

    Example:
        >>> found = chosen_criteria(Metric.of("mean_squared_error"), np.zeros((100, 1)))
        >>> found.margin, found.margin_is, found.accuracy_resolution
        (0.05, 'relative', 0.0)
    """
    if margin is None:
        if margin_is is not None:
            raise ValueError(f"`margin_is` needs a `margin`. Received: margin_is={margin_is!r}")
        margin = USUAL.margin if metric.is_share else _RELATIVE_MARGIN
        margin_is = "absolute" if metric.is_share else "relative"
    # Of labels a pixel there are so many that rounding doesn't count.
    rounded = metric.is_accuracy and labels.ndim <= 2
    return Criteria(
        margin=margin,
        accuracy_resolution=1 / len(labels) if rounded else 0.0,
        metric=metric,
        margin_is="absolute" if margin_is is None else margin_is,
    )
