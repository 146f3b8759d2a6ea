"""The schema of recipes of the kind `lottery`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from tfticket.recipe.schema import Expect, Recipe, Train
from tfticket.recipe.table import (
    MOST_REPEATS,
    Count,
    Counts,
    Decay,
    NotNegative,
    Problem,
    Repeats,
    Share,
    ShareOrNone,
    Step,
    Steps,
    Table,
    Tables,
    Text,
    Texts,
    Width,
    listed,
    nearest_divisor,
    twice,
)
from tfticket.studies.kind import Kind, more_seeds
from tfticket.studies.lottery.tasks import MetricName, metric_problems, only_classes, task_problems

FormatName = Literal["fp32", "fp16", "dynamic", "int8", "int4", "sparse_fc", "sparse_fc_fast"]


_ROUNDING = 1e-3  # what a pruner of n of m rounds to its pattern
_NOT_ERK = {
    "n_of_m": "ERK gives each layer a density of its own, and n of m all of them the same",
    "channel": "ERK is about the weights of one kernel, and a channel goes through several",
}
DEFAULT_RATE = 0.2
"""Share of the weights that a level prunes."""


class Model(Table):
    """The network: one of the zoo by `name`, or any `.keras` file by `file`."""

    name: (
        Literal[
            "lenet_300_100", "mlp", "conv2", "conv4", "conv6", "cnn9", "resnet20", "resnet32",
            "vgg", "unet",
        ]
        | None
    ) = None  # fmt: skip
    file: (
        Annotated[str, Field(pattern=r"\.keras$", description="a path to a .keras file")] | None
    ) = None
    norm: Literal["none", "batch", "group", "layer"] | None = None
    width: Width = 1.0
    dropout: Decay = 0.0

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if (self.name is None) == (self.file is None):
            received = "neither" if self.name is None else "both"
            yield Problem(
                "",
                "must have either `name`, a network of the zoo, or `file`, a .keras file. "
                f"Received: {received}.",
            )
        elif self.file is not None:
            for key in sorted({"norm", "width", "dropout"} & self.model_fields_set):
                if getattr(self, key) != type(self).model_fields[key].default:
                    yield Problem(
                        key,
                        "belongs to the networks of the zoo; a .keras file is taken as it is. "
                        "Remove it, or use `name`.",
                    )


class Lottery(Table):
    """The search for tickets: scores, pruning schedule, structure and rewinding.

    `rate` is the share of the surviving weights that goes at each level of the iterative schedule
    (0.2 unless given); `rates` gives `conv`, `dense`, `output` or keys by glob pattern their own,
    the first that fits counts. The other schedules are told `final_sparsity` instead.

    `structure` says what lives and dies together, and so what rates are shares of: weights; blocks
    of 4 inputs of an output; weights of which `pattern` = [n, m] leaves at least n of each m inputs
    of an output; or whole channels.
    """

    LATER = frozenset({"structure", "pattern"})

    score: Literal[
        "magnitude", "magnitude_increase", "movement", "random", "snip", "grasp", "synflow"
    ] = "magnitude"
    pruner: Literal["global", "layerwise", "erk"] = "layerwise"
    structure: Literal["unstructured", "block_1x4", "n_of_m", "channel"] = "unstructured"
    pattern: (
        Annotated[
            tuple[Count, Count],
            Field(strict=False, description="a list of two whole numbers of at least 1, [n, m]"),
        ]
        | None
    ) = None
    schedule: Literal["iterative", "one_shot", "polynomial"] = "iterative"
    rate: Share | None = None
    rates: dict[str, ShareOrNone] = Field(
        default={}, description="a table of shares by conv, dense, output, or a pattern of keys"
    )
    skip: Texts = ()
    levels: Repeats
    final_sparsity: Share | None = None
    rewind_step: Step = 0
    rewind: Literal["weights", "learning_rate", "none"] = "weights"
    optimizer_state: Literal["restore", "fresh"] = "restore"
    score_at: Literal["end", "early_stop"] = "end"

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from self._schedule_problems()
        yield from self._structure_problems()
        if self.rates and self.pruner != "layerwise":
            yield Problem(
                "rates",
                "gives layers their own rates, which only pruner = 'layerwise' can do. Received: "
                f"pruner = {self.pruner!r}.",
            )
        if self.rewind == "none" and self.rewind_step:
            yield Problem(
                "rewind_step",
                "must be 0 when rewind = 'none', which goes on with the trained weights. Received: "
                f"{self.rewind_step}.",
            )

    def _schedule_problems(self) -> Iterator[Problem]:
        iterative = self.schedule == "iterative"
        if iterative and self.final_sparsity is not None:
            yield Problem(
                "final_sparsity",
                "belongs to the schedules one_shot and polynomial; the iterative one prunes `rate` "
                "of the surviving weights at each of `levels`. Remove it, or change `schedule`.",
            )
        if not iterative and self.final_sparsity is None:
            yield Problem(
                "final_sparsity",
                f"must be given for the schedule {self.schedule}: the share of the prunable "
                "weights that is pruned at the last level.",
            )
        for key in ("rate", "rates") if not iterative else ():
            if getattr(self, key):
                yield Problem(
                    key,
                    f"belongs to the iterative schedule. Received: schedule = {self.schedule!r}, "
                    "which goes by `final_sparsity`.",
                )
        if self.schedule == "one_shot" and self.levels != 1:
            yield Problem(
                "levels",
                f"must be 1 for the schedule one_shot, which prunes once. Received: {self.levels}.",
            )

    def _structure_problems(self) -> Iterator[Problem]:
        yield from self._pattern_problems()
        if self.pruner == "erk" and self.structure in _NOT_ERK:
            yield Problem(
                "pruner",
                f"must be global or layerwise for structure = {self.structure!r}: "
                f"{_NOT_ERK[self.structure]}. Received: 'erk'.",
            )
        if self.structure != "channel":
            return
        if "output" in self.rates:
            yield Problem(
                "rates",
                "gives layers whose channels are pruned their own rates; those of the output layer "
                "are the classes, which stay. Remove `output`.",
            )
        if self.score == "random" and self.pruner == "global":
            yield Problem(
                "pruner",
                "must be layerwise for random channels: a channel scores the mean of its weights, "
                "and means of few random numbers differ more than those of many, so that nearly "
                "all would go from the narrow layers. Received: 'global'.",
            )

    def _pattern_problems(self) -> Iterator[Problem]:
        if (self.pattern is None) == (self.structure == "n_of_m"):
            yield Problem(
                "pattern",
                "is for structure = 'n_of_m', which needs it, as [2, 4]. Received: structure = "
                f"{self.structure!r}.",
            )
            return
        if self.pattern is None:
            return
        n, m = self.pattern
        if n >= m:
            yield Problem(
                "pattern",
                f"must be [n, m] with n below m: of each m inputs n stay. Received: [{n}, {m}].",
            )
            return
        density = self._final_density()
        if density < n / m - _ROUNDING:
            key = "levels" if self.schedule == "iterative" else "final_sparsity"
            yield Problem(
                key,
                f"must not lead below a density of {n}/{m} = {n / m:g}, since of each {m} inputs "
                f"{n} stay. Received: {density:.4g} at the last level. Prune less, or try schedule "
                f"= 'polynomial' with final_sparsity = {1 - n / m:g}, which ends at the pattern.",
            )

    def _final_density(self) -> float:
        """The lowest density of a layer at the last level."""
        if self.schedule != "iterative":
            return 1.0 - (self.final_sparsity or 0.0)
        return (1.0 - max(self.rate or 0.0, *self.rates.values(), 0.0)) ** self.levels


class Controls(Table):
    """Controls, trained at the density of their tickets.

    `reinit` is on by default, since only a ticket whose reinitialized twin is behind it wins.
    `levels` lists the levels with controls, or is "all"; by default every second one and the last.
    """

    LATER = frozenset({"aligned", "signs", "trained_signs"})

    reinit: Annotated[
        bool | Annotated[Step, Field(le=MOST_REPEATS)],
        Field(description="true, false, or how many reinitializations a ticket gets, up to 1,000"),
    ] = True
    shuffle: bool = False
    random: bool = False
    oneshot: bool = False
    aligned: bool = False
    signs: bool = False
    trained_signs: bool = False
    levels: Annotated[
        Literal["all"] | Counts | None,
        Field(description='"all", or a list of levels, one or more, from 1 on'),
    ] = None


def control_levels(levels: Sequence[int] | str | None, last: int) -> tuple[int, ...]:
    """The levels with controls.

    Args:
        levels: `controls.levels` of a recipe.
        last: Number of levels of the search.

    Example:
        >>> control_levels(None, 6), control_levels("all", 3), control_levels([2], 6)
        ((1, 3, 5, 6), (1, 2, 3), (2,))
    """
    if levels is None:
        return tuple(dict.fromkeys((*range(1, last + 1, 2), last)))
    return tuple(range(1, last + 1)) if isinstance(levels, str) else tuple(levels)


class Connectivity(Table):
    """Linear mode connectivity of `pairs` of copies trained on from each of `steps`."""

    steps: Steps
    pairs: Repeats = 1
    points: Annotated[
        int, Field(ge=3, le=MOST_REPEATS, description="a whole number of at least 3")
    ] = 30


class Export(Table):
    """Tickets to export to `.tflite`, and the formats."""

    formats: Annotated[
        tuple[FormatName, ...],
        Field(strict=False, description=f"a list out of {', '.join(get_args(FormatName))}"),
    ] = ("fp32", "int8")
    levels: Annotated[
        Literal["smallest_winning"] | Steps,
        Field(description='"smallest_winning", or a list of levels, one or more'),
    ] = "smallest_winning"


class Verdict(Table):
    """When a ticket is called winning or matching; see `tfticket.lottery.verdict`.

    `metric` is what networks are judged by, `direction` which side of it is better ("max" or "min",
    known for all that can be named). `margin` is the loss of it that still counts as equal, in its
    own unit, or with `margin_is` = "relative" a share of the mean of the dense networks.
    `time_margin` is how much later still counts as not later (0.1 is 10 % more steps); `confidence`
    is that of the intervals over seeds.
    """

    LATER = frozenset({"time_margin", "metric", "direction", "margin_is"})

    margin: NotNegative = 0.002
    time_margin: NotNegative = 0.1
    confidence: Share = 0.95
    metric: MetricName = "accuracy"
    direction: Literal["max", "min"] | None = None
    margin_is: Literal["absolute", "relative"] = "absolute"

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        share = self.margin_is == "relative" or self.metric in ("accuracy", "mean_iou")
        if share and self.margin >= 1:
            yield Problem(
                "margin",
                "must be a share of at least 0 and below 1, not a percentage. "
                f"Received: {self.margin:g}.",
            )
        if not share and "margin" not in self.model_fields_set:
            yield Problem(
                "margin",
                f"must be given for {self.metric}: the rise that still counts as equal, in its own "
                'unit, or a share of the dense networks\' with margin_is = "relative".',
            )


class Claim(Expect):
    """An expectation about tickets.

    Attributes:
        measure: What is compared. `accuracy`, or `metric` for any of `verdict.metric`, is its mean
            on test data at the early-stop step, `gain` its difference from `against`, positive
            where `branch` is better, `early_stop_speedup` the early-stop step of `against` divided
            by that of `branch` (the papers' measure), `speedup` the same of the steps to the loss
            that both reach, `smallest_density` the lowest density at which `branch` is still as
            accurate, or as good, as `against`.
        branch: Whose number it is; `dense` is level 0 of the search.
        against: What all measures but `accuracy` and `metric` are relative to.
        density: Where it is read, at the level that is nearest.
    """

    LATER = frozenset({"at_least", "at_most"})

    measure: Literal[
        "accuracy", "metric", "gain", "speedup", "early_stop_speedup", "smallest_density"
    ]
    branch: Text = "ticket"
    against: Text = "dense"
    density: (
        Annotated[float, Field(gt=0, le=1, description="a share above 0 and up to 1")] | None
    ) = None

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if self.value is None and self.at_least is None and self.at_most is None:
            yield Problem("", "must have a `value`, the paper's, or a bound: at_least, at_most.")


class LotteryRecipe(Recipe):
    """A search for lottery tickets, with its controls."""

    kind: Literal["lottery"]
    model: Model
    lottery: Lottery
    controls: Controls = Controls()
    connectivity: Connectivity | None = None
    export: Export = Export()
    verdict: Verdict = Verdict()
    expect: Tables[Claim] = ()

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        lists: dict[str, Sequence[Any] | None] = {
            "seeds": self.seeds,
            "controls.levels": self.controls.levels,
            "connectivity.steps": self.connectivity.steps if self.connectivity else None,
            "export.levels": self.export.levels,
            "export.formats": self.export.formats,
        }
        yield from twice(lists)
        yield from step_problems(self.train, self.lottery, "lottery")
        for step in self.connectivity.steps if self.connectivity else ():
            if step % self.train.evaluate_every or step >= self.train.steps:
                yield Problem(
                    "connectivity.steps",
                    f"must be multiples of train.evaluate_every = {self.train.evaluate_every} "
                    f"below train.steps = {self.train.steps}. Received: {step}.",
                )
        last = self.lottery.levels
        for key, levels in {
            "controls.levels": self.controls.levels,
            "export.levels": self.export.levels,
        }.items():
            beyond = [n for n in levels if n > last] if isinstance(levels, tuple) else []
            if beyond:
                yield Problem(
                    key, f"must not go beyond lottery.levels = {last}. Received: {listed(beyond)}."
                )
        yield from task_problems(self.data, self.train, self.model.name)
        yield from metric_problems(self.data, self.verdict.metric, self.verdict.direction)
        if self.connectivity:
            yield from only_classes(
                self.data, "instability is a rise of the error rate", key="connectivity"
            )
        for number, claim in enumerate(self.expect):
            if claim.measure == "accuracy" and self.verdict.metric != "accuracy":
                yield Problem(
                    f"expect[{number}].measure",
                    f"must be 'metric' for verdict.metric = {self.verdict.metric!r}. "
                    "Received: 'accuracy'.",
                )
        if self.train.distribute != "none" and self.train.jit in (True, "measure"):
            yield Problem(
                "train.distribute",
                f"can't be combined with jit = {str(self.train.jit).lower()}: XLA doesn't find "
                "what lies on another device. Remove one of them.",
            )


def step_problems(train: Train, lottery: Lottery, table: str) -> Iterator[Problem]:
    """Yields the steps of a search that don't fit together.

    Args:
        train: How a network is trained.
        lottery: How tickets are searched.
        table: The key of that table.
    """
    rewind_step = lottery.rewind_step
    every = train.evaluate_every
    if rewind_step >= train.steps:
        yield Problem(
            f"{table}.rewind_step",
            f"must be below train.steps = {train.steps}, since nothing would be left to train. "
            f"Received: {rewind_step}.",
        )
        rewind_step = 0
    common = math.gcd(train.steps, rewind_step)
    if common % every:
        divided = f"train.steps = {train.steps}"
        divided += f" and {table}.rewind_step = {rewind_step}" if rewind_step else ""
        yield Problem(
            "train.evaluate_every",
            f"must divide {divided}, so that each level ends, and rewinds, at an evaluation. "
            f"Received: {every}. Try {nearest_divisor(every, common)}.",
        )


def _more_levels(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    grown = more_seeds(before, after)
    levels = after["lottery"]["levels"]
    if before["lottery"]["schedule"] == "iterative" and before["lottery"]["levels"] <= levels:
        grown["lottery"]["levels"] = levels
    return grown


KIND = Kind(
    name="lottery",
    recipe=LotteryRecipe,
    table="lottery",
    unit="level",
    grow=_more_levels,
    study="tfticket.studies.lottery.study:LotteryStudy",
    summary="tfticket.studies.lottery.summary:summarize_files",
    page="tfticket.studies.lottery.page:compose",
)
