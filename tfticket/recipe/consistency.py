"""How the keys of a recipe depend on one another.

A rule gets a recipe whose keys are valid one by one, and yields a `Problem` for each conflict.
`parsing.parse` runs all rules, and keeps quiet about conflicts with keys that are mistakes already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tfticket.recipe.schema import Recipe
from tfticket.recipe.training import Cosine, Piecewise, RmsProp, Sgd, WarmupPiecewise


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


def problems(recipe: Recipe) -> list[Problem]:
    """All conflicts between keys, in the order of the tables."""
    return [problem for rule in _RULES for problem in rule(recipe)]


def nearest_divisor(number: int, of: int) -> int:
    """The divisor of `of` that is nearest to `number`; of two, the smaller."""
    small = [d for d in range(1, math.isqrt(of) + 1) if of % d == 0]
    return min((*small, *(of // d for d in small)), key=lambda d: (abs(d - number), d))


def _unique(recipe: Recipe) -> Iterator[Problem]:
    lists: dict[str, Sequence[int | str] | None] = {
        "seeds": recipe.seeds,
        "controls.levels": recipe.controls.levels,
        "connectivity.steps": recipe.connectivity.steps if recipe.connectivity else None,
        "export.levels": recipe.export.levels,
        "export.formats": recipe.export.formats,
    }
    for key, values in lists.items():
        if isinstance(values, tuple) and len(set(values)) < len(values):
            twice = sorted({v for v in values if values.count(v) > 1})
            yield Problem(key, f"must name each value once. Received twice: {_listed(twice)}.")


def _one_model(recipe: Recipe) -> Iterator[Problem]:
    model = recipe.model
    if (model.name is None) == (model.file is None):
        received = "neither" if model.name is None else "both"
        yield Problem(
            "model",
            "must have either `name`, a network of the zoo, or `file`, a .keras file. "
            f"Received: {received}.",
            ("model.name", "model.file"),
        )
    elif model.file is not None:
        for key in sorted({"norm", "width", "dropout"} & model.model_fields_set):
            if getattr(model, key) != type(model).model_fields[key].default:
                yield Problem(
                    f"model.{key}",
                    "belongs to the networks of the zoo; a .keras file is taken as it is. Remove "
                    "it, or use `name`.",
                    ("model.file",),
                )


def _optimizer(recipe: Recipe) -> Iterator[Problem]:
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


def _learning_rate(recipe: Recipe) -> Iterator[Problem]:
    rate = recipe.train.learning_rate
    key = "train.learning_rate"
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
                f"{key}.boundaries", f"must increase. Received: {_listed(rate.boundaries)}."
            )
    if isinstance(rate, WarmupPiecewise) and rate.warmup_steps > rate.boundaries[0]:
        yield Problem(
            f"{key}.warmup_steps",
            "must not be after the first boundary. Received: "
            f"{rate.warmup_steps}, with boundaries = {_listed(rate.boundaries)}.",
            (f"{key}.boundaries",),
        )
    if isinstance(rate, Cosine) and rate.warmup_steps >= rate.decay_steps:
        yield Problem(
            f"{key}.warmup_steps",
            f"must be below `decay_steps`. Received: {rate.warmup_steps}, with decay_steps = "
            f"{rate.decay_steps}.",
            (f"{key}.decay_steps",),
        )


def _steps(recipe: Recipe) -> Iterator[Problem]:
    train, rewind_step = recipe.train, recipe.lottery.rewind_step
    every = train.evaluate_every
    keys = ("train.steps", "lottery.rewind_step")
    if rewind_step >= train.steps:
        yield Problem(
            "lottery.rewind_step",
            f"must be below train.steps = {train.steps}, since nothing would be left to train. "
            f"Received: {rewind_step}.",
            ("train.steps",),
        )
        rewind_step = 0
    common = math.gcd(train.steps, rewind_step)
    if common % every:
        divided = f"train.steps = {train.steps}"
        divided += f" and lottery.rewind_step = {rewind_step}" if rewind_step else ""
        yield Problem(
            "train.evaluate_every",
            f"must divide {divided}, so that each level ends, and rewinds, at an evaluation. "
            f"Received: {every}. Try {nearest_divisor(every, common)}.",
            keys,
        )
    for step in recipe.connectivity.steps if recipe.connectivity else ():
        if step % every or step >= train.steps:
            yield Problem(
                "connectivity.steps",
                f"must be multiples of train.evaluate_every = {every} below train.steps = "
                f"{train.steps}. Received: {step}.",
                ("train.steps", "train.evaluate_every"),
            )


def _schedule(recipe: Recipe) -> Iterator[Problem]:
    lottery = recipe.lottery
    iterative = lottery.schedule == "iterative"
    if iterative and lottery.final_sparsity is not None:
        yield Problem(
            "lottery.final_sparsity",
            "belongs to the schedules one_shot and polynomial; the iterative one prunes `rate` of "
            "the surviving weights at each of `levels`. Remove it, or change `schedule`.",
            ("lottery.schedule",),
        )
    if not iterative and lottery.final_sparsity is None:
        yield Problem(
            "lottery.final_sparsity",
            f"must be given for the schedule {lottery.schedule}: the share of the prunable "
            "weights that is pruned at the last level.",
            ("lottery.schedule",),
        )
    for key in ("rate", "rates") if not iterative else ():
        if getattr(lottery, key):
            yield Problem(
                f"lottery.{key}",
                f"belongs to the iterative schedule. Received: schedule = {lottery.schedule!r}, "
                "which goes by `final_sparsity`.",
                ("lottery.schedule",),
            )
    if lottery.schedule == "one_shot" and lottery.levels != 1:
        yield Problem(
            "lottery.levels",
            f"must be 1 for the schedule one_shot, which prunes once. Received: {lottery.levels}.",
            ("lottery.schedule",),
        )


def _lottery(recipe: Recipe) -> Iterator[Problem]:
    lottery = recipe.lottery
    if lottery.rates and lottery.pruner != "layerwise":
        yield Problem(
            "lottery.rates",
            "gives layers their own rates, which only pruner = 'layerwise' can do. Received: "
            f"pruner = {lottery.pruner!r}.",
            ("lottery.pruner",),
        )
    if lottery.rewind == "none" and lottery.rewind_step:
        yield Problem(
            "lottery.rewind_step",
            "must be 0 when rewind = 'none', which goes on with the trained weights. Received: "
            f"{lottery.rewind_step}.",
            ("lottery.rewind",),
        )


def _levels(recipe: Recipe) -> Iterator[Problem]:
    last = recipe.lottery.levels
    for key, levels in {
        "controls.levels": recipe.controls.levels,
        "export.levels": recipe.export.levels,
    }.items():
        beyond = [n for n in levels if n > last] if isinstance(levels, tuple) else []
        if beyond:
            yield Problem(
                key,
                f"must not go beyond lottery.levels = {last}. Received: {_listed(beyond)}.",
                ("lottery.levels",),
            )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)


_RULES: tuple[Callable[[Recipe], Iterator[Problem]], ...] = (
    _unique,
    _one_model,
    _optimizer,
    _learning_rate,
    _steps,
    _schedule,
    _lottery,
    _levels,
)
