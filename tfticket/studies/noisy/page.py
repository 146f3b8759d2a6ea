"""What the page of a run of the kind `noisy` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfticket.lottery.comparison import Interval
from tfticket.report import reading as common
from tfticket.report import words
from tfticket.report.charts import Figure
from tfticket.report.contents import Contents
from tfticket.report.judging import TAGS, Reading
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table
from tfticket.studies.noisy import figures
from tfticket.studies.noisy.claims import CheckedClaim
from tfticket.studies.noisy.figures import MEASURES, with_theory
from tfticket.studies.noisy.headline import STOPPED
from tfticket.studies.noisy.networks import Study, read_study
from tfticket.studies.noisy.results import ACCURACY, CONFIDENCE, Selection, Training
from tfticket.studies.noisy.summary import Summary, summarize_study


def compose(files: RunFiles) -> Contents:
    """Opens the trainings, summarizes and draws.

    Args:
        files: The run.
    """
    study = read_study(files)
    summary = summarize_study(study)
    return Contents(
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
        "matrices_left_out": figures.matrices_left_out(study),
        "claims": claim_table(summary.claims),
        "overview": overview_table(study, summary.trainings),
        "accuracies": accuracy_table(summary.trainings),
        "selections": selection_table(summary.selections),
        "rounds": round_table(summary.selections),
        "theory": theory_table(summary.trainings),
        "receipts": receipt_table(study),
    }


def _met(summary: Summary) -> bool:
    """Whether there are criteria and all are met."""
    readings = {claim.reading for claim in summary.claims} - {Reading.NOTED}
    return readings == {Reading.PASS}


def _figures(study: Study, summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    return {
        "gains": ("Gain over cross-entropy", figures.gains(study, summary.trainings)),
        "accuracy": ("Accuracy along training", figures.accuracy(study)),
        "quality": ("What was trained on", figures.quality(study)),
        "rates": ("Estimated and true share of wrong labels", figures.rates(summary.selections)),
        "matrices": ("Transition matrices", figures.matrices(study)),
        "rounds": ("Iterations of the selection", figures.rounds(summary.selections)),
        "theory": ("Theory and networks", figures.theory(summary.trainings)),
    }


def claim_table(claims: Sequence[CheckedClaim]) -> Table | None:
    """Each expectation: the paper's number, the criterion, ours, and whether it is met."""
    if not claims:
        return None
    columns = ("<claim", "<where", "<measure", "paper", "asked for", "ours", "seeds", "<reading")
    return Table(columns, tuple(_claim(claim) for claim in claims))


def _claim(claim: CheckedClaim) -> tuple[Cell, ...]:
    limits = [
        f"{sign} {_said(claim, limit)}"
        for sign, limit in (("\N{GREATER-THAN OR EQUAL TO}", claim.at_least),
                            ("\N{LESS-THAN OR EQUAL TO}", claim.at_most))
        if limit is not None
    ]  # fmt: skip
    ours, reading = claim.ours, claim.reading
    mean = Cell(words.NONE)
    if ours is not None:
        bounds = f"{_said(claim, ours.lower)} to {_said(claim, ours.upper)}"
        mean = Cell(_said(claim, ours.mean), bounds if ours.seeds > 1 else "")
    return (
        Cell(claim.claim),
        Cell(claim.source),
        Cell(claim.measure),
        Cell(_said(claim, claim.value)),
        Cell(", ".join(limits) or words.NONE),
        mean,
        Cell(str(ours.seeds) if ours else words.NONE),
        Cell("noted" if reading is Reading.NOTED else str(reading), claim.why, tag=TAGS[reading]),
    )


def _said(claim: CheckedClaim, value: float | None) -> str:
    if value is None:
        return words.NONE
    return words.points(value) if claim.is_difference else words.percent2(value)


def overview_table(study: Study, trainings: Sequence[Training]) -> Table | None:
    """A row a method, a column a noise: accuracy with its interval. None for a single noise."""
    trained = {(t.cell.method, t.cell.noise): t for t in trainings if ACCURACY in t.measures}
    noises = [noise for noise in study.noises if any(noise == key[1] for key in trained)]
    if len(noises) < 2:
        return None
    methods = dict.fromkeys(cell.method for cell in study.cells)
    names = {cell.method: cell.method_name for cell in study.cells}
    rows = tuple(
        (
            Cell(names[method]),
            *(_accuracy(trained.get((method, noise)), ACCURACY) for noise in noises),
        )
        for method in methods
        if any(method == key[0] for key in trained)
    )
    return Table(("<method", *noises), rows)


def accuracy_table(trainings: Sequence[Training]) -> Table | None:
    """A row a training: accuracy, gain over cross-entropy, and what it was trained on."""
    trained = [found for found in trainings if ACCURACY in found.measures]
    if not trained:
        return None
    columns = ("<noise", "wrong labels", "<method", "test accuracy",
               "against cross-entropy, points", "stopped by noisy validation", "label precision",
               "label recall", "forgotten", "alarms", "seeds")  # fmt: skip
    return Table(columns, tuple(_training(found) for found in trained))


def _training(found: Training) -> tuple[Cell, ...]:
    diverged = len(found.values("diverged"))
    seeds = str(len(found.values(ACCURACY)))
    events = sum(found.values("events").values())
    return (
        Cell(found.cell.noise),
        _share(found, "noise_rate"),
        Cell(found.cell.method_name, found.cell.branch),
        _accuracy(found, ACCURACY),
        gain_cell(found.gain),
        _accuracy(found, STOPPED),
        _share(found, "label_precision_last"),
        _share(found, "label_recall_last"),
        _share(found, "forget_rate"),
        Cell(words.number(events) if "events" in found.measures else words.NONE),
        Cell(seeds, f"{diverged} diverged" if diverged else ""),
    )


def gain_cell(gain: Interval | None) -> Cell:
    """A difference with its interval, and whether that tells it from none."""
    if gain is None:
        return Cell(words.NONE)
    tag = ""
    if gain.seeds > 1:
        tag = "winning" if gain.lower > 0 else "worse" if gain.upper < 0 else "cant_tell"
    return Cell(words.points(gain.mean), words.points_interval(gain), tag=tag)


def _accuracy(found: Training | None, name: str) -> Cell:
    if found is None or name not in found.measures:
        return Cell(words.NONE)
    bounds = found.measures[name].interval
    if bounds.seeds < 2:
        return Cell(words.percent2(bounds.mean))
    return Cell(
        words.percent2(bounds.mean),
        f"{words.percent2(bounds.lower)} to {words.percent2(bounds.upper)}",
    )


def _share(found: Training, name: str) -> Cell:
    if name not in found.measures:
        return Cell(words.NONE)
    return Cell(words.percent(found.measures[name].mean))


def selection_table(selections: Sequence[Selection]) -> Table | None:
    """A row a seed and noise: the estimate, the truth, and the sets."""
    if not selections:
        return None
    columns = ("<noise", "seed", "wrong labels", "estimated", "error, points", "<interval",
               "<inferred", "selected", "candidates", "removed", "label precision",
               "label recall")  # fmt: skip
    return Table(columns, tuple(_selection(found) for found in selections))


def _selection(found: Selection) -> tuple[Cell, ...]:
    error = words.number(100 * found.error, 2)
    if not found.identifiable:
        holds = Cell("not identifiable", found.reason, tag="cant_tell")
    elif found.holds:
        holds = Cell("holds the truth", tag="winning")
    else:
        holds = Cell("misses the truth", tag="worse")
    sets = [
        words.percent(found.sets[name]) if name in found.sets else words.NONE
        for name in ("selected", "candidates", "removed")
    ]
    quality = [
        words.NONE if value is None else words.percent(value)
        for value in (found.precision, found.recall)
    ]
    return (
        Cell(found.noise),
        Cell(str(found.seed)),
        Cell(words.percent(found.true_rate)),
        Cell(
            words.percent(found.rate), f"{words.percent(found.low)} to {words.percent(found.high)}"
        ),
        Cell(error),
        holds,
        Cell(found.kind or words.NONE),
        *map(Cell, [*sets, *quality]),
    )


def round_table(selections: Sequence[Selection]) -> Table | None:
    """What each iteration of each selection did; None where no file tells."""
    rows = tuple(
        (
            Cell(found.noise),
            Cell(str(found.seed)),
            Cell(str(number)),
            Cell(words.number(one["held_out"])),
            Cell(words.percent(one["agreement"])),
            Cell(words.number(one["selected"])),
            Cell(words.number(one["removed"])),
        )
        for found in selections
        for number, one in enumerate(found.rounds, start=1)
    )
    columns = ("<noise", "seed", "iteration", "asked about", "vote for the given label",
               "selected", "removed")  # fmt: skip
    return Table(columns, rows) if rows else None


def theory_table(trainings: Sequence[Training]) -> Table | None:
    """Predicted and observed measures of held-out predictions, a row a noise."""
    known = with_theory(trainings)
    if not known:
        return None
    columns = ["<noise", "wrong labels"]
    for measure in MEASURES:
        columns += [f"{measure}, predicted", "observed"]
    names = [f"{kind}_{measure}" for measure in MEASURES for kind in ("predicted", "observed")]
    rows = tuple(
        (
            Cell(found.cell.noise),
            _share(found, "noise_rate"),
            *(_share(found, name) for name in names),
        )
        for found in known
    )
    return Table(tuple(columns), rows)


def receipt_table(study: Study) -> Table | None:
    """What the noise was, a row a seed: asked for, realized, and the hash of the labels."""
    rows: dict[tuple[str, int], tuple[Cell, ...]] = {}
    for cell in study.cells:
        for seed in study.seeds:
            kept = study.kept.get((seed, cell.branch))
            receipt = kept.header.get("receipt") if kept else None
            if receipt and (cell.noise, seed) not in rows:
                rows[cell.noise, seed] = (
                    Cell(cell.noise),
                    Cell(str(seed)),
                    Cell(words.rate(cell.nominal_rate)),
                    Cell(words.percent2(float(receipt["realized_rate"]))),
                    Cell(words.number(int(receipt["wrong"]))),
                    Cell(words.number(int(receipt["examples"]))),
                    Cell(str(receipt["sha256"])[:16]),
                )
    columns = ("<noise", "seed", "asked for", "realized", "wrong labels", "of",
               "<hash of the labels")  # fmt: skip
    return Table(columns, tuple(rows.values())) if rows else None


def facts(study: Study, summary: Summary) -> common.Facts:
    """Names and values, in the order of a page; what isn't known is left out.

    Args:
        study: The trainings of a run.
        summary: What they came to.
    """
    files = study.files
    seconds = sum(sum(found.values("seconds").values()) for found in summary.trainings)
    return common.known(
        [
            ("Recipe", f"{summary.name} ({summary.run})"),
            ("Data", common.data(files)),
            ("Noise", ", ".join(cell.noise_name for cell in study.noises.values())),
            ("Methods", ", ".join(dict.fromkeys(cell.method_name for cell in study.cells))),
            ("Network", _network(study)),
            ("Training", _facts_training(study)),
            ("Held-out predictions", _facts_selection(files)),
            ("Seeds", words.ranges(list(summary.seeds))),
            ("Time", common.time(files, seconds)),
            *common.origin(files.environment),
        ]
    )


def _network(study: Study) -> str:
    name = common.network(study.files)
    return f"{name}, two of them in each training" if name and _trains(study) else name


def _trains(study: Study) -> bool:
    return any(cell.steps for cell in study.cells)


def _facts_training(study: Study) -> str:
    files, steps = study.files, sorted({cell.steps for cell in study.cells if cell.steps})
    batch = files.table("data").get("batch_size")
    return ", ".join(
        part
        for part in (
            f"{words.number(steps[-1])} iterations" if steps else "",
            f"batches of {batch}" if batch else "",
            common.optimizer(files) if files.table("train", "optimizer") else "",
        )
        if part
    )


def _facts_selection(files: RunFiles) -> str:
    table = files.table("selection")
    if not table:
        return ""
    return (
        f"{words.plural(table.get('folds', 2), 'fold')}, "
        f"{words.plural(table.get('epochs', 1), 'epoch')} each"
    )
