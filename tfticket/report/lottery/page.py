"""What the page of a search shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from tfticket.report import canvas
from tfticket.report.contents import Contents
from tfticket.report.lottery import curves, details, insides, plots, tables
from tfticket.report.lottery.anatomy import Anatomy, LevelAnatomy, dissect
from tfticket.report.lottery.claims import check_claims
from tfticket.report.lottery.facts import MEANINGS, facts, structure
from tfticket.report.lottery.summary import Summary, summarize_files
from tfticket.report.reading import RunFiles

_LOOKED_AT = 7


def compose(files: RunFiles) -> Contents:
    """Summarizes, opens the tickets, and draws; to be called inside `canvas.settings()`.

    Args:
        files: The run.
    """
    summary = summarize_files(files)
    densities = {level.level: level.density for level in summary.branch("ticket")}
    anatomy = dissect(files, _levels_to_open(summary, list(densities)))
    return Contents(
        template="lottery/page.html.j2",
        summary=summary,
        values=_values(files, summary, anatomy, densities),
        figures=_results(files, summary) | _insides(summary, anatomy, densities),
    )


def _levels_to_open(summary: Summary, levels: list[int]) -> list[int]:
    """An even choice of levels, the smallest winning ticket's among them."""
    chosen = set(canvas.spread_out(levels, _LOOKED_AT))
    if summary.smallest_winning is not None:
        chosen.add(summary.smallest_winning.level)
    return sorted(chosen)


def _focus(summary: Summary, anatomy: Anatomy | None) -> LevelAnatomy | None:
    """The level to show layer by layer: the smallest winning ticket, or the sparsest there is."""
    if anatomy is None or not anatomy.levels:
        return None
    winning = summary.smallest_winning
    by_level = {level.level: level for level in anatomy.levels}
    return by_level.get(winning.level if winning else -1, anatomy.levels[-1])


def _values(
    files: RunFiles, summary: Summary, anatomy: Anatomy | None, densities: Mapping[int, float]
) -> dict[str, Any]:
    claims = check_claims(list(files.recipe.get("expect") or ()), summary)
    focus = _focus(summary, anatomy)
    return {
        "facts": facts(files, summary),
        "meanings": MEANINGS,
        "structure": structure(files.table("lottery")),
        "verdicts": tables.verdict_table(summary) if summary.verdicts else None,
        "family": tables.family_table(summary),
        "controls": tables.control_table(summary),
        "claims": tables.claim_table(claims) if claims else None,
        "results": tables.results_table(summary) if summary.levels else None,
        "anatomy": anatomy,
        "focus": focus,
        "focus_density": densities.get(focus.level) if focus else None,
        "opened": details.anatomy_table(anatomy, densities) if anatomy else None,
        "layers": details.layer_table(focus) if focus else None,
        "exports": details.export_table(files.exports) if files.exports else None,
        "recommended_k": (files.connectivity or {}).get("recommended"),
    }


def _results(files: RunFiles, summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    return {
        "hypothesis": ("Speed and accuracy", plots.hypothesis(summary)),
        "plane": ("Accuracy against speed", plots.plane(summary)),
        "accuracy_at_end": ("Accuracy after the last iteration", plots.accuracy_at_end(summary)),
        "early_stop": ("Early-stop iteration", plots.early_stop(summary)),
        "loss_curves": ("Validation loss", curves.learning_curves(files, summary, name="loss")),
        "accuracy_curves": (
            "Validation accuracy",
            curves.learning_curves(files, summary, name="accuracy"),
        ),
        "connectivity": ("Linear mode connectivity", plots.connectivity(files.connectivity)),
    }


def _insides(
    summary: Summary, anatomy: Anatomy | None, densities: Mapping[int, float]
) -> dict[str, tuple[str, Figure | None]]:
    if anatomy is None:
        return {}
    focus = _focus(summary, anatomy)
    overlaps = {
        densities[level.level]: level.overlaps
        for level in anatomy.levels
        if level.level in densities
    }
    return {
        "layers": ("Density by layer", insides.layer_density(anatomy.densities, densities)),
        "overlap": ("What two seeds have in common", insides.seed_overlap(overlaps)),
        "inputs": ("Inputs that survive", insides.surviving_inputs(anatomy.pictures, densities)),
        "masks": ("The mask", insides.masks(focus.mask) if focus else None),
    }
