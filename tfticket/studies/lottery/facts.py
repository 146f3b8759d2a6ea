"""Names and values at the head of a page of searches for tickets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfticket.display import words
from tfticket.display.words import joined, number
from tfticket.report import facts as common
from tfticket.report.reading import RunFiles
from tfticket.studies.lottery.summary import Summary

MEANINGS = {
    "reinit": "the ticket's mask with newly drawn weights",
    "shuffle": "the ticket's weights under its mask shuffled within each layer",
    "random": "a random mask with as many weights in all",
    "aligned": "the ticket's mask on newly drawn weights, whose units are matched to the mask's",
    "signs": "the ticket's mask and the signs of its weights on newly drawn magnitudes",
    "trained_signs": "the same with the signs that the ticket's weights have after training",
    "oneshot": "pruned once from the trained dense network to the same density",
}
"""Name of a usual control to its meaning."""


def facts(summary: Summary) -> common.Facts:
    """Names and values, in the order of a page; what isn't known is left out."""
    files, dense = summary.files, summary.dense
    norm = files.table("model").get("norm")
    network = joined(
        common.network(files),
        f"{norm} normalization" if norm and norm != "none" else "",
        f"{number(dense.prunable)} prunable weights" if dense and dense.prunable else "",
    )
    seconds = sum(level.seconds for level in summary.levels)
    return search_facts(files, ("Network", network), seeds=summary.seeds, seconds=seconds)


def search_facts(
    files: RunFiles, *own: tuple[str, str], seeds: Sequence[int], seconds: float
) -> common.Facts:
    """Return the names and values of a run that searches for tickets; see `report.facts.facts`."""
    train = files.table("train")
    iterations = f"{number(train['steps'])} iterations a level" if "steps" in train else ""
    return common.facts(
        files,
        *own,
        ("Training", common.training(files, iterations, files.table("data").get("batch_size"))),
        ("Pruning", pruning(files.table("lottery"))),
        seeds=seeds,
        seconds=seconds,
    )


def pruning(lottery: Mapping[str, Any]) -> str:
    """Describe how a search prunes; empty where nothing is known."""
    if not lottery:
        return ""
    rate, rates = lottery.get("rate"), lottery.get("rates") or {}
    own = joined(*(f"{name} {words.rate(value)}" for name, value in rates.items()))
    rewind = {"none": "no rewinding", "learning_rate": "learning-rate rewinding"}.get(
        str(lottery.get("rewind")), "rewound"
    )
    return joined(
        f"{lottery.get('pruner', '')} {lottery.get('score', '')}".strip(),
        structure(lottery),
        f"{words.rate(rate)} a level" if rate else "",
        f"({own})" if own else "",
        f"{words.plural(lottery['levels'], 'level')}" if "levels" in lottery else "",
        f"{rewind} to iteration {number(lottery.get('rewind_step', 0))}",
    ).replace(", (", " (")


def structure(lottery: Mapping[str, Any]) -> str:
    """Name what is pruned as one piece; empty where that is a single weight.

    Args:
        lottery: The table of the recipe.
    """
    n, m = lottery.get("pattern") or ("n", "m")
    return {
        "block_1x4": "blocks of 4 inputs",
        "n_of_m": f"at least {n} of {m} inputs kept",
        "channel": "whole channels",
    }.get(str(lottery.get("structure")), "")
