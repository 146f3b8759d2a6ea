"""What a run still lacks, against what its recipe asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from tfticket.recipe.lottery_schema import control_levels
from tfticket.report.reading import DENSE, RunFiles
from tfticket.report.words import ranges


def missing(
    files: RunFiles, finished: Iterable[tuple[str, int, Collection[int]]]
) -> tuple[str, ...]:
    """Names what isn't finished, a sentence each; nothing for a complete run.

    Args:
        files: The run.
        finished: Branch, level and the seeds that are finished there.
    """
    if files.complete:
        return ()
    found: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for branch, level, seeds in finished:
        for seed in seeds:
            found[branch][seed].add(level)
    sentences = []
    seeds_asked = [int(seed) for seed in files.recipe.get("seeds", ())]
    for branch, levels in _asked(files).items():
        for seed in seeds_asked:
            lacking = sorted(levels - found[branch][seed])
            if lacking:
                noun = "level" if len(lacking) == 1 else "levels"
                sentences.append(f"{branch}, seed {seed}: {noun} {ranges(lacking)} not finished")
    return tuple(sentences) or ("the run has not written its last file",)


def _asked(files: RunFiles) -> dict[str, set[int]]:
    """Branch to the levels that the recipe asks for."""
    last = int(files.table("lottery").get("levels", 0))
    asked = {DENSE[0]: set(range(last + 1))} if last else {}
    controls = files.table("controls")
    levels = set(control_levels(controls.get("levels"), last)) if last else set()
    return asked | {
        name: levels for name, wanted in controls.items() if name != "levels" and wanted
    }
