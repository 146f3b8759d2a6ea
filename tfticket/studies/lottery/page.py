"""The page of a search for tickets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfticket.display import words
from tfticket.display.charts import Figure, spread_out
from tfticket.display.words import factor, joined, number, percent, percent2, significant
from tfticket.lottery.comparison import Comparison
from tfticket.lottery.metric import Metric
from tfticket.lottery.over_seeds import figures
from tfticket.lottery.verdict import LevelVerdict
from tfticket.report.contents import Contents
from tfticket.report.reading import DENSE, RunFiles
from tfticket.report.tables import Cell, Strip, Table, interval_cell, range_cell, table
from tfticket.studies.lottery import insides
from tfticket.studies.lottery.anatomy import Anatomy, LevelAnatomy, dissect
from tfticket.studies.lottery.facts import MEANINGS, facts, structure
from tfticket.studies.lottery.summary import Summary, summarize_files

_LOOKED_AT = 7
_Of = Callable[[LevelVerdict], Comparison | None]
_Column = tuple[str, Callable[[LevelVerdict], Cell]]


def compose(files: RunFiles) -> Contents:
    """Summarize, open the tickets, and draw."""
    summary = summarize_files(files)
    densities = {level.level: level.density for level in summary.branch("ticket")}
    winning = [summary.smallest_winning.level] if summary.smallest_winning else []
    anatomy = dissect(files, sorted({*spread_out(list(densities), _LOOKED_AT), *winning}))
    focus = _focus(anatomy, winning)
    return Contents(
        summary=summary,
        values={
            "facts": facts(summary),
            "meanings": MEANINGS,
            "margin_share": _margin_share(files.table("verdict")),
            "structure": structure(files.table("lottery")),
            "verdicts": verdict_table(summary),
            "family": family_table(summary),
            "controls": control_table(summary),
            "results": results_table(summary),
            "anatomy": anatomy,
            "focus": focus,
            "focus_density": densities.get(focus.level) if focus else None,
            "opened": anatomy_table(anatomy, densities) if anatomy else None,
            "layers": layer_table(focus) if focus else None,
            "exports": export_table(files.exports),
            "recommended_k": (files.connectivity or {}).get("recommended"),
        },
        figures=_results(files, summary) | _insides(anatomy, focus, densities),
    )


def _margin_share(verdict: Mapping[str, Any]) -> str:
    """Return the size of a relative margin and what it is a share of; empty for an absolute one."""
    if verdict.get("margin_is") != "relative":
        return ""
    return f" ({words.rate(verdict['margin'])} of the dense network's mean)"


def _focus(anatomy: Anatomy | None, winning: list[int]) -> LevelAnatomy | None:
    """The level to show layer by layer: the smallest winning ticket, or the sparsest there is."""
    if anatomy is None or not anatomy.levels:
        return None
    return next((x for x in anatomy.levels if x.level in winning), anatomy.levels[-1])


def _results(files: RunFiles, summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    metric = summary.metric
    along = None
    if metric.name != "loss":
        along = figures.learning_curves(files, summary, name=metric.name)
    return {
        "hypothesis": (f"Speed and {metric.label}", figures.hypothesis(summary)),
        "plane": (f"{_title(metric.difference)} against speed", figures.plane(summary)),
        f"{metric.key}_at_end": (
            f"{metric.title} after the last iteration",
            figures.value_at_end(summary),
        ),
        "early_stop": ("Early-stop iteration", figures.early_stop(summary)),
        "loss_curves": ("Validation loss", figures.learning_curves(files, summary, name="loss")),
        f"{metric.key}_curves": (f"Validation {metric.label}", along),
        "connectivity": ("Linear mode connectivity", figures.connectivity(files.connectivity)),
    }


def _insides(
    anatomy: Anatomy | None, focus: LevelAnatomy | None, densities: Mapping[int, float]
) -> dict[str, tuple[str, Figure | None]]:
    if anatomy is None:
        return {}
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


def verdict_table(summary: Summary) -> Table | None:
    """The verdict on each level, with its intervals and the seeds that would settle it."""
    metric = summary.metric
    strips, remaining = _strips(summary), {x.level: x.remaining for x in summary.branch("ticket")}

    # The control against its ticket: signs and ratios are those of the control.
    def twin(found: LevelVerdict) -> Comparison | None:
        return found.twin.reverse() if found.twin else None

    return table(
        summary.verdicts,
        ("level", lambda found: str(found.level)),
        (
            "weights left",
            lambda found: Cell(percent(found.density), number(remaining[found.level])),
        ),
        ("<verdict", lambda found: _verdict(found, metric)),
        _gains(metric.against("dense"), lambda found: found.against_dense, metric),
        ("<", lambda found: Cell("", strip=strips.get(found.level))),
        _speeds(lambda found: found.against_dense),
        _gains(f"reinitialized{metric.comma_unit}", twin, metric),
        _speeds(twin),
        (
            "early stop, times",
            lambda found: interval_cell(found.against_dense.early_stop_speedup, factor),
        ),
        ("seeds", lambda found: str(len(found.against_dense.seeds))),
        ("more needed", _more_seeds),
    )


def family_table(summary: Summary) -> Table | None:
    """All levels together: simultaneous intervals and adjusted p-values; None with one seed."""

    def winning(found: LevelVerdict) -> str:
        return words.p_value(found.family.p_winning) if found.twin else words.NONE

    return table(
        [found for found in summary.verdicts if found.against_dense.gain.seeds > 1],
        ("level", lambda found: str(found.level)),
        ("weights left", lambda found: percent(found.density)),
        ("<all levels considered", _family_cell),
        (
            summary.metric.against("dense"),
            lambda found: summary.metric.say_gains(found.family.gain),
        ),
        ("times as fast", lambda found: words.interval(found.family.speedup, factor)),
        ("p, not matching", lambda found: words.p_value(found.family.p_matching)),
        ("p, not winning", winning),
    )


def control_table(summary: Summary) -> Table | None:
    """The ticket against each control of its level; None without controls."""

    def against(name: str) -> tuple[_Column, _Column]:
        def of(found: LevelVerdict) -> Comparison | None:
            return found.against_controls.get(name)

        metric = summary.metric
        return _gains(f"against {name}{metric.comma_unit}", of, metric), _speeds(of)

    return table(
        [found for found in summary.verdicts if found.against_controls],
        ("level", lambda found: str(found.level)),
        ("weights left", lambda found: percent(found.density)),
        *(column for name in summary.branches if name != "ticket" for column in against(name)),
    )


def results_table(summary: Summary) -> Table | None:
    """Every branch and level: means, and minimum to maximum over seeds."""
    metric = summary.metric
    return table(
        summary.levels,
        (
            "<branch",
            lambda level: "dense" if (level.branch, level.level) == DENSE else level.branch,
        ),
        ("level", lambda level: str(level.level)),
        ("weights left", lambda level: percent(level.density)),
        ("count", lambda level: number(level.remaining)),
        (f"{metric.label}, early stop", lambda level: range_cell(level.value, metric.say)),
        (f"{metric.label}, last step", lambda level: range_cell(level.value_at_end, metric.say)),
        ("early-stop iteration", lambda level: range_cell(level.early_stop_step, number)),
        ("seeds", lambda level: str(level.value.seeds)),
        ("time", lambda level: words.duration(level.seconds)),
    )


def _gains(heading: str, of: _Of, metric: Metric) -> _Column:
    """Column of differences that are positive where the first network is better."""
    return heading, lambda found: interval_cell(getattr(of(found), "gain", None), metric.say_gain)


def _speeds(of: _Of) -> _Column:
    """Column of ratios of speed."""
    return "times as fast", lambda found: interval_cell(getattr(of(found), "speedup", None), factor)


def _verdict(found: LevelVerdict, metric: Metric) -> Cell:
    better = "more accurate" if metric.is_accuracy else "better"
    said = joined("faster" if found.faster else "", better if found.more_accurate else "")
    tag = found.verdict.name.lower()
    return Cell(str(found.verdict), joined(said, found.lacking, by="; "), tag=tag)


def _family_cell(verdict: LevelVerdict) -> Cell:
    if verdict.family.winning:
        return Cell("winning", tag="winning")
    return Cell("matching", tag="matching") if verdict.family.matching else Cell(words.NONE)


def _more_seeds(verdict: LevelVerdict) -> str:
    if verdict.more_seeds is not None:
        return words.number(verdict.more_seeds)
    return "at least 2" if len(verdict.against_dense.seeds) < 2 else "over 1000"


def _strips(summary: Summary) -> dict[int, Strip]:
    """All intervals on one scale, which no single wide one may stretch; by level."""
    found = {v.level: v.against_dense.gain for v in summary.verdicts}
    known = {level: gain for level, gain in found.items() if gain.seeds > 1}
    means, margin = [gain.mean for gain in known.values()], summary.criteria.margin
    low, high = min([-1.5 * margin, *means]), max([margin, 1e-4, *means])
    room = 0.25 * (high - low)

    def place(value: float) -> float:
        return min(1.0, max(0.0, (value - low + room) / (high - low + 2 * room)))

    return {
        level: Strip(place(g.lower), place(g.mean), place(g.upper), place(0.0), place(-margin))
        for level, g in known.items()
    }


def anatomy_table(anatomy: Anatomy, densities: Mapping[int, float]) -> Table | None:
    """The levels that were opened: dead units, connected weights, signs, overlap of seeds."""

    def dead(level: LevelAnatomy) -> Cell:
        found = level.dead.values()
        count = sum(units.dead_in if units.dead is None else units.dead for units in found)
        return Cell(number(count), f"of {number(sum(units.units for units in found))}")

    def common(level: LevelAnatomy) -> str:
        ratios = [found.ratio for found in level.overlaps]
        return factor(sum(ratios) / len(ratios)) if ratios else words.NONE

    return table(
        anatomy.levels,
        ("level", lambda level: str(level.level)),
        ("weights left", lambda level: _given(densities.get(level.level), percent, "")),
        ("dead units", dead),
        ("on a path to the output", lambda level: _given(level.connected, percent)),
        ("same sign after training", lambda level: percent(level.sign_share)),
        ("in common with another seed, of chance", common),
    )


def layer_table(level: LevelAnatomy) -> Table | None:
    """One ticket, layer by layer."""
    return table(
        [(key, kept, level.dead[key], level.signs.get(key)) for key, kept in level.mask.items()],
        ("<layer", lambda row: row[0]),
        ("<shape", lambda row: words.TIMES.join(str(side) for side in row[1].shape)),
        ("kept", lambda row: number(int(row[1].sum()))),
        ("density", lambda row: percent(float(row[1].mean()))),
        ("units", lambda row: number(row[2].units)),
        ("nothing comes in", lambda row: number(row[2].dead_in)),
        ("nothing goes out", lambda row: _given(row[2].dead_out, number)),
        ("same sign", lambda row: percent(row[3].share) if row[3] else words.NONE),
    )


def export_table(exports: Sequence[Mapping[str, Any]]) -> Table | None:
    """The exported files: what they weigh and whether they still say the same.

    Args:
        exports: The files' `.json`, as `tfticket.export` writes them; what is absent is a dash.
    """

    def verified(name: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda file: _given((file.get("verification") or {}).get(name), percent2)

    def error(name: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda file: _given((file.get("verification") or {}).get(name), significant)

    answers = [
        ("accuracy", verified("accuracy")),
        ("Keras", verified("keras_accuracy")),
        ("same answer as Keras", verified("agreement")),
    ]
    if any((file.get("verification") or {}).get("error") is not None for file in exports):
        answers = [
            ("root mean square error", error("error")),
            ("Keras", error("keras_error")),
            ("variance explained", verified("explained")),
        ]

    def latency(file: Mapping[str, Any]) -> Cell:
        found = file.get("latency") or {}
        return Cell(
            _given(found.get("microseconds"), words.microseconds),
            _given(found.get("speedup"), lambda ratio: f"{factor(ratio)} as fast", ""),
        )

    return table(
        exports,
        ("<file", lambda file: str(file.get("path", ""))),
        ("<format", lambda file: str(file.get("format", ""))),
        ("size", lambda file: _given(file.get("size_bytes"), words.size)),
        ("gzip", lambda file: _given(file.get("gzip_bytes"), words.size)),
        *answers,
        ("one inference", latency),
    )


def _title(text: str) -> str:
    return text[0].upper() + text[1:]


def _given(value: Any, say: Callable[[Any], str], absent: str = words.NONE) -> str:
    return absent if value is None else say(value)
