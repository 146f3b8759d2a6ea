"""Metrics and losses of a search, where labels are classes, numbers or maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from tfticket.lottery.metric import known_direction
from tfticket.recipe.schema import Data, Task, Train
from tfticket.recipe.table import Problem, listed
from tfticket.wording import did_you_mean

MetricName = Literal[
    "accuracy",
    "mean_iou",
    "mean_squared_error",
    "root_mean_squared_error",
    "mean_absolute_error",
    "loss",
]
REPORTED: Mapping[Task, tuple[MetricName, ...]] = {
    "classes": ("accuracy", "loss"),
    "numbers": ("mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "loss"),
    "pixels": ("mean_iou", "accuracy", "loss"),
}
"""Metrics that the networks of a recipe report on each kind of labels."""
_LOSSES: Mapping[Task, tuple[str, ...]] = {
    "classes": ("cross_entropy",),
    "numbers": ("mean_squared_error", "mean_absolute_error", "huber"),
    "pixels": ("cross_entropy",),
}
_LABELS: Mapping[Task, str] = {
    "classes": "classes",
    "numbers": "numbers to be predicted",
    "pixels": "a label a pixel",
}


def task_problems(data: Data, train: Train, network: str | None) -> Iterator[Problem]:
    """Yield what doesn't fit the labels of the data.

    Args:
        data: The data set, whose name tells its labels.
        train: Training of a network.
        network: Name of the network in the zoo; None for a `.keras` file.
    """
    task = data.task
    has = f"{data.name} has {_LABELS[task]}"
    if train.loss is not None and train.loss not in _LOSSES[task]:
        yield Problem(
            "train.loss", f"must be {' or '.join(_LOSSES[task])}: {has}. Received: {train.loss!r}."
        )
    if train.label_smoothing and task == "numbers":
        yield Problem("train.label_smoothing", f"needs classes: {has}. Remove it.")
    if data.augment != "none" and task == "pixels":
        yield Problem(
            "data.augment",
            f"must be none: {has}, which would have to move with the images. "
            f"Received: {data.augment!r}.",
        )
    if network is not None and (network == "unet") != (task == "pixels"):
        rule = "be unet, or a .keras file by `file`" if task == "pixels" else "not be unet"
        yield Problem("model.name", f"must {rule}: {has}. Received: {network!r}.")


def metric_problems(data: Data, metric: str, direction: str | None) -> Iterator[Problem]:
    """Yield what is wrong with a metric of the verdict.

    Args:
        data: The data set.
        metric: Name of the metric.
        direction: `max` or `min`; None for what is known.
    """
    names = REPORTED[data.task]
    if metric not in names:
        yield Problem(
            "verdict.metric",
            f"must be one that networks report on {data.name}, which has {_LABELS[data.task]}: "
            f"{listed(names)}. Received: {metric!r}.{did_you_mean(metric, names)}",
        )
    elif direction not in (None, known := known_direction(metric)):
        yield Problem(
            "verdict.direction",
            f"must be {known!r} for {metric}, since {'higher' if known == 'max' else 'lower'} is "
            f"better; it can be left out. Received: {direction!r}.",
        )


def only_classes(data: Data, why: str, *, key: str = "data.name") -> Iterator[Problem]:
    """Yield a problem unless each example of the data has one of several classes.

    Args:
        data: The data set.
        why: The reason, behind "since".
        key: Key of the problem.
    """
    if data.task != "classes":
        yield Problem(
            key,
            f"must have classes, since {why}. Received: {data.name}, which has "
            f"{_LABELS[data.task]}.",
        )
