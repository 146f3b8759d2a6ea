"""What the page of a search shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfticket.lottery.comparison import Comparison, Interval
from tfticket.lottery.verdict import LevelVerdict
from tfticket.report import reading as common
from tfticket.report import words
from tfticket.report.charts import Figure, spread_out
from tfticket.report.contents import Contents
from tfticket.report.judging import Spread
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Strip, Table
from tfticket.studies.lottery import figures, insides
from tfticket.studies.lottery.anatomy import Anatomy, LevelAnatomy, dissect
from tfticket.studies.lottery.claims import CheckedClaim, check_claims
from tfticket.studies.lottery.summary import Summary, summarize_files

_LOOKED_AT = 7


def compose(files: RunFiles) -> Contents:
    """Summarizes, opens the tickets, and draws.

    Args:
        files: The run.
    """
    summary = summarize_files(files)
    densities = {level.level: level.density for level in summary.branch("ticket")}
    anatomy = dissect(files, _levels_to_open(summary, list(densities)))
    return Contents(
        summary=summary,
        values=_values(files, summary, anatomy, densities),
        figures=_results(files, summary) | _insides(summary, anatomy, densities),
    )


def _levels_to_open(summary: Summary, levels: list[int]) -> list[int]:
    """An even choice of levels, the smallest winning ticket's among them."""
    chosen = set(spread_out(levels, _LOOKED_AT))
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
        "verdicts": verdict_table(summary) if summary.verdicts else None,
        "family": family_table(summary),
        "controls": control_table(summary),
        "claims": claim_table(claims) if claims else None,
        "results": results_table(summary) if summary.levels else None,
        "anatomy": anatomy,
        "focus": focus,
        "focus_density": densities.get(focus.level) if focus else None,
        "opened": anatomy_table(anatomy, densities) if anatomy else None,
        "layers": layer_table(focus) if focus else None,
        "exports": export_table(files.exports) if files.exports else None,
        "recommended_k": (files.connectivity or {}).get("recommended"),
    }


def _results(files: RunFiles, summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    return {
        "hypothesis": ("Speed and accuracy", figures.hypothesis(summary)),
        "plane": ("Accuracy against speed", figures.plane(summary)),
        "accuracy_at_end": ("Accuracy after the last iteration", figures.accuracy_at_end(summary)),
        "early_stop": ("Early-stop iteration", figures.early_stop(summary)),
        "loss_curves": ("Validation loss", figures.learning_curves(files, summary, name="loss")),
        "accuracy_curves": (
            "Validation accuracy",
            figures.learning_curves(files, summary, name="accuracy"),
        ),
        "connectivity": ("Linear mode connectivity", figures.connectivity(files.connectivity)),
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


def verdict_table(summary: Summary) -> Table:
    """The verdict on each level, with its intervals and the seeds that would settle it."""
    strips = _strips([v.against_dense.gain for v in summary.verdicts], summary.criteria.margin)
    columns = ("level", "weights left", "<verdict", "accuracy against dense, points", "<",
               "times as fast", "reinitialized, points", "times as fast", "early stop, times",
               "seeds", "more needed")  # fmt: skip
    rows = []
    for verdict, strip in zip(summary.verdicts, strips, strict=True):
        against, twin = verdict.against_dense, verdict.twin
        remaining = summary.level("ticket", verdict.level)
        rows.append(
            (
                Cell(str(verdict.level)),
                Cell(
                    words.percent(verdict.density),
                    words.number(remaining.remaining) if remaining else "",
                ),
                Cell(str(verdict.verdict), _beside(verdict), tag=verdict.verdict.name.lower()),
                Cell(words.points(against.gain.mean), words.points_interval(against.gain)),
                Cell("", strip=strip),
                Cell(words.factor(against.speedup.mean), words.factor_interval(against.speedup)),
                *_twin_cells(twin),
                Cell(
                    words.factor(against.early_stop_speedup.mean),
                    words.factor_interval(against.early_stop_speedup),
                ),
                Cell(str(len(against.seeds))),
                Cell(_more_seeds(verdict)),
            )
        )
    return Table(columns, tuple(rows))


def family_table(summary: Summary) -> Table | None:
    """All levels together: simultaneous intervals and adjusted p-values; None with one seed."""
    told = [v for v in summary.verdicts if v.against_dense.gain.seeds > 1]
    if not told:
        return None
    columns = ("level", "weights left", "<all levels considered", "accuracy against dense, points",
               "times as fast", "p, not matching", "p, not winning")  # fmt: skip
    return Table(
        columns,
        tuple(
            (
                Cell(str(verdict.level)),
                Cell(words.percent(verdict.density)),
                _family_cell(verdict),
                Cell(words.points_interval(verdict.family.gain)),
                Cell(words.factor_interval(verdict.family.speedup)),
                Cell(words.p_value(verdict.family.p_matching)),
                Cell(
                    words.NONE if verdict.twin is None else words.p_value(verdict.family.p_winning)
                ),
            )
            for verdict in told
        ),
    )


def control_table(summary: Summary) -> Table | None:
    """The ticket against each control of its level; None without controls."""
    controls = [name for name in summary.branches if name != "ticket"]
    if not any(verdict.against_controls for verdict in summary.verdicts):
        return None
    columns = ["level", "weights left"]
    for name in controls:
        columns += [f"against {name}, points", "times as fast"]
    rows = []
    for verdict in summary.verdicts:
        if not verdict.against_controls:
            continue
        row = [Cell(str(verdict.level)), Cell(words.percent(verdict.density))]
        for name in controls:
            found = verdict.against_controls.get(name)
            if found is None:
                row += [Cell(words.NONE), Cell(words.NONE)]
                continue
            row += [
                Cell(words.points(found.gain.mean), words.points_interval(found.gain)),
                Cell(words.factor(found.speedup.mean), words.factor_interval(found.speedup)),
            ]
        rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows))


def claim_table(claims: Sequence[CheckedClaim]) -> Table:
    """The paper's claims beside ours."""
    columns = ("<claim", "<where", "paper", "ours", "read at", "<agreement")
    return Table(
        columns,
        tuple(
            (
                Cell(claim.claim),
                Cell(claim.source),
                Cell(_claimed(claim.measure, claim.value)),
                Cell(
                    _claimed(claim.measure, claim.ours.mean) if claim.ours else words.NONE,
                    _bounds(claim),
                ),
                Cell(words.percent(claim.density) if claim.density else ""),
                Cell(claim.reading),
            )
            for claim in claims
        ),
    )


def results_table(summary: Summary) -> Table:
    """Every branch and level: means, and minimum to maximum over seeds."""
    columns = ("<branch", "level", "weights left", "count", "accuracy, early stop",
               "accuracy, last step", "early-stop iteration", "seeds", "time")  # fmt: skip
    return Table(
        columns,
        tuple(
            (
                Cell(level.branch if level.level else "dense"),
                Cell(str(level.level)),
                Cell(words.percent(level.density)),
                Cell(words.number(level.remaining)),
                _accuracy(level.accuracy),
                _accuracy(level.accuracy_at_end),
                Cell(
                    words.number(level.early_stop_step.mean),
                    _range(
                        words.number(level.early_stop_step.smallest),
                        words.number(level.early_stop_step.largest),
                    ),
                ),
                Cell(str(len(level.accuracy.values))),
                Cell(words.duration(level.seconds)),
            )
            for level in summary.levels
        ),
    )


def _beside(verdict: LevelVerdict) -> str:
    """What is said beside a verdict."""
    said = ["faster"] if verdict.faster else []
    said += ["more accurate"] if verdict.more_accurate else []
    return "; ".join([", ".join(said), verdict.lacking] if said else [verdict.lacking]).strip("; ")


def _twin_cells(twin: Comparison | None) -> tuple[Cell, Cell]:
    """The twin against its ticket: signs and ratios are the twin's."""
    if twin is None:
        return Cell(words.NONE), Cell(words.NONE)
    gain, speed = twin.reverse().gain, twin.reverse().speedup
    return (
        Cell(words.points(gain.mean), words.points_interval(gain)),
        Cell(words.factor(speed.mean), words.factor_interval(speed)),
    )


def _family_cell(verdict: LevelVerdict) -> Cell:
    if verdict.family.winning:
        return Cell("winning", tag="winning")
    return Cell("matching", tag="matching") if verdict.family.matching else Cell(words.NONE)


def _accuracy(spread: Spread) -> Cell:
    bounds = _range(words.percent2(spread.smallest), words.percent2(spread.largest))
    return Cell(words.percent2(spread.mean), bounds if len(spread.values) > 1 else "")


def _range(low: str, high: str) -> str:
    return "" if low == high else f"{low} to {high}"


def _more_seeds(verdict: LevelVerdict) -> str:
    if verdict.more_seeds is not None:
        return words.number(verdict.more_seeds)
    return "at least 2" if len(verdict.against_dense.seeds) < 2 else "over 1000"


def _claimed(measure: str, value: float) -> str:
    if measure in ("speedup", "early_stop_speedup"):
        return words.factor(value)
    return words.points(value) if measure == "gain" else words.percent(value)


def _bounds(claim: CheckedClaim) -> str:
    if claim.ours is None or claim.measure == "smallest_density" or claim.ours.seeds < 2:
        return ""
    low, high = claim.ours.lower, claim.ours.upper
    return f"{_claimed(claim.measure, low)} to {_claimed(claim.measure, high)}"


def _strips(gains: Sequence[Interval], margin: float) -> list[Strip | None]:
    """All intervals on one scale, which no single wide one may stretch."""
    known = [gain for gain in gains if gain.seeds > 1]
    if not known:
        return [None] * len(gains)
    means = [gain.mean for gain in known]
    low, high = min(-1.5 * margin, *means), max(margin, 1e-4, *means)
    room = 0.25 * (high - low)

    def place(value: float) -> float:
        return min(1.0, max(0.0, (value - low + room) / (high - low + 2 * room)))

    return [
        Strip(place(g.lower), place(g.mean), place(g.upper), place(0.0), place(-margin))
        if g.seeds > 1
        else None
        for g in gains
    ]


def anatomy_table(anatomy: Anatomy, densities: Mapping[int, float]) -> Table:
    """The levels that were opened: dead units, connected weights, signs, overlap of seeds."""
    columns = ("level", "weights left", "dead units", "on a path to the output",
               "same sign after training", "in common with another seed, of chance")  # fmt: skip
    rows = []
    for level in anatomy.levels:
        ratios = [found.ratio for found in level.overlaps]
        dead = [
            found.dead_in if found.dead is None else found.dead for found in level.dead.values()
        ]
        units = sum(found.units for found in level.dead.values())
        rows.append(
            (
                Cell(str(level.level)),
                Cell(words.percent(densities[level.level]) if level.level in densities else ""),
                Cell(words.number(sum(dead)), f"of {words.number(units)}"),
                Cell(words.NONE if level.connected is None else words.percent(level.connected)),
                Cell(words.percent(level.sign_share)),
                Cell(words.factor(sum(ratios) / len(ratios)) if ratios else words.NONE),
            )
        )
    return Table(columns, tuple(rows))


def layer_table(level: LevelAnatomy) -> Table:
    """One ticket, layer by layer."""
    columns = ("<layer", "<shape", "kept", "density", "units", "nothing comes in",
               "nothing goes out", "same sign")  # fmt: skip
    rows = []
    for key, kept in level.mask.items():
        dead, signs = level.dead[key], level.signs.get(key)
        rows.append(
            (
                Cell(key),
                Cell(words.TIMES.join(str(side) for side in kept.shape)),
                Cell(words.number(int(kept.sum()))),
                Cell(words.percent(float(kept.mean()))),
                Cell(words.number(dead.units)),
                Cell(words.number(dead.dead_in)),
                Cell(words.NONE if dead.dead_out is None else words.number(dead.dead_out)),
                Cell(words.percent(signs.share) if signs else words.NONE),
            )
        )
    return Table(columns, tuple(rows))


def export_table(exports: Sequence[Mapping[str, Any]]) -> Table:
    """The exported files: what they weigh and whether they still say the same.

    Args:
        exports: The files' `.json`, as `tfticket.export` writes them; what is absent is a dash.
    """
    columns = ("<file", "<format", "size", "gzip", "accuracy", "Keras",
               "same answer as Keras", "one inference")  # fmt: skip
    rows = []
    for export in exports:
        verification, latency = export.get("verification") or {}, export.get("latency") or {}
        rows.append(
            (
                Cell(str(export.get("path", ""))),
                Cell(str(export.get("format", ""))),
                Cell(_given(export.get("size_bytes"), words.size)),
                Cell(_given(export.get("gzip_bytes"), words.size)),
                Cell(_given(verification.get("accuracy"), words.percent2)),
                Cell(_given(verification.get("keras_accuracy"), words.percent2)),
                Cell(_given(verification.get("agreement"), words.percent2)),
                Cell(
                    _given(latency.get("microseconds"), words.microseconds),
                    _given(latency.get("speedup"), lambda r: f"{words.factor(r)} as fast", ""),
                ),
            )
        )
    return Table(columns, tuple(rows))


def _given(value: Any, say: Callable[[Any], str], absent: str = words.NONE) -> str:
    return absent if value is None else say(value)


MEANINGS = {
    "reinit": "the ticket's mask with newly drawn weights",
    "shuffle": "the ticket's weights under its mask shuffled within each layer",
    "random": "a random mask with as many weights in all",
    "oneshot": "pruned once from the trained dense network to the same density",
}
"""What the usual controls are, by branch name."""


def facts(files: RunFiles, summary: Summary) -> common.Facts:
    """Names and values, in the order of a page; what isn't known is left out.

    Args:
        files: The run.
        summary: What it came to.
    """
    return common.known(
        [
            ("Recipe", f"{summary.name} ({summary.run})"),
            ("Data", common.data(files)),
            ("Network", _network(files, summary)),
            ("Training", _training(files)),
            ("Pruning", _pruning(files)),
            ("Seeds", words.ranges(list(summary.seeds))),
            ("Time", common.time(files, sum(level.seconds for level in summary.levels))),
            *common.origin(files.environment),
        ]
    )


def _network(files: RunFiles, summary: Summary) -> str:
    norm = files.table("model").get("norm")
    parts = [common.network(files)]
    if norm and norm != "none":
        parts.append(f"{norm} normalization")
    if summary.dense is not None and summary.dense.prunable:
        parts.append(f"{words.number(summary.dense.prunable)} prunable weights")
    return ", ".join(part for part in parts if part)


def _training(files: RunFiles) -> str:
    train = files.table("train")
    if not train:
        return ""
    parts = [
        f"{words.number(train['steps'])} iterations a level" if "steps" in train else "",
        f"batches of {files.table('data')['batch_size']}" if files.table("data") else "",
        common.optimizer(files),
    ]
    return ", ".join(part for part in parts if part)


def _pruning(files: RunFiles) -> str:
    lottery = files.table("lottery")
    if not lottery:
        return ""
    rate = lottery.get("rate")
    rates = lottery.get("rates") or {}
    own = ", ".join(f"{name} {words.rate(value)}" for name, value in rates.items())
    rewind = {"none": "no rewinding", "learning_rate": "learning-rate rewinding"}.get(
        str(lottery.get("rewind")), "rewound"
    )
    parts = [
        f"{lottery.get('pruner', '')} {lottery.get('score', '')}".strip(),
        structure(lottery),
        f"{words.rate(rate)} a level" if rate else "",
        f"({own})" if own else "",
        f"{words.plural(lottery['levels'], 'level')}" if "levels" in lottery else "",
        f"{rewind} to iteration {words.number(lottery.get('rewind_step', 0))}",
    ]
    return ", ".join(part for part in parts if part).replace(", (", " (")


def structure(lottery: Mapping[str, Any]) -> str:
    """What lives and dies together in the tickets; empty where each weight is for itself.

    Args:
        lottery: The table of the recipe.
    """
    n, m = lottery.get("pattern") or ("n", "m")
    return {
        "block_1x4": "blocks of 4 inputs",
        "n_of_m": f"at least {n} of {m} inputs kept",
        "channel": "whole channels",
    }.get(str(lottery.get("structure")), "")
