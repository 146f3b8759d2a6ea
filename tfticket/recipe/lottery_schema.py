"""What may stand in a recipe of the kind `lottery`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field

from tfticket.recipe.fields import (
    MOST_REPEATS,
    Count,
    Decay,
    NotNegative,
    Repeats,
    Share,
    ShareOrNone,
    Step,
    Table,
    Text,
    Texts,
    Width,
)
from tfticket.recipe.schema import Recipe

FormatName = Literal["fp32", "fp16", "dynamic", "int8", "int4", "sparse_fc", "sparse_fc_fast"]


class Model(Table):
    """The network: one of the zoo by `name`, or any `.keras` file by `file`."""

    name: (
        Literal["lenet_300_100", "conv2", "conv4", "conv6", "cnn9", "resnet20", "resnet32", "vgg"]
        | None
    ) = None
    file: (
        Annotated[str, Field(pattern=r"\.keras$", description="a path to a .keras file")] | None
    ) = None
    norm: Literal["none", "batch", "group", "layer"] | None = None
    width: Width = 1.0
    dropout: Decay = 0.0


class Lottery(Table):
    """How tickets are searched: what is pruned, how much a level, and where weights go back to.

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


class Controls(Table):
    """What is trained beside the tickets, at the same density.

    `reinit` is on by default, since only a ticket whose reinitialized twin is behind it wins.
    `levels` lists the levels with controls, or is "all"; by default every second one and the last.
    """

    reinit: Annotated[
        bool | Annotated[Step, Field(le=MOST_REPEATS)],
        Field(description="true, false, or how many reinitializations a ticket gets, up to 1,000"),
    ] = True
    shuffle: bool = False
    random: bool = False
    oneshot: bool = False
    levels: Annotated[
        Literal["all"] | Annotated[tuple[Count, ...], Field(strict=False, min_length=1)] | None,
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

    steps: Annotated[
        tuple[Step, ...],
        Field(strict=False, min_length=1, description="a list of steps, one or more, from 0 on"),
    ]
    pairs: Repeats = 1
    points: Annotated[
        int, Field(ge=3, le=MOST_REPEATS, description="a whole number of at least 3")
    ] = 30


class Export(Table):
    """Which tickets become `.tflite` files, and in which formats."""

    formats: Annotated[
        tuple[FormatName, ...],
        Field(strict=False, description=f"a list out of {', '.join(get_args(FormatName))}"),
    ] = ("fp32", "int8")
    levels: Annotated[
        Literal["smallest_winning"]
        | Annotated[tuple[Step, ...], Field(strict=False, min_length=1)],
        Field(description='"smallest_winning", or a list of levels, one or more'),
    ] = "smallest_winning"


class Verdict(Table):
    """When a ticket is called winning or matching; see `tfticket.lottery.verdict`.

    `margin` is the loss of accuracy that still counts as equal, `time_margin` how much later still
    counts as not later (0.1 is 10 % more steps); `confidence` is that of the intervals over seeds.
    """

    LATER = frozenset({"time_margin"})

    margin: ShareOrNone = 0.002
    time_margin: NotNegative = 0.1
    confidence: Share = 0.95


class Claim(Table):
    """One number of the paper, to stand beside ours in the report. Never used while training.

    Attributes:
        claim: What the paper says, in short.
        source: Where it says so (`section 2`, `figure 3`).
        measure: What is compared. `accuracy` is the mean test accuracy at the early-stop step,
            `gain` its difference from `against`, `early_stop_speedup` the early-stop step of
            `against` divided by that of `branch` (the papers' measure), `speedup` the same of the
            steps to the loss that both reach, `smallest_density` the lowest density at which
            `branch` is still as accurate as `against`.
        value: The paper's number.
        branch: Whose number it is; `dense` is level 0 of the search.
        against: What all measures but `accuracy` are relative to.
        density: Where it is read, at the level that is nearest.
    """

    claim: Text
    source: str = ""
    measure: Literal["accuracy", "gain", "speedup", "early_stop_speedup", "smallest_density"]
    value: Annotated[float, Field(allow_inf_nan=False, description="a number")]
    branch: Text = "ticket"
    against: Text = "dense"
    density: (
        Annotated[float, Field(gt=0, le=1, description="a share above 0 and up to 1")] | None
    ) = None


class LotteryRecipe(Recipe):
    """A search for lottery tickets, with its controls."""

    kind: Literal["lottery"]
    model: Model
    lottery: Lottery
    controls: Controls = Controls()
    connectivity: Connectivity | None = None
    export: Export = Export()
    verdict: Verdict = Verdict()
    expect: Annotated[tuple[Claim, ...], Field(strict=False, description="a list of tables")] = ()
