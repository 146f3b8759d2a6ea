"""How the keys of a recipe depend on one another: what the rules of all kinds share.

A rule gets a recipe whose keys are valid one by one, and yields a `Problem` for each conflict.
`parsing.parse` runs all rules of the recipe's kind, and keeps quiet about conflicts with keys that
are mistakes already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfticket.recipe.schema import Recipe
from tfticket.recipe.training import (
    Cosine,
    LearningRate,
    Piecewise,
    RmsProp,
    Sgd,
    WarmupPiecewise,
)


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes:
        key: The dotted key that it is reported at.
        message: The rule, what was received, and what to do.
        others: The other keys that the rule looked at.
    """

    key: str
    message: str
    others: tuple[str, ...] = ()


Rule = Callable[[Any], Iterator[Problem]]
"""Takes a recipe of one kind."""


def twice(lists: Mapping[str, Sequence[Any] | None]) -> Iterator[Problem]:
    """Names each list, by its key, that has a value more than once; what isn't a list passes."""
    for key, values in lists.items():
        if isinstance(values, tuple) and len(set(values)) < len(values):
            again = sorted({v for v in values if values.count(v) > 1})
            yield Problem(key, f"must name each value once. Received twice: {listed(again)}.")


def nearest_divisor(number: int, of: int) -> int:
    """The divisor of `of` that is nearest to `number`; of two, the smaller."""
    small = [d for d in range(1, math.isqrt(of) + 1) if of % d == 0]
    return min((*small, *(of // d for d in small)), key=lambda d: (abs(d - number), d))


def optimizer(recipe: Recipe) -> Iterator[Problem]:
    """Options of the optimizer that exclude or need one another."""
    optimizer = recipe.train.optimizer
    if optimizer.clipnorm is not None and optimizer.global_clipnorm is not None:
        yield Problem(
            "train.optimizer.clipnorm",
            "can't be combined with `global_clipnorm`. Remove one of them.",
            ("train.optimizer.global_clipnorm",),
        )
    if isinstance(optimizer, Sgd) and optimizer.nesterov and not optimizer.momentum:
        yield Problem(
            "train.optimizer.nesterov",
            "needs a `momentum` greater than 0. Received: momentum = 0.0.",
            ("train.optimizer.momentum",),
        )
    if isinstance(optimizer, RmsProp) and optimizer.centered and not optimizer.rho:
        yield Problem(
            "train.optimizer.centered", "needs a `rho` greater than 0.", ("train.optimizer.rho",)
        )


def on_one_device(recipe: Recipe) -> Iterator[Problem]:
    """For the kinds whose networks can't be trained on several devices."""
    if recipe.train.distribute != "none":
        yield Problem(
            "train.distribute",
            "is for recipes of the kind lottery. Leave it out; --jobs trains several networks of "
            "a study at a time.",
        )


def learning_rate(recipe: Recipe) -> Iterator[Problem]:
    """Boundaries and values of a schedule that don't fit together."""
    yield from schedule_problems(recipe.train.learning_rate, "train.learning_rate")


def schedule_problems(rate: LearningRate, key: str) -> Iterator[Problem]:
    """The same of any learning rate.

    Args:
        rate: A number or a table.
        key: Its dotted key.
    """
    if isinstance(rate, Piecewise | WarmupPiecewise):
        if len(rate.values) != len(rate.boundaries) + 1:
            yield Problem(
                f"{key}.values",
                "must have one value more than there are boundaries. Received: "
                f"{len(rate.values)} for {len(rate.boundaries)} boundaries.",
                (f"{key}.boundaries",),
            )
        if any(a >= b for a, b in zip(rate.boundaries, rate.boundaries[1:], strict=False)):
            yield Problem(
                f"{key}.boundaries", f"must increase. Received: {listed(rate.boundaries)}."
            )
    if isinstance(rate, WarmupPiecewise) and rate.warmup_steps > rate.boundaries[0]:
        yield Problem(
            f"{key}.warmup_steps",
            "must not be after the first boundary. Received: "
            f"{rate.warmup_steps}, with boundaries = {listed(rate.boundaries)}.",
            (f"{key}.boundaries",),
        )
    if isinstance(rate, Cosine) and rate.warmup_steps >= rate.decay_steps:
        yield Problem(
            f"{key}.warmup_steps",
            f"must be below `decay_steps`. Received: {rate.warmup_steps}, with decay_steps = "
            f"{rate.decay_steps}.",
            (f"{key}.decay_steps",),
        )


def listed(values: Iterable[object]) -> str:
    """`1, 2, 3`."""
    return ", ".join(str(value) for value in values)
