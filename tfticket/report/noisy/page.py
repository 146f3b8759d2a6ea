"""What the page of a run of the kind `noisy` shows."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from tfticket.report.contents import Contents
from tfticket.report.judging import Reading
from tfticket.report.noisy import curves, gains, tables, theory
from tfticket.report.noisy.cells import Study, read_study
from tfticket.report.noisy.facts import facts
from tfticket.report.noisy.summary import Summary, summarize_study
from tfticket.report.noisy.trainings import CONFIDENCE
from tfticket.report.reading import RunFiles


def compose(files: RunFiles) -> Contents:
    """Opens the trainings, summarizes and draws; to be called inside `canvas.settings()`.

    Args:
        files: The run.
    """
    study = read_study(files)
    summary = summarize_study(study)
    return Contents(
        template="noisy/page.html.j2",
        summary=summary,
        values=_values(study, summary),
        figures=_figures(study, summary),
    )


def _values(study: Study, summary: Summary) -> dict[str, Any]:
    return {
        "facts": facts(study, summary),
        "damaged": study.damaged,
        "confidence": f"{100 * CONFIDENCE:g}",
        "last": int(study.files.recipe.get("last") or 1),
        "met": _met(summary),
        "matrices_left_out": theory.matrices_left_out(study),
        "claims": tables.claim_table(summary.claims),
        "overview": tables.overview_table(study, summary.trainings),
        "accuracies": tables.accuracy_table(summary.trainings),
        "selections": tables.selection_table(summary.selections),
        "rounds": tables.round_table(summary.selections),
        "theory": tables.theory_table(summary.trainings),
        "receipts": tables.receipt_table(study),
    }


def _met(summary: Summary) -> bool:
    """Whether there are criteria and all are met."""
    readings = {claim.reading for claim in summary.claims} - {Reading.NOTED}
    return readings == {Reading.PASS}


def _figures(study: Study, summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    return {
        "gains": ("Gain over cross-entropy", gains.gains(study, summary.trainings)),
        "accuracy": ("Accuracy along training", curves.accuracy(study)),
        "quality": ("What was trained on", curves.quality(study)),
        "rates": ("Estimated and true share of wrong labels", gains.rates(summary.selections)),
        "matrices": ("Transition matrices", theory.matrices(study)),
        "rounds": ("Iterations of the selection", gains.rounds(summary.selections)),
        "theory": ("Theory and networks", theory.theory(summary.trainings)),
    }
