"""The tables inside [train]: optimizers and learning rates."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tfticket.recipe.table import (
    Boundaries,
    Count,
    Decay,
    NotNegative,
    Positive,
    Problem,
    Rates,
    ShareOrNone,
    Step,
    Table,
    listed,
)


class _Optimizer(Table):
    """Options that all optimizers share, under the names of Keras.

    Not `use_ema`: Keras puts the averages into the weights when `fit` ends, after all networks of a
    search were measured without them.
    """

    name: str
    weight_decay: NotNegative | None = None
    clipnorm: Positive | None = None
    global_clipnorm: Positive | None = None

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if self.clipnorm is not None and self.global_clipnorm is not None:
            yield Problem(
                "clipnorm", "can't be combined with `global_clipnorm`. Remove one of them."
            )


class Sgd(_Optimizer):
    """Stochastic gradient descent; Keras applies `weight_decay` apart from the momentum."""

    name: Literal["sgd"] = "sgd"
    momentum: Decay = 0.0
    nesterov: bool = False

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from super().problems()
        if self.nesterov and not self.momentum:
            yield Problem(
                "nesterov", "needs a `momentum` greater than 0. Received: momentum = 0.0."
            )


class Adam(_Optimizer):
    """Adam (Kingma & Ba, arXiv:1412.6980)."""

    name: Literal["adam"] = "adam"
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Positive = 1e-7
    amsgrad: bool = False


class AdamW(_Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101)."""

    name: Literal["adamw"] = "adamw"
    weight_decay: NotNegative = 0.004
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Positive = 1e-7
    amsgrad: bool = False


class RmsProp(_Optimizer):
    """RMSprop."""

    name: Literal["rmsprop"] = "rmsprop"
    rho: Decay = 0.9
    momentum: Decay = 0.0
    epsilon: Positive = 1e-7
    centered: bool = False

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from super().problems()
        if self.centered and not self.rho:
            yield Problem("centered", "needs a `rho` greater than 0.")


class Piecewise(Table):
    """`values[i]` up to and including step `boundaries[i]`, the last value after that."""

    schedule: Literal["piecewise"] = "piecewise"
    boundaries: Boundaries
    values: Rates

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        return _boundary_problems(self.boundaries, self.values)


class Cosine(Table):
    """A cosine from `initial` down to `alpha * initial`, after a linear warm-up from 0."""

    schedule: Literal["cosine"] = "cosine"
    initial: Positive
    decay_steps: Count
    alpha: ShareOrNone = 0.0
    warmup_steps: Step = 0

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if self.warmup_steps >= self.decay_steps:
            yield Problem(
                "warmup_steps",
                f"must be below `decay_steps`. Received: {self.warmup_steps}, with decay_steps = "
                f"{self.decay_steps}.",
            )


class Linear(Table):
    """`initial` for `constant_steps`, then a line down to 0 over `decay_steps`."""

    schedule: Literal["linear"] = "linear"
    initial: Positive
    decay_steps: Count
    constant_steps: Step = 0


class WarmupPiecewise(Table):
    """A line from 0 to `values[0]` over `warmup_steps`, then as `piecewise`."""

    schedule: Literal["warmup_piecewise"] = "warmup_piecewise"
    warmup_steps: Count
    boundaries: Boundaries
    values: Rates

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from _boundary_problems(self.boundaries, self.values)
        if self.warmup_steps > self.boundaries[0]:
            yield Problem(
                "warmup_steps",
                "must not be after the first boundary. Received: "
                f"{self.warmup_steps}, with boundaries = {listed(self.boundaries)}.",
            )


def _boundary_problems(boundaries: Boundaries, values: Rates) -> Iterator[Problem]:
    if len(values) != len(boundaries) + 1:
        yield Problem(
            "values",
            "must have one value more than there are boundaries. Received: "
            f"{len(values)} for {len(boundaries)} boundaries.",
        )
    if any(a >= b for a, b in pairwise(boundaries)):
        yield Problem("boundaries", f"must increase. Received: {listed(boundaries)}.")


def _rate_kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return str(value.get("schedule"))
    return str(getattr(value, "schedule", "constant"))


LearningRate = Annotated[
    Annotated[Positive, Tag("constant")]
    | Annotated[Piecewise, Tag("piecewise")]
    | Annotated[Cosine, Tag("cosine")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[WarmupPiecewise, Tag("warmup_piecewise")],
    Discriminator(_rate_kind),
    Field(
        description="a number greater than 0, or a table with `schedule` = piecewise, cosine, "
        "linear or warmup_piecewise"
    ),
]


def largest(rate: LearningRate) -> float:
    """A learning rate, or the largest value of a schedule."""
    if isinstance(rate, Cosine | Linear):
        return rate.initial
    return max(rate.values) if isinstance(rate, Piecewise | WarmupPiecewise) else rate


def scaled(rate: LearningRate, stretch: float) -> LearningRate:
    """A learning rate for a training that is `stretch` times as long, and as much lower."""
    if isinstance(rate, Cosine):
        steps = max(1, round(rate.decay_steps * stretch))
        return Cosine(
            initial=rate.initial / stretch,
            decay_steps=steps,
            alpha=rate.alpha,
            warmup_steps=min(round(rate.warmup_steps * stretch), steps - 1),
        )
    if isinstance(rate, Linear):
        return Linear(
            initial=rate.initial / stretch,
            decay_steps=max(1, round(rate.decay_steps * stretch)),
            constant_steps=round(rate.constant_steps * stretch),
        )
    if isinstance(rate, Piecewise | WarmupPiecewise):
        update: dict[str, Any] = {
            "boundaries": tuple(max(1, round(step * stretch)) for step in rate.boundaries),
            "values": tuple(value / stretch for value in rate.values),
        }
        if isinstance(rate, WarmupPiecewise):
            update["warmup_steps"] = max(1, round(rate.warmup_steps * stretch))
        return rate.model_copy(update=update)
    return rate / stretch
