"""What may stand in a recipe of the kind `norms`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tfticket.recipe.noise import Noise
from tfticket.recipe.schema import Recipe
from tfticket.recipe.training import (
    MOST_REPEATS,
    Count,
    Decay,
    NotNegative,
    Positive,
    Step,
    Table,
    Text,
    Texts,
    Width,
)
from tfticket.studies.lottery.schema import Lottery

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


class Network(Table):
    """A network of the zoo; which normalization it has is said by the arms.

    `depth` is for `vgg` and `dln`. Without an `initializer` the network has its own.
    """

    name: Literal[
        "lenet_300_100", "conv2", "conv4", "conv6", "cnn9", "resnet20", "resnet32", "vgg", "dln"
    ]
    depth: Count | None = None
    width: Width = 1.0
    dropout: Decay = 0.0
    initializer: Literal["glorot_normal", "glorot_uniform", "he_normal", "he_uniform"] | None = None


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
        """What was given beside the name."""
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
    learning_rates: (
        Annotated[
            tuple[Positive, ...],
            Field(strict=False, min_length=1, description="a list of numbers greater than 0"),
        ]
        | None
    ) = None
    batch_sizes: (
        Annotated[
            tuple[Count, ...],
            Field(strict=False, min_length=1, description="a list of whole numbers, from 1 on"),
        ]
        | None
    ) = None
    learning_rate_rule: Literal["none", "linear"] = "none"
    seeds: (
        Annotated[
            tuple[Step, ...],
            Field(strict=False, min_length=1, description="a list of whole numbers, one or more"),
        ]
        | None
    ) = None
    steps: Count | None = None
    subnetworks: Annotated[
        tuple[Subnetwork, ...],
        Field(strict=False, min_length=1, description="a list out of dense, ticket, random"),
    ] = ("dense",)


class Multipliers(Table):
    """The points along the direction, in units of the step."""

    low: Positive = 0.5
    high: Positive = 4.0
    points: Annotated[
        int, Field(ge=2, le=MOST_REPEATS, description="a whole number of at least 2")
    ] = 8
    spacing: Literal["linear", "log"] = "linear"


class Landscape(Table):
    """The loss along the direction of a step, measured each `every` steps of `data.batch_size`."""

    every: Count
    multipliers: Multipliers = Multipliers()
    direction: Literal["gradient", "update"] = "gradient"
    batch: Literal["train", "fixed"] = "train"


class Shift(Table):
    """Internal covariate shift, measured each `every` steps of `data.batch_size`.

    `layers` are glob patterns of layer names; all layers with a kernel if there are none.
    """

    every: Count
    layers: Texts = ()


class Statistics(Table):
    """Test accuracy with other statistics than the moving ones, after the last step.

    `precise` and `evalnorm` take them from `examples` training examples, `batch` from each batch of
    the test data.
    """

    kinds: Annotated[
        tuple[Literal["precise", "evalnorm", "batch"], ...],
        Field(strict=False, min_length=1, description="a list out of precise, evalnorm, batch"),
    ]
    examples: Count = 2_000


class Claim(Table):
    """What a paper says of two norms, to stand beside what came out. Never used while training.

    Attributes:
        claim: What the paper says, in short.
        source: Where it says so (`section 3.2`, `figure 4(b)`).
        measure: What is compared. Ratios are of `against` to `norm`, so above 1 `norm` is the
            smoother one: `loss_band` (mean log10 of highest to lowest loss), `predictiveness`
            (mean width), `beta` and `relative_beta` (median). Differences are `norm` minus
            `against`: `accuracy` (test), `shift_cosine` (median). `accuracy_drop` is the accuracy
            of `norm` at the largest batch minus that at `batch_size`.
        norm: Whose number it is.
        against: What it is relative to.
        value: The paper's number.
        at_least: Least value that passes.
        at_most: Largest value that passes.
        learning_rate: Where it is read, if there are several.
        batch_size: Where it is read, if there are several.
        first: Share of the training, from the first step on, that counts.
    """

    claim: Text
    source: str = ""
    measure: Literal[
        "loss_band",
        "predictiveness",
        "beta",
        "relative_beta",
        "accuracy",
        "accuracy_drop",
        "shift_cosine",
    ]
    norm: NormName
    against: NormName | None = None
    value: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    learning_rate: NotNegative | None = None
    batch_size: Count | None = None
    first: Annotated[float, Field(gt=0, le=1, description="a share above 0 and up to 1")] = 1.0


class NormsRecipe(Recipe):
    """Trains one network with several normalizations and measures the landscape of each.

    With `noise`, training and validation labels are made wrong, also for the search of tickets, and
    what each network memorizes of them is measured at each evaluation; `last` is how many of the
    last evaluations that result is the mean of. Test labels stay as they are.
    """

    kind: Literal["norms"]
    model: Network
    arms: Annotated[
        tuple[Arm, ...], Field(strict=False, min_length=1, description="a list of tables")
    ]
    landscape: Landscape | None = None
    shift: Shift | None = None
    statistics: Statistics | None = None
    tickets: Lottery | None = None
    noise: Noise | None = None
    last: Count = 10
    expect: Annotated[tuple[Claim, ...], Field(strict=False, description="a list of tables")] = ()

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As `LATER` says, but `last` is there, whatever it is, where `noise` is."""
        tables: dict[str, Any] = handler(self)
        unused = () if self.noise else ("noise", "last")
        return {key: value for key, value in tables.items() if key not in unused}
