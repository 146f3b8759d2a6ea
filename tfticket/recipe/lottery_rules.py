"""How the keys of a recipe of the kind `lottery` depend on one another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tfticket.recipe.consistency import (
    Problem,
    Rule,
    learning_rate,
    listed,
    nearest_divisor,
    optimizer,
    twice,
)
from tfticket.recipe.lottery_schema import LotteryRecipe
from tfticket.recipe.structure_rules import structure_problems


def _unique(recipe: LotteryRecipe) -> Iterator[Problem]:
    lists: dict[str, Sequence[Any] | None] = {
        "seeds": recipe.seeds,
        "controls.levels": recipe.controls.levels,
        "connectivity.steps": recipe.connectivity.steps if recipe.connectivity else None,
        "export.levels": recipe.export.levels,
        "export.formats": recipe.export.formats,
    }
    yield from twice(lists)


def _one_model(recipe: LotteryRecipe) -> Iterator[Problem]:
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


def _steps(recipe: LotteryRecipe) -> Iterator[Problem]:
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


def _schedule(recipe: LotteryRecipe) -> Iterator[Problem]:
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


def _lottery(recipe: LotteryRecipe) -> Iterator[Problem]:
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


def _structure(recipe: LotteryRecipe) -> Iterator[Problem]:
    yield from structure_problems(recipe.lottery, "lottery")


def _levels(recipe: LotteryRecipe) -> Iterator[Problem]:
    last = recipe.lottery.levels
    for key, levels in {
        "controls.levels": recipe.controls.levels,
        "export.levels": recipe.export.levels,
    }.items():
        beyond = [n for n in levels if n > last] if isinstance(levels, tuple) else []
        if beyond:
            yield Problem(
                key,
                f"must not go beyond lottery.levels = {last}. Received: {listed(beyond)}.",
                ("lottery.levels",),
            )


def _task(recipe: LotteryRecipe) -> Iterator[Problem]:
    if recipe.data.name == "linear":
        yield Problem(
            "data.name",
            "must have classes, since tickets are judged by their accuracy. Received: linear, "
            "which has numbers to be predicted.",
        )


def _distribute(recipe: LotteryRecipe) -> Iterator[Problem]:
    if recipe.train.distribute != "none" and recipe.train.jit in (True, "measure"):
        yield Problem(
            "train.distribute",
            f"can't be combined with jit = {str(recipe.train.jit).lower()}: XLA doesn't find what "
            "lies on another device. Remove one of them.",
            ("train.jit",),
        )


RULES: tuple[Rule, ...] = (
    _unique,
    _one_model,
    optimizer,
    _distribute,
    learning_rate,
    _steps,
    _schedule,
    _lottery,
    _structure,
    _levels,
    _task,
)
