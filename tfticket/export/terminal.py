"""Comparisons and checks as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfticket.export.check import FileCheck
from tfticket.export.runtime import TensorSpec

if TYPE_CHECKING:  # a check needs no TensorFlow
    from tfticket.export.comparison import Attempt, Comparison


def comparison_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """A header and one row an attempt; a file that failed has no numbers."""
    from tfticket.export.rows import to_rows

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


def failures(attempts: Sequence[Attempt]) -> list[str]:
    """Why there is no file, a sentence or two each."""
    return [f"{a.name}: {a.failure}" for a in attempts if a.failure is not None]


def check_lines(seen: FileCheck) -> list[str]:
    """What was found of a file, a line each."""
    sizes = seen.sizes
    lines = [
        f"{seen.path}: passed",
        f"bytes      {sizes.raw:,}, {sizes.gzip:,} after gzip, {sizes.zstd:,} after zstd",
        f"takes      {_specs(seen.takes)}, gives {_specs(seen.gives)}",
        f"operators  {', '.join(f'{count} {name}' for name, count in seen.operators.items())}",
        f"run on     {seen.count:,} {seen.inputs} inputs, with the default delegate and without; "
        f"their answers differ by {seen.delegate_difference:.2g} of their range at most",
        f"time       {seen.microseconds:,.1f} us on {seen.host}; says nothing of another device",
    ]
    if seen.accuracy is not None:
        lines.append(f"accuracy   {seen.accuracy:.2%}")
    if seen.error is not None:
        lines.append(f"error      {seen.error:.4g} (root mean square, in the unit of the labels)")
    lines += [f"note       {note}" for note in seen.notes]
    lines += [
        f"zeros      {tensor.name}: {tensor.zeros:,} of {tensor.size:,}" for tensor in seen.tensors
    ]
    if seen.provenance is None:
        lines.append("origin     not made by tfticket, or rewritten since")
    else:
        about = seen.provenance
        made_by, format = (about.get(name, "unknown") for name in ("made_by", "format"))
        lines.append(f"origin     {made_by}, format {format}")
    return lines


def _specs(specs: Sequence[TensorSpec]) -> str:
    return " and ".join(f"{spec.dtype} {list(spec.shape)}" for spec in specs) or "nothing"
