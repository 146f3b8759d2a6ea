"""The tables of a study of normalization: numbers turned into text, ready to be set."""

from __future__ import annotations

from collections.abc import Sequence

from tfticket.lottery.comparison import Interval
from tfticket.report import words
from tfticket.report.norms.batches import BatchLoss
from tfticket.report.norms.cells import Branch
from tfticket.report.norms.claims import CheckedClaim, Reading
from tfticket.report.norms.comparisons import BranchSummary, Contrast
from tfticket.report.norms.measures import MEASURES, STATISTICS
from tfticket.report.norms.summary import Summary
from tfticket.report.norms.words import bounds, quantity
from tfticket.report.spread import Spread
from tfticket.report.tables import Cell, Table

_TIMES = ("seconds", "landscape_seconds", "shift_seconds")
_TAGS = {"pass": "winning", "fail": "worse", "can't tell": "cant_tell", "no criterion": ""}


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
                Cell(_reading(claim), claim.why, tag=_TAGS[claim.reading]),
            )
            for claim in claims
        ),
    )


def smoothness_table(contrasts: Sequence[Contrast], summary: Summary) -> Table | None:
    """Each branch against another: how many times smoother, with intervals over seeds."""
    measures = ("predictiveness", "loss_band", "beta", "relative_beta")
    found = [c for c in contrasts if set(measures) & set(c.measures)]
    if not found:
        return None
    varying = _varying([contrast.branch for contrast in found], subnetwork=False)
    columns = ("<norm", "<against", *varying, "predictiveness band", "loss band", "effective beta",
               "relative beta", "beta saturated", "gauge above 1", "seeds")  # fmt: skip
    return Table(
        columns,
        tuple(
            (
                Cell(_name(contrast.branch)),
                Cell(_name(contrast.against), _until(contrast)),
                *_varied(contrast.branch, varying),
                *(_ratio(contrast.measures.get(name)) for name in measures),
                _share(summary.branch(contrast.branch), "saturated"),
                _share(summary.branch(contrast.branch), "above_one"),
                Cell(str(max(m.seeds for m in contrast.measures.values()))),
            )
            for contrast in found
        ),
    )


def raw_table(summary: Summary) -> Table | None:
    """The measures of smoothness themselves, branch by branch."""
    shown = ("predictiveness", "loss_band", "beta", "relative_beta", "sharpness", "gauge", "usable")
    found = [each for each in summary.branches if each.values("predictiveness")]
    if not found:
        return None
    columns = ("<branch", "predictiveness band", "loss band, log10", "effective beta",
               "relative beta", "sharpness", "gauge", "usable multiple", "seeds")  # fmt: skip
    return Table(
        columns,
        tuple(
            (
                Cell(each.branch.name),
                *(_number(each.measures.get(name)) for name in shown),
                Cell(str(len(each.seeds))),
            )
            for each in found
        ),
    )


def accuracy_table(summary: Summary) -> Table | None:
    """Test accuracy, or loss, of every branch, with intervals over seeds."""
    if not summary.branches:
        return None
    varying = _varying([each.branch for each in summary.branches])
    by_name = {c.branch.name: c for c in summary.norms}
    kinds = [name for name in STATISTICS if any(each.values(name) for each in summary.branches)]
    density = any(each.values("density") for each in summary.branches)
    columns = ("<norm", *varying, *(["weights left"] if density else []),
               *(f"accuracy, {STATISTICS[name]}" if len(kinds) > 1 else "test accuracy"
                 for name in kinds), *(["against baseline, points"] if kinds else []),
               "test loss", "diverged", "seeds")  # fmt: skip
    rows = []
    for each in summary.branches:
        contrast = by_name.get(each.branch.name)
        gain = contrast.measures.get("accuracy") if contrast else None
        after = f"after {words.number(contrast.cut)}" if contrast and contrast.cut else ""
        rows.append(
            (
                Cell(each.branch.label),
                *_varied(each.branch, varying),
                *([_percent(each.measures.get("density"))] if density else []),
                *(_accuracy(each.measures.get(name)) for name in kinds),
                *([_points(gain, after)] if kinds else []),
                _number(each.measures.get("loss")),
                Cell(f"{len(each.diverged)} of {len(each.seeds)}" if each.diverged else ""),
                Cell(str(len(each.seeds))),
            )
        )
    return Table(columns, tuple(rows))


def batch_table(losses: Sequence[BatchLoss]) -> Table | None:
    """A row a norm: what each smaller batch costs; beneath, what other statistics win back."""
    if not losses:
        return None
    sizes = sorted({loss.batch_size for loss in losses}, reverse=True)
    found = {(loss.label, loss.batch_size): loss for loss in losses}
    columns = ("<norm", "<points of accuracy", *(f"batch of {size}" for size in sizes), "seeds")
    rows = []
    for label in dict.fromkeys(loss.label for loss in losses):
        own = [found.get((label, size)) for size in sizes]
        known = [loss for loss in own if loss is not None]
        seeds = Cell(str(max(loss.drop.seeds for loss in known)))
        lost = [_points(loss.drop if loss else None) for loss in own]
        rows.append((Cell(label), Cell(f"lost against {known[0].largest}"), *lost, seeds))
        if any(loss.mismatch for loss in known):
            won = [_points(loss.mismatch if loss else None) for loss in own]
            rows.append((Cell(""), Cell("won back by statistics taken again"), *won, Cell("")))
    return Table(columns, tuple(rows))


def cost_table(summary: Summary) -> Table | None:
    """What measuring cost, by branch."""
    found = [e for e in summary.branches if e.values("landscape_seconds") and e.values("seconds")]
    if not found:
        return None
    columns = ("<branch", "training and measuring", "of it measuring", "share")
    rows = []
    for each in found:
        seconds, *trackers = (sum(each.values(name).values()) for name in _TIMES)
        tracking = sum(trackers)
        rows.append(
            (
                Cell(each.branch.name),
                Cell(words.duration(seconds)),
                Cell(words.duration(tracking)),
                Cell(words.percent(tracking / seconds) if seconds else words.NONE),
            )
        )
    return Table(columns, tuple(rows))


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


def _ratio(ratio: Interval | None) -> Cell:
    if ratio is None:
        return Cell(words.NONE)
    return Cell(words.factor(ratio.mean), bounds(ratio) if ratio.seeds > 1 else "")


def _points(difference: Interval | None, remark: str = "") -> Cell:
    if difference is None:
        return Cell("")
    details = (words.points_interval(difference), remark)
    return Cell(words.points(difference.mean), ", ".join(part for part in details if part))


def _accuracy(spread: Spread | None) -> Cell:
    if spread is None:
        return Cell(words.NONE)
    low, high = spread.interval.lower, min(1.0, spread.interval.upper)
    text = f"{words.percent2(low)[:-2]} to {words.percent2(high)[:-2]}"
    return Cell(words.percent2(spread.mean), text if spread.interval.seeds > 1 else "")


def _number(spread: Spread | None) -> Cell:
    if spread is None:
        return Cell(words.NONE)
    low, high = quantity(spread.smallest), quantity(spread.largest)
    return Cell(quantity(spread.mean), f"{low} to {high}" if low != high else "")


def _percent(spread: Spread | None) -> Cell:
    return Cell(words.percent(spread.mean) if spread else "")


def _share(found: BranchSummary | None, name: str) -> Cell:
    if found is None or name not in found.measures:
        return Cell(words.NONE)
    return Cell(words.percent(found.measures[name].mean, 0))


def _varying(branches: Sequence[Branch], *, subnetwork: bool = True) -> list[str]:
    """Headings of what varies among branches beside the normalization."""
    found = []
    if len({b.learning_rate for b in branches}) > 1:
        found.append("learning rate")
    if len({b.batch_size for b in branches}) > 1:
        found.append("batch size")
    if len({b.steps for b in branches}) > 1:
        found.append("iterations")
    if subnetwork and len({b.subnetwork for b in branches}) > 1:
        found.append("<subnetwork")
    return found


def _varied(branch: Branch, varying: Sequence[str]) -> list[Cell]:
    cells = {
        "learning rate": Cell(f"{branch.learning_rate:g}"),
        "batch size": Cell(str(branch.batch_size)),
        "iterations": Cell(words.number(branch.steps)),
        "<subnetwork": Cell(branch.subnetwork),
    }
    return [cells[name] for name in varying]
