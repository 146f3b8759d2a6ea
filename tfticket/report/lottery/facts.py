"""What a search was made of: the facts above its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfticket.report import facts as common
from tfticket.report import words
from tfticket.report.lottery.summary import Summary
from tfticket.report.reading import RunFiles

MEANINGS = {
    "reinit": "the ticket's mask with newly drawn weights",
    "shuffle": "the ticket's weights under its mask shuffled within each layer",
    "random": "a random mask with as many weights in all",
    "oneshot": "pruned once from the trained dense network to the same density",
}
"""What the usual controls are, by branch name."""


def facts(files: RunFiles, summary: Summary) -> common.Facts:
    """Names and values, in the order of a page; what isn't known is left out.

    Args:
        files: The run.
        summary: What it came to.
    """
    return common.known(
        [
            ("Recipe", f"{summary.name} ({summary.run})"),
            ("Data", common.data(files)),
            ("Network", _network(files, summary)),
            ("Training", _training(files)),
            ("Pruning", _pruning(files)),
            ("Seeds", words.ranges(list(summary.seeds))),
            ("Time", common.time(files, sum(level.seconds for level in summary.levels))),
            *common.origin(files.environment),
        ]
    )


def _network(files: RunFiles, summary: Summary) -> str:
    norm = files.table("model").get("norm")
    parts = [common.network(files)]
    if norm and norm != "none":
        parts.append(f"{norm} normalization")
    if summary.dense is not None and summary.dense.prunable:
        parts.append(f"{words.number(summary.dense.prunable)} prunable weights")
    return ", ".join(part for part in parts if part)


def _training(files: RunFiles) -> str:
    train = files.table("train")
    if not train:
        return ""
    parts = [
        f"{words.number(train['steps'])} iterations a level" if "steps" in train else "",
        f"batches of {files.table('data')['batch_size']}" if files.table("data") else "",
        common.optimizer(files),
    ]
    return ", ".join(part for part in parts if part)


def _pruning(files: RunFiles) -> str:
    lottery = files.table("lottery")
    if not lottery:
        return ""
    rate = lottery.get("rate")
    rates = lottery.get("rates") or {}
    own = ", ".join(f"{name} {words.rate(value)}" for name, value in rates.items())
    rewind = {"none": "no rewinding", "learning_rate": "learning-rate rewinding"}.get(
        str(lottery.get("rewind")), "rewound"
    )
    parts = [
        f"{lottery.get('pruner', '')} {lottery.get('score', '')}".strip(),
        structure(lottery),
        f"{words.rate(rate)} a level" if rate else "",
        f"({own})" if own else "",
        f"{words.plural(lottery['levels'], 'level')}" if "levels" in lottery else "",
        f"{rewind} to iteration {words.number(lottery.get('rewind_step', 0))}",
    ]
    return ", ".join(part for part in parts if part).replace(", (", " (")


def structure(lottery: Mapping[str, Any]) -> str:
    """What lives and dies together in the tickets; empty where each weight is for itself.

    Args:
        lottery: The table of the recipe.
    """
    n, m = lottery.get("pattern") or ("n", "m")
    return {
        "block_1x4": "blocks of 4 inputs",
        "n_of_m": f"at least {n} of {m} inputs kept",
        "channel": "whole channels",
    }.get(str(lottery.get("structure")), "")
