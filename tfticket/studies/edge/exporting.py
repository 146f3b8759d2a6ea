"""From the searches of a run of the kind `edge` to the table of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tfticket.data import DataSet
from tfticket.errors import ExportError
from tfticket.export.choice import Choice, choose
from tfticket.export.comparison import Attempt, Comparison, Conditions, Network, compare
from tfticket.export.finetune import FineTuning
from tfticket.export.result import Format
from tfticket.export.rows import chosen, to_rows
from tfticket.files import write_json
from tfticket.runs.progress import Progress, Silence
from tfticket.runs.rundir import RunDir
from tfticket.studies.edge.schema import EdgeRecipe
from tfticket.studies.lottery.exporting import Exporter, examples
from tfticket.studies.lottery.study import LotteryStudy

_DENSE = 0
_TUNING_EXAMPLES = 20_000
_LEAST_AGREEMENT = 0.5  # the table shows what rounding costs; the choice goes by accuracy


def make_files(
    recipe: EdgeRecipe, searches: Mapping[str, LotteryStudy], run: RunDir, progress: Progress
) -> list[str]:
    """Export every level of every search in every format, and writes the table.

    All files of the first seed take part; the files of the Pareto fronts, of the dense network and
    the chosen one are kept. What was chosen is made for the other seeds too, since one network can
    be lucky. Choices go by validation data; test data is measured for the table.

    Args:
        recipe: The recipe.
        searches: The finished searches, by structure.
        run: Where to.
        progress: The listener.

    Returns:
        Why there is no file to ship; empty when there is one.

    Raises:
        ExportError: when the dense network can't be converted, so that nothing can be compared.
    """
    data = next(iter(searches.values())).data
    conditions = _conditions(recipe, data)
    first, *others = recipe.seeds
    comparison = _compare(recipe, searches, run, first, None, conditions, progress)
    try:
        choice = choose(comparison, objective=recipe.edge.objective, margin=recipe.edge.margin)
    except ExportError as error:
        progress.message(f"No file to ship. {error}")
        no_choice: dict[str, Any] = {"name": None, "reason": str(error), "explanations": []}
        _write(recipe, comparison, run, no_choice, [], _save(comparison, None, run))
        return [str(error)]
    progress.message(f"Ship {choice.attempt.name}. {choice.reason}")
    replicates = [_replicate(comparison, choice)]
    for seed in others:
        again = _compare(recipe, searches, run, seed, choice.attempt, conditions, progress)
        replicates.append(_replicate(again, Choice(again.attempts[-1], "")))
    kept = _save(comparison, choice, run)
    _write(recipe, comparison, run, chosen(choice, comparison), replicates, kept)
    return []


def _write(
    recipe: EdgeRecipe,
    comparison: Comparison,
    run: RunDir,
    choice: Mapping[str, Any],
    replicates: list[dict[str, Any]],
    kept: list[str],
) -> None:
    """Writes the table of files."""
    write_json(
        run.edge,
        {
            "host": comparison.host,
            "seed": recipe.seeds[0],
            "margin": recipe.edge.margin,
            "objective": recipe.edge.objective,
            "rows": to_rows(comparison),
            "choice": choice,
            "replicates": [
                {"seed": seed, **found}
                for seed, found in zip(recipe.seeds, replicates, strict=bool(replicates))
            ],
            "files": kept,
        },
    )


def networks(
    searches: Mapping[str, LotteryStudy], run: RunDir, seed: int
) -> tuple[Network, list[Network]]:
    """Return the dense network, and the tickets of all searches, trained."""
    structure, study = next(iter(searches.items()))
    dense = _network(study, run, structure, seed, _DENSE)
    tickets = [
        _network(other, run, name, seed, level)
        for name, other in searches.items()
        for level in range(1, other.recipe.lottery.levels + 1)
    ]
    return dense, tickets


def _network(study: LotteryStudy, run: RunDir, structure: str, seed: int, level: int) -> Network:
    exporter = Exporter(study, run.search(structure), Silence())
    ticket, model = exporter.network(seed, level)
    return Network(
        name="dense" if level == _DENSE else f"{structure}_{level:02d}",
        model=model,
        mask=ticket.mask,
        structure="dense" if level == _DENSE else structure,
        level=level,
        provenance={**exporter.provenance(ticket, seed), "run": run.path.resolve().name},
    )


def _compare(
    recipe: EdgeRecipe,
    searches: Mapping[str, LotteryStudy],
    run: RunDir,
    seed: int,
    only: Attempt | None,
    conditions: Conditions,
    progress: Progress,
) -> Comparison:
    dense, tickets = networks(searches, run, seed)
    formats: list[Format] = list(recipe.edge.formats) if only is None else [only.format]
    taken = [n for n in (dense, *tickets) if only is None or n.name == only.network.name]
    return compare(
        taken,
        formats,
        baseline=dense,
        folder=run.shipped("file").parent,
        conditions=conditions,
        tell=progress.message,
    )


def _conditions(recipe: EdgeRecipe, data: DataSet) -> Conditions:
    tuning = None
    if recipe.edge.fine_tune_steps:
        tuning = FineTuning(
            data.inputs(data.train, _TUNING_EXAMPLES),
            data.train.y[:_TUNING_EXAMPLES],
            steps=recipe.edge.fine_tune_steps,
            batch_size=recipe.data.batch_size,
            learning_rate=recipe.edge.fine_tune_rate,
        )
    return Conditions(
        **examples(data, data.validation, len(data.validation)),
        test=(data.inputs(data.test), data.test.y),
        tuning=tuning,
        min_agreement=_LEAST_AGREEMENT,
    )


def _replicate(comparison: Comparison, choice: Choice) -> dict[str, Any]:
    """The chosen network and format with one seed, beside its dense network."""
    attempt, baseline = choice.attempt, comparison.baseline
    if attempt.draft is None or attempt.latency is None:
        return {"failure": attempt.failure}
    assert baseline.draft is not None
    return {
        "failure": None,
        "bytes": attempt.draft.report.size_bytes,
        "smaller": baseline.draft.report.size_bytes / attempt.draft.report.size_bytes,
        "speedup": attempt.latency.speedup,
        "test_accuracy": attempt.test_accuracy,
        "dense_test_accuracy": baseline.test_accuracy,
    }


def _save(comparison: Comparison, choice: Choice | None, run: RunDir) -> list[str]:
    """Writes the files worth keeping; returns their names."""
    rows = {row["name"]: row for row in to_rows(comparison)}
    names = []
    for attempt in comparison.passed:
        wanted = attempt.network.structure == "dense" or (
            choice is not None and attempt is choice.attempt
        )
        if attempt.draft is not None and (wanted or rows[attempt.name]["fronts"]):
            report = replace(attempt.draft.report, path=run.shipped(attempt.name))
            replace(attempt.draft, report=report).save()
            names.append(attempt.name)
    return names
