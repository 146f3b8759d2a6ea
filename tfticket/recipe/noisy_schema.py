"""What may stand in a recipe of the kind `noisy`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tfticket.recipe.fields import (
    MOST_REPEATS,
    Count,
    Decay,
    Positive,
    Repeats,
    ShareOrNone,
    Step,
    Table,
    Text,
    Width,
)
from tfticket.recipe.noise import Noise, Rate
from tfticket.recipe.schema import Recipe
from tfticket.recipe.training import LearningRate

MethodName = Literal[
    "cross_entropy",
    "gce",
    "forward",
    "coteaching",
    "coteaching_plus",
    "jocor",
    "decoupling",
    "incv",
    "held_out",
]
Knowledge = Literal["given", "estimated"]
Robustness = Annotated[float, Field(gt=0, le=1, description="a number above 0 and up to 1")]


class PlainModel(Table):
    """A network of the zoo. Each method but `held_out` trains two of them."""

    name: Literal["lenet_300_100", "conv2", "conv4", "conv6", "cnn9", "resnet20", "resnet32", "vgg"]
    norm: Literal["none", "batch", "group", "layer"] | None = None
    width: Width = 1.0
    dropout: Decay = 0.0


class Method(Table):
    """One way to train on labels that are wrong: a name, or a table with its name and options.

    An interval is `train.evaluate_every` steps; choose that close to an epoch, since `gradual` and
    `warmup` are epochs in the papers.

    Attributes:
        name: `cross_entropy`, `gce` and `forward` train on everything; `coteaching`,
            `coteaching_plus`, `jocor` and `decoupling` on what they select in each batch; `incv`
            selects by cross-validation, then co-teaches; `held_out` trains nothing, and compares
            held-out predictions with theory.
        label: What it is called; its name unless given.
        forget_rate: Share of a batch that co-teaching and its kin drop: the realized rate
            (`given`), the one that held-out predictions tell (`estimated`), or a number.
        gradual: Intervals until the forget rate is reached.
        exponent: Of that ramp.
        formula: Of that ramp.
        warmup: Intervals before disagreement counts (`coteaching_plus`, `decoupling`), or before
            candidates join the selected examples (`incv`).
        agreement: Of `jocor`, the weight of agreement in its loss.
        class_floor: Smallest share of each class in a batch that is kept.
        batch: Whether networks go through `whole` batches, as in the papers, or select in a forward
            pass in inference mode and are trained on what they selected alone (`reduced`), which
            takes less time where about a third or more is forgotten.
        q: Of `gce`, in (0, 1].
        matrix: Of `forward`, the realized transition matrix (`given`) or the estimated one.
    """

    LATER = frozenset({"batch"})

    name: MethodName
    label: (
        Annotated[
            str,
            Field(
                pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$",
                description="letters, digits, `_`, `-`, `+` and `.`, since it names a folder",
            ),
        ]
        | None
    ) = None
    forget_rate: Annotated[
        Knowledge | ShareOrNone,
        Field(description='"given", "estimated", or a share of at least 0 and below 1'),
    ] = "estimated"
    gradual: Step = 10
    exponent: Positive = 1.0
    formula: Literal["paper", "official"] = "paper"
    warmup: Step = 0
    agreement: Decay = 0.9
    class_floor: Rate = 0.0
    batch: Literal["whole", "reduced"] = "whole"
    q: Robustness = 0.7
    matrix: Knowledge = "estimated"

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def selects_batches(self) -> bool:
        """Whether it drops a share of each batch."""
        return self.name in ("coteaching", "coteaching_plus", "jocor")

    @property
    def needs_selection(self) -> bool:
        """Whether held-out predictions must be there before it begins."""
        estimated = self.selects_batches and self.forget_rate == "estimated"
        corrected = self.name == "forward" and self.matrix == "estimated"
        return estimated or corrected or self.name in ("incv", "held_out")


class Selection(Table):
    """How networks predict what they weren't trained on, to estimate the noise and to select.

    Few epochs serve better than many, unless memorization is what is looked at. Without a learning
    rate the largest of `train.learning_rate` is taken. Steps of a schedule are those of one
    network: epochs of the first iteration are shorter than those of later ones, which train on the
    selected examples too. With `q` networks minimize generalized cross-entropy, which memorizes
    wrong labels later; without it, cross-entropy.
    """

    LATER = frozenset({"q"})

    epochs: Count
    folds: Annotated[
        int, Field(ge=2, le=MOST_REPEATS, description="a whole number of at least 2")
    ] = 2
    iterations: Repeats = 4
    learning_rate: LearningRate | None = None
    q: Robustness | None = None


class NoisyClaim(Table):
    """What a paper says of a method, to stand beside what came out. Never used while training.

    Accuracy is that of the clean test data, the mean of the last evaluations.
    """

    claim: Text
    source: str = ""
    method: Text
    against: Text | None = None
    noise: Text | None = None
    value: float | None = None
    at_least: float | None = None
    at_most: float | None = None


class NoisyRecipe(Recipe):
    """Trains one network in several ways on labels of which some were made wrong.

    `last` is how many of the last evaluations the result is the mean of.
    """

    kind: Literal["noisy"]
    model: PlainModel
    noise: Annotated[
        tuple[Noise, ...], Field(strict=False, min_length=1, description="a list of tables")
    ]
    methods: Annotated[
        tuple[Method, ...],
        Field(strict=False, min_length=1, description="a list of names, or tables with a `name`"),
    ]
    selection: Selection | None = None
    last: Count = 10
    expect: Annotated[
        tuple[NoisyClaim, ...], Field(strict=False, description="a list of tables")
    ] = ()
