"""The page of a study of normalization."""

from __future__ import annotations

from typing import Any

from tfticket.display import words
from tfticket.display.charts import Figure
from tfticket.display.words import joined, percent2
from tfticket.report import facts as common
from tfticket.report.contents import Contents
from tfticket.report.reading import RunFiles
from tfticket.studies.norms import curves, figures, stability, tables
from tfticket.studies.norms.measures import labels
from tfticket.studies.norms.names import during
from tfticket.studies.norms.networks import NormCondition, Study, usual_batch_size
from tfticket.studies.norms.summary import Summary, summarize_files


def compose(files: RunFiles) -> Contents:
    """Open the trials, summarize and draw."""
    summary = summarize_files(files)
    study = summary.study
    return Contents(
        summary=summary,
        values={
            "facts": facts(summary),
            "damaged": study.damaged,
            "during": during(summary.first),
            "reference": _reference(summary),
            "diverged": sum(len(each.diverged) for each in summary.conditions),
            "lengths_vary": len({each.steps for each in study.conditions}) > 1,
            "batch_shown": _batch_shown(study),
            "rate_panels": curves.panel_count(study),
            "statistics_panels": len(curves.with_statistics(summary)),
            "smoothness": tables.smoothness_table(summary.norms, summary),
            "subnetworks": tables.smoothness_table(summary.subnetworks, summary),
            "raw": tables.raw_table(summary),
            "edge": tables.edge_table(summary),
            "accuracies": tables.accuracy_table(summary),
            **_memorized(summary),
            "batches": tables.batch_table(summary.batch_losses),
            "cost": tables.cost_table(summary),
        },
        figures=_memorization(study, summary) | _landscape(study) | _training(study, summary),
    )


def _memorized(summary: Summary) -> dict[str, Any]:
    found = summary.memorization
    if found is None:
        return {"memorized": None}
    return {
        "memorized": tables.memorized_table(found),
        "memorized_differences": tables.differences_table(found),
        "noise": found.noise,
        "realized_rate": percent2(found.realized.mean),
        "last": found.last,
    }


def _batch_shown(study: Study) -> int | None:
    """The batch size of figures along training, where a run holds several."""
    sizes = {each.batch_size for each in study.conditions}
    return usual_batch_size(study, study.conditions) if len(sizes) > 1 else None


def _reference(summary: Summary) -> str:
    """The condition of the main figures, where a run holds several."""
    found, conditions = summary.reference, summary.study.conditions
    if found is None or len({each.setting for each in conditions}) < 2:
        return ""
    return f"learning rate {found[0]:g}, batches of {found[1]}"


def _memorization(study: Study, summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    if summary.memorization is None:
        return {}
    figure = curves.memorization(study)
    return {"memorization": ("Wrong labels along training", figure)}


def _landscape(study: Study) -> dict[str, tuple[str, Figure | None]]:
    return {
        "figure4": ("The landscape along the step", figures.figure4(study)),
        "paper": ("This run over the paper", figures.over_paper(study)),
        "norms": ("All normalizations", figures.rows_by_norm(study)),
        "edge": ("The edge of stability", stability.figure(study)),
        "beta_curves": ("Beta at every step size", figures.beta_curves(study)),
        "relative": ("Changes without units", figures.relative_change(study)),
        "gauge": ("The learning-rate gauge", figures.gauge(study)),
        "sharpness": ("Sharpness", figures.sharpness(study)),
        "usable": ("Usable step", figures.usable(study)),
    }


def _training(study: Study, summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    return {
        "batch_sizes": ("Test error by batch size", curves.batch_sizes(summary)),
        "statistics": ("Training or statistics", curves.statistics(summary)),
        "subnetworks": ("Tickets", curves.subnetworks(summary)),
        "shift_cosine": ("Covariate shift, cosine", curves.shift(study, measure="cosine")),
        "shift_l2": ("Covariate shift, l2", curves.shift(study, measure="l2")),
        "learning_rates": ("Learning-rate range", curves.learning_rates(summary)),
        "loss_curves": ("Loss", curves.learning_curves(study, name="loss")),
        "accuracy_curves": ("Accuracy", curves.learning_curves(study, name="accuracy")),
    }


def facts(summary: Summary) -> common.Facts:
    """Names and values, in the order of a page; what isn't known is left out."""
    files, conditions, found = summary.files, summary.study.conditions, summary.memorization
    depth, asked = files.table("model").get("depth"), sum(len(b.seeds) for b in conditions)
    done = sum(len(each.seeds) for each in summary.conditions)
    iterations = _numbers(conditions, "steps")
    return common.facts(
        files,
        (
            "Noise",
            f"{found.noise}, {percent2(found.realized.mean)} of the training labels are wrong; "
            "test labels are right"
            if found
            else "",
        ),
        ("Network", joined(common.network(files), f"depth {depth}" if depth else "")),
        ("Normalization", joined(*labels(conditions))),
        (
            "Training",
            common.training(
                files,
                f"{iterations} iterations" if iterations else "",
                _numbers(conditions, "batch_size"),
            ),
        ),
        ("Landscape", _landscape_facts(summary.study)),
        ("Networks", f"{done} of {asked} finished" if asked else ""),
        seeds=summary.seeds,
        seconds=sum(each.total("seconds") for each in summary.conditions),
    )


def _numbers(conditions: tuple[NormCondition, ...], name: str) -> str:
    """`1500`, `750 to 24 000`."""
    found = sorted({getattr(each, name) for each in conditions})
    return " to ".join(words.number(value) for value in dict.fromkeys([*found[:1], *found[-1:]]))


def _landscape_facts(study: Study) -> str:
    settings = study.files.table("landscape")
    record = next((r for b in study.conditions for r in study.landscapes(b).values()), None)
    if record is None:
        return ""
    k = record.multipliers
    return joined(
        f"{words.plural(len(k), 'point')} from {k[0]:g} to {k[-1]:g} times the step",
        f"along the {settings['direction']}" if "direction" in settings else "",
        "on the training batch" if settings.get("batch") == "train" else "",
        "on a fixed batch" if settings.get("batch") == "fixed" else "",
        f"every {settings['every']} iterations" if settings.get("every") else "",
    )
