"""The page of a run of the kind `noisy`."""

from __future__ import annotations

from collections.abc import Callable

from tfticket.display import words
from tfticket.display.charts import Figure
from tfticket.display.words import joined, number, percent, percent2
from tfticket.report import facts
from tfticket.report.contents import Contents
from tfticket.report.reading import RunFiles
from tfticket.report.tables import Cell, Table, gain_cell, interval_cell, table
from tfticket.studies.noisy import figures
from tfticket.studies.noisy.figures import MEASURES, with_theory
from tfticket.studies.noisy.results import ACCURACY, STOPPED, MethodSummary, Selection, Study
from tfticket.studies.noisy.summary import Summary, summarize_files


def compose(files: RunFiles) -> Contents:
    """Open the trainings, summarize and draw."""
    summary = summarize_files(files)
    return Contents(
        summary=summary,
        values={
            "facts": _facts(summary),
            "damaged": summary.study.damaged,
            "last": int(files.recipe.get("last") or 1),
            "matrices_left_out": figures.matrices_left_out(summary.study),
            "overview": overview_table(summary),
            "accuracies": accuracy_table(summary),
            "selections": selection_table(summary),
            "rounds": round_table(summary),
            "theory": theory_table(summary),
            "receipts": receipt_table(summary.study),
        },
        figures=_figures(summary),
    )


def _figures(summary: Summary) -> dict[str, tuple[str, Figure | None]]:
    study, trainings, selections = summary.study, summary.trainings, summary.selections
    return {
        "gains": ("Gain over cross-entropy", figures.gains(study, trainings)),
        "accuracy": ("Accuracy along training", figures.accuracy(study)),
        "quality": ("What was trained on", figures.quality(study)),
        "rates": ("Estimated and true share of wrong labels", figures.rates(selections)),
        "matrices": ("Transition matrices", figures.matrices(study)),
        "rounds": ("Iterations of the selection", figures.rounds(selections)),
        "theory": ("Theory and networks", figures.theory(trainings)),
    }


def overview_table(summary: Summary) -> Table | None:
    """A row a method, a column a noise: accuracy with its interval. None for a single noise."""
    trained = {
        (found.condition.method, found.condition.noise): found.measures[ACCURACY]
        for found in summary.trainings
        if ACCURACY in found.measures
    }
    noises = [noise for noise in summary.study.noises if any(noise == key[1] for key in trained)]
    if len(noises) < 2:
        return None

    def under(noise: str) -> Callable[[str], Cell]:
        return lambda method: interval_cell(trained.get((method, noise)), percent2)

    names = {each.method: each.method_name for each in summary.study.conditions}
    return table(
        [method for method in names if any(method == key[0] for key in trained)],
        ("<method", lambda method: names[method]),
        *((noise, under(noise)) for noise in noises),
    )


def accuracy_table(summary: Summary) -> Table | None:
    """A row a training: accuracy, gain over cross-entropy, and what it was trained on."""
    return table(
        [found for found in summary.trainings if ACCURACY in found.measures],
        ("<noise", lambda found: found.condition.noise),
        ("wrong labels", _share("noise_rate")),
        ("<method", lambda found: Cell(found.condition.method_name, found.condition.name)),
        ("test accuracy", lambda found: interval_cell(found.measures[ACCURACY], percent2)),
        ("against cross-entropy, points", lambda found: gain_cell(found.gain)),
        (
            "stopped by noisy validation",
            lambda found: interval_cell(found.measures.get(STOPPED), percent2),
        ),
        ("label precision", _share("label_precision_last")),
        ("label recall", _share("label_recall_last")),
        ("forgotten", _share("forget_rate")),
        (
            "alarms",
            lambda found: (
                number(found.total("events")) if "events" in found.measures else words.NONE
            ),
        ),
        ("seeds", _seeds),
    )


def _seeds(found: MethodSummary) -> Cell:
    diverged = len(found.values("diverged"))
    return Cell(str(len(found.values(ACCURACY))), f"{diverged} diverged" if diverged else "")


def _share(name: str) -> Callable[[MethodSummary], str]:
    def mean(found: MethodSummary) -> str:
        return percent(found.measures[name].mean) if name in found.measures else words.NONE

    return mean


def selection_table(summary: Summary) -> Table | None:
    """A row a seed and noise: the estimate, the truth, and the sets."""

    def known(value: float | None) -> str:
        return words.NONE if value is None else percent(value)

    return table(
        summary.selections,
        ("<noise", lambda found: found.noise),
        ("seed", lambda found: str(found.seed)),
        ("wrong labels", lambda found: percent(found.true_rate)),
        (
            "estimated",
            lambda found: Cell(
                percent(found.rate), f"{percent(found.low)} to {percent(found.high)}"
            ),
        ),
        ("error, points", lambda found: number(100 * found.error, 2)),
        ("<interval", _interval),
        ("<inferred", lambda found: found.kind or words.NONE),
        ("selected", lambda found: known(found.sets.get("selected"))),
        ("candidates", lambda found: known(found.sets.get("candidates"))),
        ("removed", lambda found: known(found.sets.get("removed"))),
        ("label precision", lambda found: known(found.precision)),
        ("label recall", lambda found: known(found.recall)),
    )


def _interval(found: Selection) -> Cell:
    if not found.identifiable:
        return Cell("not identifiable", found.reason, tag="cant_tell")
    if found.holds:
        return Cell("contains the truth", tag="winning")
    return Cell("misses the truth", tag="worse")


def round_table(summary: Summary) -> Table | None:
    """The iterations of each selection; None where no file holds them."""
    rounds = [
        (found, number, each)
        for found in summary.selections
        for number, each in enumerate(found.rounds, start=1)
    ]
    return table(
        rounds,
        ("<noise", lambda row: row[0].noise),
        ("seed", lambda row: str(row[0].seed)),
        ("iteration", lambda row: str(row[1])),
        ("asked about", lambda row: number(row[2]["held_out"])),
        ("vote for the given label", lambda row: percent(row[2]["agreement"])),
        ("selected", lambda row: number(row[2]["selected"])),
        ("removed", lambda row: number(row[2]["removed"])),
    )


def theory_table(summary: Summary) -> Table | None:
    """Predicted and observed measures of held-out predictions, a row a noise."""
    columns = [
        (heading, _share(f"{kind}_{measure}"))
        for measure in MEASURES
        for kind, heading in (("predicted", f"{measure}, predicted"), ("observed", "observed"))
    ]
    return table(
        with_theory(summary.trainings),
        ("<noise", lambda found: found.condition.noise),
        ("wrong labels", _share("noise_rate")),
        *columns,
    )


def receipt_table(study: Study) -> Table | None:
    """The noise of each seed: asked for, realized, and the hash of the labels."""
    return table(
        [
            (condition, seed, trial.header["receipt"])
            for noise, condition in study.noises.items()
            for seed, trial in study.first_of(noise, lambda t: t.header.get("receipt")).items()
        ],
        ("<noise", lambda row: row[0].noise),
        ("seed", lambda row: str(row[1])),
        ("asked for", lambda row: words.rate(row[0].nominal_rate)),
        ("realized", lambda row: percent2(float(row[2]["realized_rate"]))),
        ("wrong labels", lambda row: number(int(row[2]["wrong"]))),
        ("of", lambda row: number(int(row[2]["examples"]))),
        ("<hash of the labels", lambda row: str(row[2]["sha256"])[:16]),
    )


def _facts(summary: Summary) -> facts.Facts:
    files, study = summary.files, summary.study
    steps = sorted({each.steps for each in study.conditions if each.steps})
    iterations = f"{number(steps[-1])} iterations" if steps else ""
    network, selection = facts.network(files), files.table("selection")
    folds, epochs = selection.get("folds", 2), selection.get("epochs", 1)
    held_out = f"{words.plural(folds, 'fold')}, {words.plural(epochs, 'epoch')} each"
    return facts.facts(
        files,
        ("Noise", joined(*(each.noise_name for each in study.noises.values()))),
        ("Methods", joined(*dict.fromkeys(each.method_name for each in study.conditions))),
        ("Network", f"{network}, two of them in each training" if network and steps else network),
        ("Training", facts.training(files, iterations, files.table("data").get("batch_size"))),
        ("Held-out predictions", held_out if selection else ""),
        seeds=summary.seeds,
        seconds=sum(found.total("seconds") for found in summary.trainings),
    )
