"""What the page of a study of normalization shows."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from tfticket.report.contents import Contents
from tfticket.report.judging import Reading
from tfticket.report.norms import (
    curves,
    depth,
    memorization_views,
    outcomes,
    panels,
    shifts,
    tables,
    training,
)
from tfticket.report.norms.cells import Study, read_study, usual_batch_size
from tfticket.report.norms.comparisons import CONFIDENCE
from tfticket.report.norms.facts import facts
from tfticket.report.norms.summary import Summary, summarize_study
from tfticket.report.norms.words import during
from tfticket.report.reading import RunFiles
from tfticket.report.words import percent2


def compose(files: RunFiles) -> Contents:
    """Opens the cells, summarizes and draws; to be called inside `canvas.settings()`.

    Args:
        files: The run.
    """
    study = read_study(files)
    summary = summarize_study(study)
    return Contents(
        template="norms/page.html.j2",
        summary=summary,
        values=_values(study, summary),
        figures=_memorization(study, summary) | _landscape(study) | _training(study, summary),
    )


def _values(study: Study, summary: Summary) -> dict[str, Any]:
    return {
        "facts": facts(study, summary),
        "damaged": study.damaged,
        "confidence": f"{100 * CONFIDENCE:g}",
        "during": during(summary.first),
        "reference": _reference(study, summary),
        "diverged": sum(len(each.diverged) for each in summary.branches),
        "met": _met(summary),
        "lengths_vary": len({branch.steps for branch in study.branches}) > 1,
        "batch_shown": _batch_shown(study),
        "rate_panels": curves.panel_count(study),
        "statistics_panels": len(training.with_statistics(summary)),
        "claims": tables.claim_table(summary.claims) if summary.claims else None,
        "smoothness": tables.smoothness_table(summary.norms, summary),
        "subnetworks": tables.smoothness_table(summary.subnetworks, summary),
        "raw": tables.raw_table(summary),
        "accuracies": outcomes.accuracy_table(summary),
        **_memorized(summary),
        "batches": outcomes.batch_table(summary.batch_losses),
        "cost": outcomes.cost_table(summary),
    }


def _memorized(summary: Summary) -> dict[str, Any]:
    found = summary.memorization
    if found is None:
        return {"memorized": None}
    return {
        "memorized": memorization_views.values_table(found),
        "memorized_differences": memorization_views.differences_table(found),
        "noise": found.noise,
        "realized_rate": percent2(found.realized.mean),
        "last": found.last,
    }


def _met(summary: Summary) -> bool:
    """Whether there are criteria and all are met."""
    readings = {claim.reading for claim in summary.claims} - {Reading.NOTED}
    return readings == {Reading.PASS}


def _batch_shown(study: Study) -> int | None:
    """The batch size of figures along training, where a run holds several."""
    sizes = {branch.batch_size for branch in study.branches}
    return usual_batch_size(study, study.branches) if len(sizes) > 1 else None


def _reference(study: Study, summary: Summary) -> str:
    """The condition of the main figures, where a run holds several."""
    found = summary.reference
    if found is None or len({branch.condition[:2] for branch in study.branches}) < 2:
        return ""
    return f"learning rate {found[0]:g}, batches of {found[1]}"


def _memorization(study: Study, summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    if summary.memorization is None:
        return {}
    figure = memorization_views.memorization(study)
    return {"memorization": ("Wrong labels along training", figure)}


def _landscape(study: Study) -> dict[str, tuple[str, Figure | None]]:
    return {
        "figure4": ("The landscape along the step", panels.figure4(study)),
        "paper": ("This run over the paper", panels.over_paper(study)),
        "norms": ("All normalizations", panels.rows(study)),
        "beta_curves": ("Beta at every step size", depth.beta_curves(study)),
        "relative": ("Changes without units", depth.relative_change(study)),
        "gauge": ("The learning-rate gauge", depth.gauge(study)),
        "sharpness": ("Sharpness", depth.sharpness(study)),
        "usable": ("Usable step", depth.usable(study)),
    }


def _training(study: Study, summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    return {
        "batch_sizes": ("Test error by batch size", training.batch_sizes(summary)),
        "statistics": ("Training or statistics", training.statistics(summary)),
        "subnetworks": ("Tickets", training.subnetworks(summary)),
        "shift_cosine": ("Covariate shift, cosine", shifts.shift(study, measure="cosine")),
        "shift_l2": ("Covariate shift, l2", shifts.shift(study, measure="l2")),
        "learning_rates": ("Learning-rate range", training.learning_rates(summary)),
        "loss_curves": ("Loss", curves.learning_curves(study, name="loss")),
        "accuracy_curves": ("Accuracy", curves.learning_curves(study, name="accuracy")),
    }
