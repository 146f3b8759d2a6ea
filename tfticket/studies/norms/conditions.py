"""Arms of a recipe, and the networks that they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, model_validator

from tfticket.recipe.schema import Data, Train
from tfticket.recipe.table import (
    Count,
    Counts,
    Decay,
    Positive,
    Positives,
    Problem,
    Steps,
    Table,
    twice,
)
from tfticket.recipe.training import LearningRate, largest, scaled

NormName = Literal[
    "none",
    "batch",
    "batch_renorm",
    "frozen_batch",
    "sync_batch",
    "group",
    "layer",
    "instance",
    "rms",
    "filter_response",
    "ws_group",
    "l1_batch",
    "l2_batch",
    "linf_batch",
    "noisy_batch",
]
Subnetwork = Literal["dense", "ticket", "random"]


class Norm(Table):
    """One normalization: a name, or a table with its name and options.

    Which options a normalization has is said by `tfticket.norms.catalog`.
    """

    name: NormName
    momentum: Decay | None = None
    epsilon: Positive | None = None
    groups: Count | None = None
    channels_per_group: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """Options given beside the name."""
        return self.model_dump(exclude={"name"}, exclude_none=True)


class Arm(Table):
    """A group of networks: each norm at each learning rate, batch size and subnetwork.

    What is left out is as the recipe has it. With the rule `linear` the learning rate grows with
    the batch size, from that of `data.batch_size`, and the number of steps shrinks with it, so that
    each network sees the same examples (Goyal et al., arXiv:1706.02677; Wu & He,
    arXiv:1803.08494). A ticket and its random control have a part of the weights of `dense`, as
    [tickets] says.
    """

    norms: Annotated[
        tuple[Norm, ...],
        Field(strict=False, min_length=1, description="a list of names, or tables with a `name`"),
    ]
    learning_rates: Positives | None = None
    batch_sizes: Counts | None = None
    learning_rate_rule: Literal["none", "linear"] = "none"
    seeds: Steps | None = None
    steps: Count | None = None
    subnetworks: Annotated[
        tuple[Subnetwork, ...],
        Field(strict=False, min_length=1, description="a list out of dense, ticket, random"),
    ] = ("dense",)

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        return twice(
            {
                "learning_rates": self.learning_rates,
                "batch_sizes": self.batch_sizes,
                "seeds": self.seeds,
                "subnetworks": self.subnetworks,
            }
        )


class Arms(Protocol):
    """The parts of a recipe that define its networks."""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Groups of networks."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""

    @property
    def data(self) -> Data:
        """The data."""

    @property
    def train(self) -> Train:
        """The table `train`."""


@dataclass(frozen=True)
class Condition:
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
    rate: LearningRate
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
        """Key of the search for a ticket that subnetworks share."""
        return self.norm, self.rate, self.batch_size, self.steps

    def interval(self, steps: int) -> int:
        """An interval of the recipe in steps of this network."""
        return max(1, round(steps * self.stretch))

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of `cells.json`."""
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
    """One condition of an arm, before it is named and scaled."""

    arm: Arm
    norm: Norm
    rate: LearningRate
    batch_size: int
    subnetwork: Subnetwork


def conditions(recipe: Arms) -> tuple[Condition, ...]:
    """All conditions of a recipe, in the order of its arms.

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
    return tuple(_condition(recipe, choice, _branch(choice, **vary)) for choice in choices)


def _choices(recipe: Arms, arm: Arm) -> Iterator[_Choice]:
    rates: tuple[LearningRate, ...] = arm.learning_rates or (recipe.train.learning_rate,)
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


def _condition(recipe: Arms, choice: _Choice, branch: str) -> Condition:
    seeds = choice.arm.seeds or recipe.seeds
    linear = choice.arm.learning_rate_rule == "linear"
    stretch = recipe.data.batch_size / choice.batch_size if linear else 1.0
    return Condition(
        branch=branch,
        norm=choice.norm,
        rate=scaled(choice.rate, stretch),
        batch_size=choice.batch_size,
        subnetwork=choice.subnetwork,
        steps=round((choice.arm.steps or recipe.train.steps) * stretch),
        stretch=stretch,
        seeds=tuple(seed for seed in seeds if seed in recipe.seeds),
    )
