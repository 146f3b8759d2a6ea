"""What the page of a study of normalization shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfticket.report import reading as common
from tfticket.report import words
from tfticket.report.charts import Figure
from tfticket.report.contents import Contents
from tfticket.report.judging import TAGS, Reading
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table
from tfticket.report.words import percent2
from tfticket.studies.norms import curves, figures, outcomes
from tfticket.studies.norms.claims import CheckedClaim
from tfticket.studies.norms.entries import number, ratio, share, varied, varying
from tfticket.studies.norms.measures import MEASURES, labels
from tfticket.studies.norms.names import during, quantity
from tfticket.studies.norms.networks import Branch, Study, read_study, usual_batch_size
from tfticket.studies.norms.results import CONFIDENCE, Contrast
from tfticket.studies.norms.summary import Summary, summarize_study


def compose(files: RunFiles) -> Contents:
    """Opens the cells, summarizes and draws.

    Args:
        files: The run.
    """
    study = read_study(files)
    summary = summarize_study(study)
    return Contents(
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
        "statistics_panels": len(curves.with_statistics(summary)),
        "claims": claim_table(summary.claims) if summary.claims else None,
        "smoothness": smoothness_table(summary.norms, summary),
        "subnetworks": smoothness_table(summary.subnetworks, summary),
        "raw": raw_table(summary),
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
        "memorized": curves.values_table(found),
        "memorized_differences": curves.differences_table(found),
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
    figure = curves.memorization(study)
    return {"memorization": ("Wrong labels along training", figure)}


def _landscape(study: Study) -> dict[str, tuple[str, Figure | None]]:
    return {
        "figure4": ("The landscape along the step", figures.figure4(study)),
        "paper": ("This run over the paper", figures.over_paper(study)),
        "norms": ("All normalizations", figures.rows_by_norm(study)),
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
        "shift_cosine": ("Covariate shift, cosine", figures.shift(study, measure="cosine")),
        "shift_l2": ("Covariate shift, l2", figures.shift(study, measure="l2")),
        "learning_rates": ("Learning-rate range", curves.learning_rates(summary)),
        "loss_curves": ("Loss", curves.learning_curves(study, name="loss")),
        "accuracy_curves": ("Accuracy", curves.learning_curves(study, name="accuracy")),
    }


_RATIOS = {
    "predictiveness": "predictiveness band, mean",
    "predictiveness_median": "median",
    "loss_band": "loss band, log10",
    "loss_width": "in loss",
    "beta": "effective beta",
    "relative_beta": "relative beta",
}
_RAW = _RATIOS | {
    "sharpness": "sharpness",
    "gauge": "gauge",
    "usable": "usable multiple",
}


def claim_table(claims: Sequence[CheckedClaim]) -> Table:
    """Each expectation: the paper's number, the criterion, ours, and whether it is met."""
    columns = ("<claim", "<where", "<measure", "paper", "asked for", "ours", "seeds", "<reading")
    return Table(
        columns,
        tuple(
            (
                Cell(claim.claim),
                Cell(claim.source),
                Cell(MEASURES[claim.measure].title, _part(claim.first)),
                Cell(_said(claim.measure, claim.value)),
                Cell(_criterion(claim)),
                _ours(claim),
                Cell(str(claim.ours.seeds) if claim.ours else words.NONE),
                Cell(_reading(claim), claim.why, tag=TAGS[claim.reading]),
            )
            for claim in claims
        ),
    )


def smoothness_table(contrasts: Sequence[Contrast], summary: Summary) -> Table | None:
    """Each branch against another: how many times smoother, with intervals over seeds."""
    found = [contrast for contrast in contrasts if set(_RATIOS) & set(contrast.measures)]
    if not found:
        return None
    conditions = varying([contrast.branch for contrast in found], subnetwork=False)
    columns = ("<norm", "<against", *conditions, *_RATIOS.values(), "beta saturated",
               "gauge above 1", "seeds")  # fmt: skip
    return Table(
        columns,
        tuple(
            (
                Cell(_name(contrast.branch)),
                Cell(_name(contrast.against), _until(contrast)),
                *varied(contrast.branch, conditions),
                *(ratio(contrast.measures.get(name)) for name in _RATIOS),
                share(summary.branch(contrast.branch), "saturated"),
                share(summary.branch(contrast.branch), "above_one"),
                Cell(str(max(m.seeds for m in contrast.measures.values()))),
            )
            for contrast in found
        ),
    )


def raw_table(summary: Summary) -> Table | None:
    """The measures of smoothness themselves, branch by branch."""
    found = [each for each in summary.branches if each.values("predictiveness")]
    if not found:
        return None
    columns = ("<branch", *_RAW.values(), "seeds")
    return Table(
        columns,
        tuple(
            (
                Cell(each.branch.name),
                *(number(each.measures.get(name)) for name in _RAW),
                Cell(str(len(each.seeds))),
            )
            for each in found
        ),
    )


def _name(branch: Branch) -> str:
    return branch.label if branch.subnetwork == "dense" else f"{branch.label}, {branch.subnetwork}"


def _until(contrast: Contrast) -> str:
    return f"both to iteration {words.number(contrast.cut)}" if contrast.cut else ""


def _part(first: float) -> str:
    return "" if first >= 1 else f"first {words.percent(first, 0)} of training"


def _said(measure: str, value: float | None) -> str:
    if value is None:
        return words.NONE
    kind = MEASURES[measure].shown_as
    if kind == "points":
        return words.points(value)
    return words.factor(value) if kind == "times" else quantity(value)


def _reading(claim: CheckedClaim) -> str:
    return "noted" if claim.reading is Reading.NOTED else str(claim.reading)


def _criterion(claim: CheckedClaim) -> str:
    parts = [
        f"{sign} {_said(claim.measure, limit)}"
        for sign, limit in (("\N{GREATER-THAN OR EQUAL TO}", claim.at_least),
                            ("\N{LESS-THAN OR EQUAL TO}", claim.at_most))
        if limit is not None
    ]  # fmt: skip
    return ", ".join(parts) or words.NONE


def _ours(claim: CheckedClaim) -> Cell:
    if claim.ours is None:
        return Cell(words.NONE)
    low, high = (_said(claim.measure, v) for v in (claim.ours.lower, claim.ours.upper))
    known = claim.ours.seeds > 1
    return Cell(_said(claim.measure, claim.ours.mean), f"{low} to {high}" if known else "")


def facts(study: Study, summary: Summary) -> common.Facts:
    """Names and values, in the order of a page; what isn't known is left out.

    Args:
        study: The cells of a run.
        summary: What they came to.
    """
    files = study.files
    seconds = sum(sum(each.values("seconds").values()) for each in summary.branches)
    return common.known(
        [
            ("Recipe", f"{summary.name} ({summary.run})"),
            ("Data", common.data(files)),
            ("Noise", _noise(summary)),
            ("Network", _network(study)),
            ("Normalization", ", ".join(labels(study.branches))),
            ("Training", _facts_training(study)),
            ("Landscape", _facts_landscape(study)),
            ("Seeds", words.ranges(list(summary.seeds))),
            ("Networks", _networks(study, summary)),
            ("Time", common.time(files, seconds)),
            *common.origin(files.environment),
        ]
    )


def _noise(summary: Summary) -> str:
    found = summary.memorization
    if found is None:
        return ""
    realized = words.percent2(found.realized.mean)
    return f"{found.noise}, {realized} of the training labels are wrong; test labels are right"


def _network(study: Study) -> str:
    depth = study.files.table("model").get("depth")
    return ", ".join(
        part for part in (common.network(study.files), f"depth {depth}" if depth else "") if part
    )


def _networks(study: Study, summary: Summary) -> str:
    asked = sum(len(branch.seeds) for branch in study.branches)
    done = sum(len(each.seeds) for each in summary.branches)
    return f"{done} of {asked} finished" if asked else ""


def _facts_training(study: Study) -> str:
    if not study.files.table("train"):
        return ""
    return ", ".join(
        part
        for part in (
            _numbers(study.branches, "steps", "iterations"),
            f"batches of {_numbers(study.branches, 'batch_size', '')}".strip(),
            common.optimizer(study.files),
        )
        if part
    )


def _numbers(branches: tuple[Branch, ...], name: str, noun: str) -> str:
    """`1500 iterations`, `750 to 24 000 iterations`."""
    found = sorted({getattr(branch, name) for branch in branches})
    if not found:
        return ""
    text = words.number(found[0])
    if len(found) > 1:
        text = f"{text} to {words.number(found[-1])}"
    return f"{text} {noun}".strip()


def _facts_landscape(study: Study) -> str:
    table = study.files.table("landscape")
    record = next((r for b in study.branches for r in study.landscapes(b).values()), None)
    if record is None:
        return ""
    k = record.multipliers
    parts = [
        f"{words.plural(len(k), 'point')} from {k[0]:g} to {k[-1]:g} times the step",
        f"along the {table['direction']}" if "direction" in table else "",
        "on the training batch" if table.get("batch") == "train" else "",
        "on a fixed batch" if table.get("batch") == "fixed" else "",
        f"every {table['every']} iterations" if table.get("every") else "",
    ]
    return ", ".join(part for part in parts if part)
