"""How the keys of a recipe depend on one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tfticket.recipe.consistency import (
    Problem,
    Rule,
    learning_rate,
    listed,
    nearest_divisor,
    on_one_device,
    optimizer,
    twice,
)
from tfticket.recipe.noise import noise_problems
from tfticket.studies.kind import COMMON, Kind
from tfticket.studies.lottery.schema import structure_problems
from tfticket.studies.norms.conditions import cells
from tfticket.studies.norms.schema import Arm, NormsRecipe

_WITH_DEPTH = {"vgg": (11, 13, 16, 19)}


def _unique(recipe: NormsRecipe) -> Iterator[Problem]:
    yield from twice({"seeds": recipe.seeds})
    for number, arm in enumerate(recipe.arms):
        yield from twice(
            {
                f"arms[{number}].learning_rates": arm.learning_rates,
                f"arms[{number}].batch_sizes": arm.batch_sizes,
                f"arms[{number}].seeds": arm.seeds,
                f"arms[{number}].subnetworks": arm.subnetworks,
            }
        )


def _cells(recipe: NormsRecipe) -> Iterator[Problem]:
    planned = cells(recipe)
    several = [name for name, n in Counter(cell.branch for cell in planned).items() if n > 1]
    if several:
        yield Problem(
            "arms",
            f"must name each network once. Received twice: {listed(several)}.",
        )
    if not any(cell.seeds for cell in planned):
        yield Problem(
            "arms",
            f"must leave something to train. Received: no arm with a seed out of {recipe.seeds}.",
            ("seeds",),
        )


def _depth(recipe: NormsRecipe) -> Iterator[Problem]:
    model = recipe.model
    if model.depth is None:
        return
    if model.name not in ("vgg", "dln"):
        yield Problem(
            "model.depth",
            f"belongs to vgg and dln; {model.name} has its own. Remove it.",
            ("model.name",),
        )
    elif model.depth not in _WITH_DEPTH.get(model.name, (model.depth,)):
        yield Problem(
            "model.depth",
            f"must be one of {listed(_WITH_DEPTH[model.name])} for {model.name}. Received: "
            f"{model.depth}.",
            ("model.name",),
        )


def _steps(recipe: NormsRecipe) -> Iterator[Problem]:
    every = recipe.train.evaluate_every
    lengths = {"train.steps": recipe.train.steps}
    lengths |= {f"arms[{n}].steps": a.steps for n, a in enumerate(recipe.arms) if a.steps}
    for key, steps in lengths.items():
        if steps % every:
            yield Problem(
                "train.evaluate_every",
                f"must divide {key} = {steps}, so that training ends at an evaluation. Received: "
                f"{every}. Try {nearest_divisor(every, steps)}.",
                (key,),
            )
    for number, arm in enumerate(recipe.arms):
        yield from _sizes(recipe, arm, f"arms[{number}]")


def _sizes(recipe: NormsRecipe, arm: Arm, key: str) -> Iterator[Problem]:
    examples = recipe.data.batch_size * recipe.train.evaluate_every
    uneven = [size for size in arm.batch_sizes or () if examples % size]
    if uneven and arm.learning_rate_rule == "linear":
        yield Problem(
            f"{key}.batch_sizes",
            "must divide the examples between two evaluations, data.batch_size * "
            f"train.evaluate_every = {examples:,}, so that all networks see the same. Received: "
            f"{listed(uneven)}.",
            ("data.batch_size", "train.evaluate_every"),
        )


def _multipliers(recipe: NormsRecipe) -> Iterator[Problem]:
    grid = recipe.landscape.multipliers if recipe.landscape else None
    if grid and grid.low >= grid.high:
        yield Problem(
            "landscape.multipliers.low",
            f"must be below `high`. Received: {grid.low:g}, with high = {grid.high:g}.",
            ("landscape.multipliers.high",),
        )


def _task(recipe: NormsRecipe) -> Iterator[Problem]:
    if recipe.data.name != "linear":
        return
    about_classes = ("statistics", "tickets", "noise")
    for key in about_classes:
        if getattr(recipe, key):
            yield Problem(
                key,
                "needs data with classes. Received: data.name = 'linear'. Remove it.",
                ("data.name",),
            )
    if recipe.train.label_smoothing:
        yield Problem(
            "train.label_smoothing", "needs data with classes. Remove it.", ("data.name",)
        )


def _tickets(recipe: NormsRecipe) -> Iterator[Problem]:
    asked = [
        f"arms[{number}].subnetworks"
        for number, arm in enumerate(recipe.arms)
        if set(arm.subnetworks) != {"dense"}
    ]
    if asked and recipe.tickets is None:
        yield Problem(
            asked[0], "asks for tickets, so there must be a table [tickets].", ("tickets",)
        )
    if recipe.tickets is not None and not asked:
        yield Problem("tickets", "is of use only where an arm has `subnetworks`.", ("arms",))
    if recipe.tickets is not None and recipe.tickets.rewind_step % recipe.train.evaluate_every:
        yield Problem(
            "tickets.rewind_step",
            f"must be a multiple of train.evaluate_every = {recipe.train.evaluate_every}. "
            f"Received: {recipe.tickets.rewind_step}.",
            ("train.evaluate_every",),
        )
    if recipe.tickets is not None:
        yield from structure_problems(recipe.tickets, "tickets")


def _noise(recipe: NormsRecipe) -> Iterator[Problem]:
    if recipe.noise is None:
        if recipe.last != NormsRecipe.model_fields["last"].default:
            yield Problem("last", "is of use only with a table [noise].", ("noise",))
        return
    yield from noise_problems(recipe.noise, "noise")
    if recipe.noise.kind == "none":
        yield Problem(
            "noise.kind", 'must be another one than "none". Remove [noise] to train on true labels.'
        )
    if recipe.noise.kind == "open_set":
        yield Problem(
            "noise.kind",
            "must be a noise of labels: what a network memorizes is told by wrong labels of "
            "examples that have a class. Received: 'open_set', which is for the kind noisy.",
        )
    yield from _last(recipe)


def _last(recipe: NormsRecipe) -> Iterator[Problem]:
    begin = recipe.tickets.rewind_step if recipe.tickets else 0
    steps = min(arm.steps or recipe.train.steps for arm in recipe.arms)
    evaluations = (steps - begin) // recipe.train.evaluate_every
    if evaluations < recipe.last:
        yield Problem(
            "last",
            f"must not be more than the {evaluations} evaluations of each network. Received: "
            f"{recipe.last}.",
            ("arms", "train.steps", "train.evaluate_every", "tickets.rewind_step"),
        )


def _expect(recipe: NormsRecipe) -> Iterator[Problem]:
    known = {norm.name for arm in recipe.arms for norm in arm.norms}
    for number, claim in enumerate(recipe.expect):
        key = f"expect[{number}]"
        for name in ("norm", "against"):
            value = getattr(claim, name)
            if value is not None and value not in known:
                yield Problem(
                    f"{key}.{name}",
                    f"must be a norm of an arm: {listed(sorted(known))}. Received: {value!r}.",
                    ("arms",),
                )
        if (claim.against is None) != (claim.measure == "accuracy_drop"):
            yield Problem(
                f"{key}.against",
                "must say what `norm` is compared with; only `accuracy_drop` is of one norm alone.",
                (f"{key}.measure",),
            )


RULES: tuple[Rule, ...] = (
    _unique,
    _cells,
    _depth,
    optimizer,
    on_one_device,
    learning_rate,
    _steps,
    _multipliers,
    _task,
    _tickets,
    _noise,
    _expect,
)


KIND = Kind(
    name="norms",
    recipe=NormsRecipe,
    rules=RULES,
    stand_ins={**COMMON, "kind": "norms", "arms": [{"norms": ["none"]}]},
    table="tickets",
    unit="network",
    study="tfticket.studies.norms.study:NormsStudy",
    summary="tfticket.studies.norms.summary:summarize_files",
    page="tfticket.studies.norms.page:compose",
)
