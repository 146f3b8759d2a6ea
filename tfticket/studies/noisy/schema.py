"""The schema of recipes of the kind `noisy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tfticket.recipe.noise import Noise, Rate
from tfticket.recipe.schema import Expect, Recipe, only_searches, uneven_steps, unknown_names
from tfticket.recipe.table import (
    MOST_REPEATS,
    Count,
    Decay,
    NotNegative,
    Positive,
    Problem,
    Repeats,
    ShareOrNone,
    SomeTables,
    Step,
    Table,
    Tables,
    Text,
    Width,
    listed,
    twice,
)
from tfticket.recipe.training import LearningRate
from tfticket.studies.kind import Kind

MethodName = Literal[
    "cross_entropy",
    "gce",
    "forward",
    "coteaching",
    "coteaching_plus",
    "jocor",
    "decoupling",
    "early_learning",
    "incv",
    "held_out",
]
Knowledge = Literal["given", "estimated"]
Robustness = Annotated[float, Field(gt=0, le=1, description="a number above 0 and up to 1")]


_RAMP = frozenset({"forget_rate", "gradual", "exponent", "formula", "class_floor", "batch"})
_OPTIONS: Mapping[str, frozenset[str]] = {
    "cross_entropy": frozenset(),
    "gce": frozenset({"q"}),
    "forward": frozenset({"matrix"}),
    "coteaching": _RAMP,
    "coteaching_plus": _RAMP | {"warmup"},
    "jocor": _RAMP | {"agreement"},
    "decoupling": frozenset({"warmup", "batch"}),
    "early_learning": frozenset({"strength", "momentum", "mixup"}),
    "incv": _RAMP - {"forget_rate"} | {"warmup"},
    "held_out": frozenset(),
}


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
        name: `cross_entropy`, `gce`, `forward` and `early_learning` train on everything;
            `coteaching`, `coteaching_plus`, `jocor` and `decoupling` on what they select in each
            batch; `incv` selects by cross-validation, then co-teaches; `held_out` trains nothing,
            and compares held-out predictions with theory.
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
        strength: Of `early_learning`, the weight of its regularization; see
            `tfticket.noise.EarlyLearning`.
        momentum: Of `early_learning`, that of its targets.
        mixup: Of `early_learning`, the alpha of MixUp; 0 is without.
    """

    LATER = frozenset({"batch", "strength", "momentum", "mixup"})

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
    strength: NotNegative = 3.0
    momentum: Decay = 0.7
    mixup: NotNegative = 0.0

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        for name in type(self).model_fields.keys() - {"name", "label"} - _OPTIONS[self.name]:
            if getattr(self, name) != type(self).model_fields[name].default:
                yield Problem(name, f"isn't an option of {self.name}. Remove it.")

    @property
    def selects_batches(self) -> bool:
        """True if it drops a share of each batch."""
        return self.name in ("coteaching", "coteaching_plus", "jocor")

    @property
    def needs_selection(self) -> bool:
        """True if held-out predictions must be there before it begins."""
        estimated = self.selects_batches and self.forget_rate == "estimated"
        corrected = self.name == "forward" and self.matrix == "estimated"
        return estimated or corrected or self.name in ("incv", "held_out")


class Selection(Table):
    """Cross-validated predictions, to estimate the noise and to select examples.

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


class NoisyClaim(Expect):
    """An expectation about the accuracy of a method, or its difference from `against`.

    Accuracy is that of the clean test data, the mean of the last evaluations.
    """

    method: Text
    against: Text | None = None
    noise: Text | None = None


class NoisyRecipe(Recipe):
    """Trains one network in several ways on labels of which some were made wrong.

    `last` is how many of the last evaluations the result is the mean of.
    """

    kind: Literal["noisy"]
    model: PlainModel
    noise: SomeTables[Noise]
    methods: Annotated[
        tuple[Method, ...],
        Field(strict=False, min_length=1, description="a list of names, or tables with a `name`"),
    ]
    selection: Selection | None = None
    last: Count = 10
    expect: Tables[NoisyClaim] = ()

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from self._unique_problems()
        yield from only_searches(self.train)
        yield from self._method_problems()
        yield from self._selection_problems()
        yield from self._step_problems()
        methods = sorted({method.label or method.name for method in self.methods})
        noises = sorted({noise.label for noise in self.noise})
        known = {"method": methods, "against": methods, "noise": noises}
        yield from unknown_names(self.expect, known)
        if self.data.task != "classes":
            yield Problem("data.name", "must have classes, since labels are made wrong.")
        if self.train.label_smoothing:
            yield Problem("train.label_smoothing", "isn't for this kind. Remove it.")

    def _unique_problems(self) -> Iterator[Problem]:
        yield from twice({"seeds": self.seeds})
        branches = tuple(condition.branch for condition in conditions(self))
        hint = " Give one of them a `label`."
        yield from twice({"methods": branches}, noun="training", hint=hint)

    def _method_problems(self) -> Iterator[Problem]:
        for number, noise in enumerate(self.noise):
            if noise.foreign == self.data.name:
                yield Problem(
                    f"noise[{number}].foreign",
                    f"must be another data set than data.name. Received: {noise.foreign!r} for "
                    "both.",
                )
        for number, method in enumerate(self.methods):
            if method.batch == "reduced" and self.train.jit is True:
                yield Problem(
                    f"methods[{number}].batch",
                    'can\'t be "reduced" where train.jit is true: XLA needs shapes that are known.',
                )

    def _selection_problems(self) -> Iterator[Problem]:
        needing = [method.name for method in self.methods if method.needs_selection]
        if needing and self.selection is None:
            yield Problem(
                "selection",
                f"must say how examples are held out, for {listed(needing)}. Add the table, or "
                "give "
                'rates as "given" or as numbers.',
            )
        if self.selection is not None and not needing:
            yield Problem("selection", "is of use only where a method asks for it.")
        names = {method.name for method in self.methods}
        if {"incv", "held_out"} <= names:
            yield Problem(
                "methods",
                "can't hold both incv and held_out: theory is about networks that were trained on "
                "everything, and incv trains on what it selected. Make two recipes.",
            )
        if "held_out" in names and any(noise.kind == "open_set" for noise in self.noise):
            yield Problem(
                "methods",
                "can't hold held_out beside a noise of the kind open_set: theory is about examples "
                "that have a class. Make two recipes.",
            )

    def _step_problems(self) -> Iterator[Problem]:
        steps, every = self.train.steps, self.train.evaluate_every
        yield from uneven_steps(self.train, {"train.steps": steps})
        if not steps % every and self.last > steps // every:
            yield Problem(
                "last",
                f"must not be more than the {steps // every} evaluations there are. Received: "
                f"{self.last}.",
            )
        for number, method in enumerate(self.methods):
            if method.warmup * every > steps:
                yield Problem(
                    f"methods[{number}].warmup",
                    f"must not be longer than the training, {steps // every} intervals. Received: "
                    f"{method.warmup}.",
                )


@dataclass(frozen=True)
class Condition:
    """One method under one noise, trained once for each seed.

    Attributes:
        branch: Its name, unique in the recipe.
        noise: How labels are made wrong.
        method: How it is trained.
        steps: Optimizer steps; 0 where held-out predictions are all that is asked for.
    """

    branch: str
    noise: Noise
    method: Method
    steps: int

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of `cells.json`."""
        return {
            "branch": self.branch,
            "noise": self.noise.label,
            "noise_kind": self.noise.kind,
            "nominal_rate": self.noise.rate,
            "method": self.method.label or self.method.name,
            "method_kind": self.method.name,
            "steps": self.steps,
        }


def conditions(recipe: NoisyRecipe) -> tuple[Condition, ...]:
    """All conditions of a recipe: noise by noise, the methods in their order.

    A branch is called after its method, and after its noise where there are several.
    """
    several = len(recipe.noise) > 1
    return tuple(
        Condition(
            branch=f"{noise.label}-{name}" if several else name,
            noise=noise,
            method=method,
            steps=0 if method.name == "held_out" else recipe.train.steps,
        )
        for noise in recipe.noise
        for method in recipe.methods
        for name in [method.label or method.name]
    )


def iterations(recipe: NoisyRecipe) -> int:
    """Return the number of cross-validation rounds: one where only the noise is estimated."""
    selects = any(method.name == "incv" for method in recipe.methods)
    return recipe.selection.iterations if recipe.selection and selects else 1


KIND = Kind(
    name="noisy",
    recipe=NoisyRecipe,
    table="",
    unit="training",
    study="tfticket.studies.noisy.study:NoisyStudy",
    summary="tfticket.studies.noisy.summary:summarize_files",
    page="tfticket.studies.noisy.page:compose",
)
