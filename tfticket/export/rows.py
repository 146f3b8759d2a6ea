"""A comparison as plain data: what a page, a table on the terminal and a JSON file show."""

from __future__ import annotations

from typing import Any

from tfticket.export.choice import Choice, cost_bytes, cost_time, cost_wire, pareto_front
from tfticket.export.comparison import Attempt, Comparison
from tfticket.export.flatbuffer import parse
from tfticket.export.inspect.cost import count
from tfticket.export.inspect.energy import compare
from tfticket.export.inspect.explain import explain
from tfticket.export.inspect.memory import Memory


def to_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one row an attempt, the baseline first.

    Sizes are in bytes, times in microseconds on the host only, accuracies and densities in [0, 1].
    `fronts` names the Pareto fronts that a row is on: `bytes`, `gzip`, `time`.
    """
    passed = comparison.passed
    fronts = {
        "bytes": pareto_front(passed, cost_bytes),
        "gzip": pareto_front(passed, cost_wire),
        "time": pareto_front(passed, cost_time),
    }
    return [_row(attempt, comparison, fronts) for attempt in comparison.attempts]


def _row(
    attempt: Attempt, comparison: Comparison, fronts: dict[str, list[Attempt]]
) -> dict[str, Any]:
    network, prepared = attempt.network, attempt.prepared
    row: dict[str, Any] = {
        "name": attempt.name,
        "network": network.name,
        "structure": network.structure,
        "level": network.level,
        "format": attempt.format,
        "density": None if network.mask is None else network.mask.density,
        "parameters": network.model.count_params(),
        "parameters_left": None if prepared is None else prepared.parameters_after,
        "units_removed": 0 if prepared is None else prepared.units_removed,
        "alarms": [] if prepared is None else list(prepared.alarms),
        "failure": attempt.failure,
        "fronts": [name for name, front in fronts.items() if attempt in front],
    }
    if attempt.draft is None or attempt.latency is None:
        return row
    report, baseline = attempt.draft.report, comparison.baseline
    seen = report.verification
    return {
        **row,
        "bytes": report.size_bytes,
        "gzip": report.gzip_bytes,
        "zstd": report.zstd_bytes,
        "smaller": cost_bytes(baseline) / report.size_bytes,
        "smaller_gzip": cost_bytes(baseline) / report.gzip_bytes,
        "microseconds": attempt.latency.microseconds,
        "speedup": attempt.latency.speedup,
        "accuracy": seen.accuracy,
        "keras_accuracy": seen.keras_accuracy,
        **({} if seen.error is None else {"error": seen.error, "keras_error": seen.keras_error}),
        "test_accuracy": attempt.test_accuracy,
        "agreement": seen.agreement,
        "max_difference": seen.max_difference,
        "relative_difference": seen.relative_difference,
        "tuned_from": attempt.tuned_from,
        "sha256": report.sha256,
        "operators": dict(report.operators),
        "encodings": report.provenance.get("encodings"),
    }


def chosen(choice: Choice, comparison: Comparison) -> dict[str, Any]:
    """Describe the file to ship: why, and what keeps it from being smaller or faster still."""
    assert choice.attempt.draft is not None
    baseline = comparison.baseline.draft
    assert baseline is not None
    ours = parse(choice.attempt.draft.content, source=choice.attempt.name)
    theirs = parse(baseline.content, source=comparison.baseline.name)
    return {
        "name": choice.attempt.name,
        "reason": choice.reason,
        "explanations": [said.to_dict() for said in explain(ours, theirs)],
        "energy": compare(count(theirs), count(ours)).to_dict(),
        "memory": Memory.of(ours).to_dict(),
    }


def comparison_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return a header and one row an attempt for a terminal; a file that failed has no numbers."""
    rows = to_rows(comparison)
    numbers = any("error" in row for row in rows)
    right = "error" if numbers else "accuracy"
    shown: list[tuple[str, ...]] = [
        ("file", "bytes", "after gzip", "times smaller", "times as fast", right)
    ]
    for row in rows:
        if row["failure"] is not None:
            shown.append((row["name"], "failed", "", "", "", ""))
            continue
        quality = f"{row['error']:.4g}" if numbers else ""
        if row["accuracy"] is not None:
            quality = f"{100 * row['accuracy']:.2f} %"
        shown.append(
            (
                row["name"],
                f"{row['bytes']:,}",
                f"{row['gzip']:,}",
                f"{row['smaller']:.1f}",
                f"{row['speedup']:.2f}",
                quality,
            )
        )
    return shown
