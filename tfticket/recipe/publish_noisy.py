"""What is published of a run of the kind `noisy`: its report, and each training's receipt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfticket.errors import RunError
from tfticket.files import read_arrays, read_table
from tfticket.runs.published import Published, measured, reported, table_in
from tfticket.runs.rundir import RunDir

_MOST_FIGURES = 6
_ACCURACY = "accuracy_last"
_OF_INTERVAL = ("mean", "lower", "upper", "seeds")


def chosen(run: RunDir) -> Published:
    """Summary and figures; the card says what each training measured and what its labels were.

    Of the card, `results` has a row for each training: its accuracy on clean test data and its
    gain over cross-entropy (None for cross-entropy), with intervals over seeds. `noise_rates` has
    one for each noise and seed: the estimated share of wrong labels beside the realised one. All
    shares are in [0, 1].

    Raises:
        RunError: when the run has no report, or one that was made before the run was complete.
    """
    cells: list[dict[str, Any]] = read_table(run.cells)["cells"]
    seeds: list[int] = run.resolved()["seeds"]
    measurements = measured(run)
    report = reported(run, figures=_MOST_FIGURES)
    summary = table_in(report, "summary.json")
    _check_whole(run, summary, seeds, cells)
    return Published(
        report,
        {
            "data": _data(run),
            "confidence": summary["confidence"],
            "results": [_result(training) for training in summary["trainings"]],
            "noise_rates": [_noise_rate(selection) for selection in summary["selections"]],
            "cells": [
                cell
                | {
                    "receipts": {f"seed_{s}": _receipt(run, s, cell["branch"]) for s in seeds},
                    "measured": measurements.get(cell["branch"], {}),
                }
                for cell in cells
            ],
        },
    )


def _check_whole(
    run: RunDir, summary: Mapping[str, Any], seeds: list[int], cells: list[dict[str, Any]]
) -> None:
    """Raises `RunError` unless the report is of all seeds and trainings of the run."""
    reported_branches = [training["branch"] for training in summary.get("trainings", ())]
    whole = summary.get("complete") and sorted(summary.get("seeds", ())) == sorted(seeds)
    if not whole or reported_branches != [cell["branch"] for cell in cells]:
        raise RunError(
            "The report must be made of the complete run. Received: one of "
            f"{len(reported_branches)} of {len(cells)} trainings and the seeds "
            f"{summary.get('seeds', [])} of {seeds}, made before the run was complete. Make it "
            f"again by `tfticket report {run.path}`."
        )


def _data(run: RunDir) -> dict[str, Any]:
    """What the data was, without its name, which may be a path of the machine of the run."""
    facts = run.environment_facts().get("data", {})
    return {name: value for name, value in facts.items() if name != "name"}


def _result(training: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "noise": training["noise"],
        "method": training["method"],
        _ACCURACY: _interval(training["measures"].get(_ACCURACY)),  # none of held-out predictions
        "gain": _interval(training["gain"]),
    }


def _interval(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if found is None else {name: found[name] for name in _OF_INTERVAL}


def _noise_rate(selection: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: selection[name] for name in ("noise", "seed", "low", "high", "identifiable")}
    return own | {"realized": selection["true_rate"], "estimated": selection["rate"]}


def _receipt(run: RunDir, seed: int, branch: str) -> dict[str, Any]:
    header, _ = read_arrays(run.ticket(seed, branch, 0), kind="noisy_cell")
    return header["receipt"]
