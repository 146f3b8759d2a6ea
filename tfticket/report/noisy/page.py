"""What the page of a run of the kind `noisy` shows."""

from __future__ import annotations

from tfticket.report import facts as common
from tfticket.report import words
from tfticket.report.contents import Contents
from tfticket.report.noisy.summary import ACCURACY, CONFIDENCE, Summary, Training, summarize_files
from tfticket.report.reading import RunFiles
from tfticket.report.spread import Spread
from tfticket.report.tables import Cell, Table

_THEORY = ("accuracy", "precision", "recall")


def compose(files: RunFiles) -> Contents:
    """Summarizes a run and sets its tables.

    Args:
        files: The run.
    """
    summary = summarize_files(files)
    return Contents(
        template="noisy/page.html.j2",
        summary=summary,
        values={
            "facts": _facts(files, summary),
            "confidence": f"{100 * CONFIDENCE:g}",
            "accuracies": _accuracies(summary),
            "selections": _selections(summary),
            "theory": _theory(summary),
        },
        figures={},
    )


def _facts(files: RunFiles, summary: Summary) -> common.Facts:
    seconds = sum(
        sum(t.measures["seconds"].values.values())
        for t in summary.trainings
        if "seconds" in t.measures
    )
    return common.known(
        [
            ("Recipe", f"{summary.name} ({summary.run})"),
            ("Data", common.data(files)),
            ("Network", common.network(files)),
            ("Optimizer", common.optimizer(files)),
            ("Time", common.time(files, seconds)),
            *common.origin(files.environment),
        ]
    )


def _accuracies(summary: Summary) -> Table | None:
    trained = [found for found in summary.trainings if ACCURACY in found.measures]
    if not trained:
        return None
    columns = ("<noise", "wrong labels", "<method", "test accuracy",
               "against cross-entropy, points",
               "by noisy validation", "labels kept that are right", "seeds")  # fmt: skip
    return Table(columns, tuple(_row(found) for found in trained))


def _row(found: Training) -> tuple[Cell, ...]:
    gain = found.gain
    return (
        Cell(found.noise),
        _mean(found, "noise_rate"),
        Cell(found.method),
        _spread(found.measures[ACCURACY]),
        Cell(words.points(gain.mean), words.points_interval(gain)) if gain else Cell(""),
        _mean(found, "accuracy_by_validation"),
        _mean(found, "label_precision_last"),
        Cell(str(len(found.measures[ACCURACY].values))),
    )


def _selections(summary: Summary) -> Table | None:
    known = [found for found in summary.trainings if "estimated_rate" in found.measures]
    first = {found.noise: found for found in reversed(known)}
    if not first:
        return None
    names = ("noise_rate", "estimated_rate", "estimated_low", "estimated_high", "identifiable",
             "selected", "selected_precision", "selected_recall")  # fmt: skip
    columns = ("<noise", "wrong labels", "estimated", "from", "to", "identifiable", "selected",
               "label precision", "label recall")  # fmt: skip
    ordered = [first[noise] for noise in dict.fromkeys(found.noise for found in known)]
    rows = [(Cell(f.noise), *(_mean(f, name) for name in names)) for f in ordered]
    return Table(columns, tuple(rows))


def _theory(summary: Summary) -> Table | None:
    known = [found for found in summary.trainings if "predicted_accuracy" in found.measures]
    if not known:
        return None
    columns = ["<noise", "wrong labels"]
    for measure in _THEORY:
        columns += [f"{measure}, predicted", "observed"]
    names = [f"{kind}_{measure}" for measure in _THEORY for kind in ("predicted", "observed")]
    rows = [
        (Cell(f.noise), _mean(f, "noise_rate"), *(_mean(f, name) for name in names)) for f in known
    ]
    return Table(tuple(columns), tuple(rows))


def _mean(found: Training, name: str) -> Cell:
    return Cell(words.percent(found.measures[name].mean) if name in found.measures else "")


def _spread(found: Spread) -> Cell:
    bounds = found.interval
    if bounds.seeds < 2:
        return Cell(words.percent2(found.mean))
    return Cell(
        words.percent2(found.mean),
        f"{words.percent2(bounds.lower)} to {words.percent2(bounds.upper)}",
    )
