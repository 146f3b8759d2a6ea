"""How the keys of a recipe of the kind `noisy` depend on one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tfticket.recipe.consistency import (
    Problem,
    Rule,
    learning_rate,
    listed,
    nearest_divisor,
    on_one_device,
    optimizer,
    schedule_problems,
    twice,
)
from tfticket.recipe.noise import noise_problems
from tfticket.recipe.noisy_cells import noisy_cells
from tfticket.recipe.noisy_schema import Method, NoisyRecipe

_RAMP = frozenset({"forget_rate", "gradual", "exponent", "formula", "class_floor", "batch"})
_OPTIONS: Mapping[str, frozenset[str]] = {
    "cross_entropy": frozenset(),
    "gce": frozenset({"q"}),
    "forward": frozenset({"matrix"}),
    "coteaching": _RAMP,
    "coteaching_plus": _RAMP | {"warmup"},
    "jocor": _RAMP | {"agreement"},
    "decoupling": frozenset({"warmup", "batch"}),
    "incv": _RAMP - {"forget_rate"} | {"warmup"},
    "held_out": frozenset(),
}


def _unique(recipe: NoisyRecipe) -> Iterator[Problem]:
    yield from twice({"seeds": recipe.seeds})
    counts = Counter(cell.branch for cell in noisy_cells(recipe))
    several = [name for name, count in counts.items() if count > 1]
    if several:
        yield Problem(
            "methods",
            f"must name each training once. Received twice: {listed(several)}. Give one of them a "
            "`label`.",
            ("noise",),
        )


def _rates(recipe: NoisyRecipe) -> Iterator[Problem]:
    for number, noise in enumerate(recipe.noise):
        yield from noise_problems(noise, f"noise[{number}]")
        if noise.foreign == recipe.data.name:
            yield Problem(
                f"noise[{number}].foreign",
                f"must be another data set than data.name. Received: {noise.foreign!r} for both.",
                ("data.name",),
            )


def _options(recipe: NoisyRecipe) -> Iterator[Problem]:
    for number, method in enumerate(recipe.methods):
        for name in Method.model_fields.keys() - {"name", "label"} - _OPTIONS[method.name]:
            if getattr(method, name) != Method.model_fields[name].default:
                yield Problem(
                    f"methods[{number}].{name}",
                    f"isn't an option of {method.name}. Remove it.",
                    (f"methods[{number}].name",),
                )


def _batches(recipe: NoisyRecipe) -> Iterator[Problem]:
    for number, method in enumerate(recipe.methods):
        if method.batch == "reduced" and recipe.train.jit is True:
            yield Problem(
                f"methods[{number}].batch",
                'can\'t be "reduced" where train.jit is true: XLA needs shapes that are known.',
                ("train.jit",),
            )


def _selection(recipe: NoisyRecipe) -> Iterator[Problem]:
    needing = [method.name for method in recipe.methods if method.needs_selection]
    if needing and recipe.selection is None:
        yield Problem(
            "selection",
            f"must say how examples are held out, for {listed(needing)}. Add the table, or give "
            'rates as "given" or as numbers.',
            ("methods",),
        )
    if recipe.selection is not None and not needing:
        yield Problem("selection", "is of use only where a method asks for it.", ("methods",))
    if recipe.selection is not None and recipe.selection.learning_rate is not None:
        yield from schedule_problems(recipe.selection.learning_rate, "selection.learning_rate")
    names = {method.name for method in recipe.methods}
    if {"incv", "held_out"} <= names:
        yield Problem(
            "methods",
            "can't hold both incv and held_out: theory is about networks that were trained on "
            "everything, and incv trains on what it selected. Make two recipes.",
        )
    if "held_out" in names and any(noise.kind == "open_set" for noise in recipe.noise):
        yield Problem(
            "methods",
            "can't hold held_out beside a noise of the kind open_set: theory is about examples "
            "that have a class. Make two recipes.",
            ("noise",),
        )


def _steps(recipe: NoisyRecipe) -> Iterator[Problem]:
    steps, every = recipe.train.steps, recipe.train.evaluate_every
    if steps % every:
        yield Problem(
            "train.evaluate_every",
            f"must divide train.steps = {steps}, so that training ends at an evaluation. Received: "
            f"{every}. Try {nearest_divisor(every, steps)}.",
            ("train.steps",),
        )
    elif recipe.last > steps // every:
        yield Problem(
            "last",
            f"must not be more than the {steps // every} evaluations there are. Received: "
            f"{recipe.last}.",
            ("train.steps", "train.evaluate_every"),
        )
    for number, method in enumerate(recipe.methods):
        if method.warmup * every > steps:
            yield Problem(
                f"methods[{number}].warmup",
                f"must not be longer than the training, {steps // every} intervals. Received: "
                f"{method.warmup}.",
                ("train.steps", "train.evaluate_every"),
            )


def _task(recipe: NoisyRecipe) -> Iterator[Problem]:
    if recipe.data.name == "linear":
        yield Problem("data.name", "must have classes, since labels are made wrong.")
    if recipe.train.label_smoothing:
        yield Problem("train.label_smoothing", "isn't for this kind. Remove it.")


def _expect(recipe: NoisyRecipe) -> Iterator[Problem]:
    methods = {method.label or method.name for method in recipe.methods}
    known = {"method": methods, "against": methods, "noise": {n.label for n in recipe.noise}}
    for number, claim in enumerate(recipe.expect):
        for name, values in known.items():
            value = getattr(claim, name)
            if value is not None and value not in values:
                yield Problem(
                    f"expect[{number}].{name}",
                    f"must be one of {listed(sorted(values))}. Received: {value!r}.",
                    ("noise" if name == "noise" else "methods",),
                )


RULES: tuple[Rule, ...] = (
    _unique,
    _rates,
    _options,
    _batches,
    _selection,
    optimizer,
    on_one_device,
    learning_rate,
    _steps,
    _task,
    _expect,
)
