"""The tables inside [train]: optimizers and learning rates."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
)

Text = Annotated[str, Field(min_length=1, description="a text that isn't empty")]
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
"""What names a folder: at most 100 characters, which all file systems take."""
MOST_STEPS = 10**9
"""Of a training, or of examples: years of computing."""
MOST_REPEATS = 1_000
"""Of what is a training, a network or a result each: levels, seeds, reinitializations."""

Count = Annotated[int, Field(ge=1, le=MOST_STEPS, description="a whole number of at least 1")]
Step = Annotated[int, Field(ge=0, le=MOST_STEPS, description="a whole number of at least 0")]
Repeats = Annotated[int, Field(ge=1, le=MOST_REPEATS, description="a whole number of at least 1")]
Seed = Annotated[int, Field(ge=0, lt=2**63, description="a whole number of at least 0")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, description="a number greater than 0")]
Width = Annotated[float, Field(gt=0, le=100, description="a number greater than 0 and at most 100")]
NotNegative = Annotated[
    float, Field(ge=0, allow_inf_nan=False, description="a number of at least 0")
]
Share = Annotated[float, Field(gt=0, lt=1, description="a share between 0 and 1, not a percentage")]
ShareOrNone = Annotated[
    float, Field(ge=0, lt=1, description="a share of at least 0 and below 1, not a percentage")
]
Decay = Annotated[float, Field(ge=0, lt=1, description="a number of at least 0 and below 1")]
Texts = Annotated[tuple[Text, ...], Field(strict=False, description="a list of texts")]
DataName = Annotated[
    str,
    Field(
        pattern=r"^(digits|mnist1d|mnist|fashion_mnist|cifar10|cifar100|linear|(tfds|folder|npz):.+)$",
        description="one of digits, mnist1d, mnist, fashion_mnist, cifar10, cifar100, "
        "linear, tfds:NAME, folder:PATH, npz:PATH",
    ),
]
Boundaries = Annotated[
    tuple[Count, ...],
    Field(strict=False, min_length=1, description="a list of steps, one or more, each at least 1"),
]
Rates = Annotated[
    tuple[NotNegative, ...],
    Field(strict=False, min_length=1, description="a list of learning rates, each at least 0"),
]


class Table(BaseModel):
    """A table of a recipe: immutable, no coercion, no unknown keys.

    Attributes:
        LATER: Keys that came when there were recipes already. Where they have their default they
            are left out of what is written, so that older runs go on with the recipe that they
            began with, and published hashes hold.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    LATER: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        unused = {key for key in self.LATER if self._has_default(key)}
        return {key: value for key, value in written.items() if key not in unused}

    def _has_default(self, key: str) -> bool:
        return bool(getattr(self, key) == type(self).model_fields[key].default)


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


def largest(rate: LearningRate) -> float:
    """A learning rate, or the largest value of a schedule."""
    if isinstance(rate, Cosine | Linear):
        return rate.initial
    return max(rate.values) if isinstance(rate, Piecewise | WarmupPiecewise) else rate


def scaled(rate: LearningRate, stretch: float) -> LearningRate:
    """A learning rate for a training that is `stretch` times as long, and as much lower."""
    if isinstance(rate, Cosine):
        return Cosine(
            initial=rate.initial / stretch,
            decay_steps=max(1, round(rate.decay_steps * stretch)),
            alpha=rate.alpha,
            warmup_steps=round(rate.warmup_steps * stretch),
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
