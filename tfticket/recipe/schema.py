"""The schema that recipes of all kinds share: frozen, strict types, one class per table.

Each kind has a schema of its own beside this one, with a final class that derives from `Recipe`;
`kind.KINDS` lists them. The classes hold what a single key allows; how keys depend on one another
is in the kind's rules. `parsing.parse` and `parsing.load` apply both and are the way to make one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from tfticket.recipe.table import (
    MOST_REPEATS,
    NAME,
    Count,
    DataName,
    Number,
    Problem,
    Seed,
    ShareOrNone,
    Table,
    Text,
    Texts,
    listed,
    nearest_divisor,
)
from tfticket.recipe.training import Adam, AdamW, LearningRate, RmsProp, Sgd

Task = Literal["classes", "numbers", "pixels"]
_TASKS: Mapping[str, Task] = {"linear": "numbers", "friedman1": "numbers", "shapes": "pixels"}


class Data(Table):
    """The data set, its split, and how examples are fed to the network.

    A `normalize` that is left out, or is "auto", becomes "none" for a model from a file and "unit"
    for what is known to be images (`parsing.parse`). Arrays in an .npz file are asked what they are
    when they are read: see `tfticket.data.normalization`.
    """

    name: DataName
    batch_size: Count = 128
    validation: Annotated[
        Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)],
        Field(
            description="how much of the training data is held out: a count of at least 1, or a "
            "share between 0 and 1"
        ),
    ] = 0.1
    normalize: Literal["auto", "none", "unit", "standard"] = "auto"
    augment: Literal["none", "flip_crop"] = "none"
    limit: Count | None = None

    @property
    def task(self) -> Task:
        """Kind of the labels: a class an example, numbers to be predicted, or a class a pixel."""
        return _TASKS.get(self.name, "classes")


class Train(Table):
    """Training of one network, or of one level of a search.

    A `loss` that is left out is cross-entropy, or the mean squared error of numbers.
    """

    LATER = frozenset({"distribute", "loss"})

    optimizer: Annotated[
        Sgd | Adam | AdamW | RmsProp,
        Field(
            discriminator="name", description="a table with `name` = sgd, adam, adamw or rmsprop"
        ),
    ]
    learning_rate: LearningRate
    steps: Count
    evaluate_every: Count = 100
    label_smoothing: ShareOrNone = 0.0
    mixed_precision: bool = False
    jit: Annotated[
        Literal["auto", "measure"] | bool,
        Field(description='true, false, "auto" (dense networks only) or "measure"'),
    ] = "auto"
    distribute: Annotated[
        Literal["none", "mirrored"],
        Field(description='"none", or "mirrored": over all devices of this machine'),
    ] = "none"
    loss: Literal["cross_entropy", "mean_squared_error", "mean_absolute_error", "huber"] | None = (
        None
    )


class Expect(Table):
    """A claim about a run, to stand beside what came out. Never used while training.

    Each kind of study adds what is measured. Abstract.

    Attributes:
        claim: What is claimed, in short.
        source: Where a paper says so (`section 2`, `figure 4(b)`).
        value: The paper's number.
        at_least: Least number that meets the expectation.
        at_most: Largest number that meets it.
    """

    claim: Text
    source: str = ""
    value: Number | None = None
    at_least: Number | None = None
    at_most: Number | None = None


class Recipe(Table):
    """The tables that every recipe has; `load` and `parse` make the recipe of a kind.

    `smoke` holds what `--smoke` changes, in the shape of the recipe itself.
    """

    name: Annotated[
        str,
        Field(
            pattern=NAME, description="letters, digits, `_`, `-` and `.`, since it names a folder"
        ),
    ]
    kind: str
    title: Text
    paper: (
        Annotated[
            str,
            Field(pattern=r"^arXiv:\d{4}\.\d{4,5}(v\d+)?$", description="like arXiv:1803.03635"),
        ]
        | None
    ) = None
    deviations: Texts = ()
    seeds: Annotated[
        tuple[Seed, ...],
        Field(
            strict=False,
            min_length=1,
            max_length=MOST_REPEATS,
            description="a list of whole numbers, one or more",
        ),
    ] = (0,)
    data: Data
    model: Table
    train: Train
    smoke: dict[str, Any] = Field(default={}, description="a table of changes to the recipe")


def only_searches(train: Train, *, loss: bool = True) -> Iterator[Problem]:
    """Yields what only recipes of the kind lottery can be told.

    Args:
        train: The table.
        loss: Whether the loss is among it.
    """
    if loss and train.loss is not None:
        yield Problem(
            "train.loss", "is for recipes of the kind lottery; this kind has its own. Leave it out."
        )
    if train.distribute != "none":
        yield Problem(
            "train.distribute",
            "is for recipes of the kind lottery. Leave it out; --jobs trains several networks of "
            "a study at a time.",
        )


def unknown_names(
    claims: Iterable[Expect], known: Mapping[str, Collection[Any]]
) -> Iterator[Problem]:
    """Yield the names in expectations that the recipe doesn't have.

    Args:
        claims: The expectations.
        known: Key of an expectation to the names that there are.
    """
    for number, claim in enumerate(claims):
        for key, names in known.items():
            value = getattr(claim, key)
            if value is not None and value not in names:
                yield Problem(
                    f"expect[{number}].{key}",
                    f"must be one of {listed(names)}. Received: {value!r}.",
                )


def uneven_steps(train: Train, steps: Mapping[str, int]) -> Iterator[Problem]:
    """Yield the trainings that wouldn't end at an evaluation, from their key to their steps."""
    every = train.evaluate_every
    for key, number in steps.items():
        if number % every:
            yield Problem(
                "train.evaluate_every",
                f"must divide {key} = {number}, so that training ends at an evaluation. "
                f"Received: {every}. Try {nearest_divisor(every, number)}.",
            )
