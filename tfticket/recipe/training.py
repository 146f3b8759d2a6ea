"""The tables inside [train]: optimizers and learning rates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tfticket.recipe.fields import (
    Boundaries,
    Count,
    Decay,
    NotNegative,
    Positive,
    Rates,
    ShareOrNone,
    Step,
    Table,
)


class _Optimizer(Table):
    """What every optimizer can do, in the words of Keras.

    Not `use_ema`: Keras puts the averages into the weights when `fit` ends, after all networks of a
    search were measured without them.
    """

    name: str
    weight_decay: NotNegative | None = None
    clipnorm: Positive | None = None
    global_clipnorm: Positive | None = None


class Sgd(_Optimizer):
    """Stochastic gradient descent; Keras applies `weight_decay` apart from the momentum."""

    name: Literal["sgd"] = "sgd"
    momentum: Decay = 0.0
    nesterov: bool = False


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


class Piecewise(Table):
    """`values[i]` up to and including step `boundaries[i]`, the last value after that."""

    schedule: Literal["piecewise"] = "piecewise"
    boundaries: Boundaries
    values: Rates


class Cosine(Table):
    """A cosine from `initial` down to `alpha * initial`, after a linear warm-up from 0."""

    schedule: Literal["cosine"] = "cosine"
    initial: Positive
    decay_steps: Count
    alpha: ShareOrNone = 0.0
    warmup_steps: Step = 0


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
