"""The tables of smoothness and of claims: numbers turned into text, ready to be set."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.report import words
from tfticket.report.judging import TAGS, Reading
from tfticket.report.norms.cells import Branch
from tfticket.report.norms.claims import CheckedClaim
from tfticket.report.norms.comparisons import Contrast
from tfticket.report.norms.entries import number, ratio, share, varied, varying
from tfticket.report.norms.measures import MEASURES
from tfticket.report.norms.summary import Summary
from tfticket.report.norms.words import quantity
from tfticket.report.tables import Cell, Table

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
