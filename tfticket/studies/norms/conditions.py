"""The networks that a recipe asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfticket.recipe.training import (
    LearningRate,
    largest,
    scaled,
)
from tfticket.studies.norms.schema import Arm, Norm, NormsRecipe, Subnetwork

Rate = LearningRate


@dataclass(frozen=True)
class Cell:
    """One network of a recipe, trained once for each of its seeds.

    Attributes:
        branch: Its name, unique in the recipe.
        norm: Its normalization.
        rate: Its learning rate, scaled to its batch size if the arm says so.
        batch_size: Examples in a batch.
        subnetwork: All of the weights, or which part of them.
        steps: Optimizer steps.
        stretch: Its steps for one of `data.batch_size`: how far intervals are stretched.
        seeds: The seeds that it is trained with.
    """

    branch: str
    norm: Norm
    rate: Rate
    batch_size: int
    subnetwork: Subnetwork
    steps: int
    stretch: float
    seeds: tuple[int, ...]

    @property
    def learning_rate(self) -> float:
        """The learning rate; of a schedule the value that it is named after, its largest."""
        return largest(self.rate)

    @property
    def search(self) -> tuple[Any, ...]:
        """What the subnetworks share that one search for a ticket is for."""
        return self.norm, self.rate, self.batch_size, self.steps

    def interval(self, steps: int) -> int:
        """An interval of the recipe in steps of this network."""
        return max(1, round(steps * self.stretch))

    def to_dict(self) -> dict[str, Any]:
        """What `cells.json` says of it."""
        return {
            "branch": self.branch,
            "norm": self.norm.name,
            "options": self.norm.options,
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "subnetwork": self.subnetwork,
            "steps": self.steps,
            "seeds": list(self.seeds),
        }


@dataclass(frozen=True)
class _Choice:
    """What an arm says of one cell, before it is named and scaled."""

    arm: Arm
    norm: Norm
    rate: Rate
    batch_size: int
    subnetwork: Subnetwork


def cells(recipe: NormsRecipe) -> tuple[Cell, ...]:
    """All cells of a recipe, in the order of its arms.

    A branch is called after its norm and its options, then after what varies in the recipe:
    `batch`, `batch-lr0.1`, `group-lr0.1-b8`, `batch-ticket`. A learning rate is the one before it
    is scaled to the batch size.
    """
    choices = [choice for arm in recipe.arms for choice in _choices(recipe, arm)]
    vary = {
        "rate": len({largest(choice.rate) for choice in choices}) > 1,
        "size": len({choice.batch_size for choice in choices}) > 1,
        "subnetwork": len({choice.subnetwork for choice in choices}) > 1,
    }
    return tuple(_cell(recipe, choice, _branch(choice, **vary)) for choice in choices)


def _choices(recipe: NormsRecipe, arm: Arm) -> Iterator[_Choice]:
    rates: tuple[Rate, ...] = arm.learning_rates or (recipe.train.learning_rate,)
    for subnetwork in arm.subnetworks:
        for rate in rates:
            for size in arm.batch_sizes or (recipe.data.batch_size,):
                for norm in arm.norms:
                    yield _Choice(arm, norm, rate, size, subnetwork)


def _branch(choice: _Choice, *, rate: bool, size: bool, subnetwork: bool) -> str:
    options = choice.norm.options
    parts = [choice.norm.name, *(f"{name}{value:g}" for name, value in options.items())]
    parts += [f"lr{largest(choice.rate):g}"] if rate else []
    parts += [f"b{choice.batch_size}"] if size else []
    parts += [choice.subnetwork] if subnetwork else []
    return "-".join(parts)


def _cell(recipe: NormsRecipe, choice: _Choice, branch: str) -> Cell:
    seeds = choice.arm.seeds or recipe.seeds
    linear = choice.arm.learning_rate_rule == "linear"
    stretch = recipe.data.batch_size / choice.batch_size if linear else 1.0
    return Cell(
        branch=branch,
        norm=choice.norm,
        rate=scaled(choice.rate, stretch),
        batch_size=choice.batch_size,
        subnetwork=choice.subnetwork,
        steps=round((choice.arm.steps or recipe.train.steps) * stretch),
        stretch=stretch,
        seeds=tuple(seed for seed in seeds if seed in recipe.seeds),
    )
