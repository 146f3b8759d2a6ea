"""The schema of recipes of the kind `norms`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from tfticket.recipe.noise import Noise, only_labels
from tfticket.recipe.schema import Expect, Recipe, only_searches, uneven_steps, unknown_names
from tfticket.recipe.table import (
    MOST_REPEATS,
    Count,
    Decay,
    NotNegative,
    Positive,
    Problem,
    SomeTables,
    Table,
    Tables,
    Texts,
    Width,
    listed,
    twice,
)
from tfticket.studies.kind import Kind
from tfticket.studies.lottery.schema import Lottery
from tfticket.studies.norms.conditions import Arm, NormName, conditions

_WITH_DEPTH = {"vgg": (11, 13, 16, 19)}


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

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if self.depth is None:
            return
        if self.name not in ("vgg", "dln"):
            yield Problem("depth", f"belongs to vgg and dln; {self.name} has its own. Remove it.")
        elif self.depth not in _WITH_DEPTH.get(self.name, (self.depth,)):
            yield Problem(
                "depth",
                f"must be one of {listed(_WITH_DEPTH[self.name])} for {self.name}. Received: "
                f"{self.depth}.",
            )


class Multipliers(Table):
    """The points along the direction, in units of the step."""

    low: Positive = 0.5
    high: Positive = 4.0
    points: Annotated[
        int, Field(ge=2, le=MOST_REPEATS, description="a whole number of at least 2")
    ] = 8
    spacing: Literal["linear", "log"] = "linear"

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if self.low >= self.high:
            yield Problem(
                "low", f"must be below `high`. Received: {self.low:g}, with high = {self.high:g}."
            )


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


class Curvature(Table):
    """Curvature on the first `examples` of the training data, measured as often as `every` says.

    Batch sharpness is that of `batches` mini-batches of the size of training, drawn from them.
    """

    every: Count
    examples: Count = 1_000
    batches: Count = 4


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


class Claim(Expect):
    """An expectation about two norms.

    Attributes:
        measure: What is compared. Ratios are of `against` to `norm`, so above 1 `norm` is the
            smoother one: `loss_band` (mean log10 of highest to lowest loss), `predictiveness`
            (mean width; its median `predictiveness_median`), `beta` and `relative_beta` (median).
            Differences are `norm` minus `against`: `accuracy` (test), `shift_cosine` (median).
            `accuracy_drop` is the accuracy of `norm` at the largest batch minus that at
            `batch_size`.
        norm: Whose number it is.
        against: What it is relative to.
        learning_rate: Where it is read, if there are several.
        batch_size: Where it is read, if there are several.
        first: Share of the training, from the first step on, that counts.
    """

    measure: Literal[
        "loss_band",
        "predictiveness",
        "predictiveness_median",
        "beta",
        "relative_beta",
        "accuracy",
        "accuracy_drop",
        "shift_cosine",
    ]
    norm: NormName
    against: NormName | None = None
    learning_rate: NotNegative | None = None
    batch_size: Count | None = None
    first: Annotated[float, Field(gt=0, le=1, description="a share above 0 and up to 1")] = 1.0

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if (self.against is None) != (self.measure == "accuracy_drop"):
            yield Problem(
                "against",
                "must say what `norm` is compared with; only `accuracy_drop` is of one norm alone.",
            )


class NormsRecipe(Recipe):
    """Trains one network with several normalizations and measures the landscape of each.

    With `noise`, training and validation labels are made wrong, also for the search of tickets, and
    what each network memorizes of them is measured at each evaluation; `last` is how many of the
    last evaluations that result is the mean of. Test labels stay as they are.
    """

    kind: Literal["norms"]
    model: Network
    arms: SomeTables[Arm]
    landscape: Landscape | None = None
    shift: Shift | None = None
    curvature: Curvature | None = None
    statistics: Statistics | None = None
    tickets: Lottery | None = None
    noise: Noise | None = None
    last: Count = 10
    expect: Tables[Claim] = ()

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from twice({"seeds": self.seeds})
        yield from only_searches(self.train)
        yield from self._network_problems()
        yield from self._step_problems()
        yield from self._curvature_problems()
        yield from self._task_problems()
        yield from self._ticket_problems()
        yield from self._noise_problems()
        norms = sorted({norm.name for arm in self.arms for norm in arm.norms})
        yield from unknown_names(self.expect, {"norm": norms, "against": norms})

    def _network_problems(self) -> Iterator[Problem]:
        planned = conditions(self)
        yield from twice({"arms": tuple(each.branch for each in planned)}, noun="network")
        if not any(each.seeds for each in planned):
            yield Problem(
                "arms",
                f"must leave something to train. Received: no arm with a seed out of {self.seeds}.",
            )

    def _step_problems(self) -> Iterator[Problem]:
        own = {f"arms[{n}].steps": arm.steps for n, arm in enumerate(self.arms) if arm.steps}
        yield from uneven_steps(self.train, {"train.steps": self.train.steps, **own})
        for number, arm in enumerate(self.arms):
            yield from self._size_problems(arm, f"arms[{number}]")

    def _size_problems(self, arm: Arm, key: str) -> Iterator[Problem]:
        examples = self.data.batch_size * self.train.evaluate_every
        uneven = [size for size in arm.batch_sizes or () if examples % size]
        if uneven and arm.learning_rate_rule == "linear":
            yield Problem(
                f"{key}.batch_sizes",
                "must divide the examples between two evaluations, data.batch_size * "
                f"train.evaluate_every = {examples:,}, so that all networks see the same. "
                f"Received: {listed(uneven)}.",
            )

    def _curvature_problems(self) -> Iterator[Problem]:
        largest = max((each.batch_size for each in conditions(self)), default=0)
        if self.curvature is not None and self.curvature.examples < largest:
            yield Problem(
                "curvature.examples",
                f"must be at least the batch size {largest}, so that batches can be drawn from "
                f"them. Received: {self.curvature.examples}.",
            )

    def _task_problems(self) -> Iterator[Problem]:
        if self.data.task == "pixels":
            yield Problem(
                "data.name",
                "must have one label an example, or numbers to be predicted. Received: "
                f"{self.data.name!r}, which has a label a pixel.",
            )
        if self.data.task != "numbers":
            return
        about_classes = ("statistics", "tickets", "noise")
        for key in about_classes:
            if getattr(self, key):
                yield Problem(
                    key,
                    f"needs data with classes. Received: data.name = {self.data.name!r}. "
                    "Remove it.",
                )
        if self.train.label_smoothing:
            yield Problem("train.label_smoothing", "needs data with classes. Remove it.")

    def _ticket_problems(self) -> Iterator[Problem]:
        asked = [
            f"arms[{number}].subnetworks"
            for number, arm in enumerate(self.arms)
            if set(arm.subnetworks) != {"dense"}
        ]
        if asked and self.tickets is None:
            yield Problem(asked[0], "asks for tickets, so there must be a table [tickets].")
        if self.tickets is not None and not asked:
            yield Problem("tickets", "is of use only where an arm has `subnetworks`.")
        if self.tickets is not None and self.tickets.rewind_step % self.train.evaluate_every:
            yield Problem(
                "tickets.rewind_step",
                f"must be a multiple of train.evaluate_every = {self.train.evaluate_every}. "
                f"Received: {self.tickets.rewind_step}.",
            )

    def _noise_problems(self) -> Iterator[Problem]:
        if self.noise is None:
            if self.last != type(self).model_fields["last"].default:
                yield Problem("last", "is of use only with a table [noise].")
            return
        if self.noise.kind == "none":
            yield Problem(
                "noise.kind",
                'must be another one than "none". Remove [noise] to train on true labels.',
            )
        yield from only_labels(self.noise, "noise.kind")
        yield from self._last_problems()

    def _last_problems(self) -> Iterator[Problem]:
        begin = self.tickets.rewind_step if self.tickets else 0
        steps = min(arm.steps or self.train.steps for arm in self.arms)
        evaluations = (steps - begin) // self.train.evaluate_every
        if evaluations < self.last:
            yield Problem(
                "last",
                f"must not be more than the {evaluations} evaluations of each network. Received: "
                f"{self.last}.",
            )

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As `LATER` says, but `last` is there, whatever it is, where `noise` is."""
        tables: dict[str, Any] = handler(self)
        noise = () if self.noise else ("noise", "last")
        unused = (*noise, *(() if self.curvature else ("curvature",)))
        return {key: value for key, value in tables.items() if key not in unused}


KIND = Kind(
    name="norms",
    recipe=NormsRecipe,
    table="tickets",
    unit="network",
    study="tfticket.studies.norms.study:NormsStudy",
    summary="tfticket.studies.norms.summary:summarize_files",
    page="tfticket.studies.norms.page:compose",
)
