"""Exported files: bytes, time and accuracy, and what was expected of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from card_tables.numbers import (
    Number,
    bullets,
    density,
    fixed,
    percent,
    plural,
    points,
    table,
    times,
)
from card_tables.studies import ROOT, read, recipe, result, summary

_FORMATS = {"sparse_fc": "sparse fp32", "sparse_fc_fast": "sparse fp32, fast"}
_STRUCTURES = {"unstructured": "single weights", "block_1x4": "1x4 blocks"}
_ENERGY = {
    "multiply-adds computed": "multiply-adds",
    "weights read": "bytes of weights read",
    "activations alive at once, at least": "bytes of activations alive at once",
    "estimated energy in the same memories, low": "energy in the same memories, low estimate, µJ",
    "estimated energy in the same memories, high": "energy in the same memories, high estimate, µJ",
}


def files(name: str, *rows: str) -> str:
    """One row a file, against the dense fp32 file.

    Args:
        name: Name of the study.
        rows: Names of the files, like `unstructured_14.sparse_fc`.
    """
    found = {row["name"]: row for row in summary(name)["rows"]}
    dense, chosen = found["dense.fp32"], summary(name)["choice"]["name"]
    lines = []
    for key in rows:
        row = found[key]
        line = [
            _label(name, row) + (" (**exported**)" if key == chosen else ""),
            density(row["density"]),
            fixed(row["bytes"]),
            times(row["smaller"], 1),
            fixed(row["gzip"]),
            times(Decimal(dense["gzip"]) / row["gzip"], 1),
            times(row["speedup"]),
            percent(row["test_accuracy"]),
        ]
        lines.append(line)
    columns = [
        "file",
        "weights left",
        "bytes",
        "times smaller",
        "bytes after gzip",
        "times smaller, both after gzip",
        "times as fast",
        "test accuracy",
    ]
    return table(columns, lines)


def replicates(name: str) -> str:
    """The exported file made again for each seed, against the dense network of that seed."""
    rows = []
    differences = []
    for each in summary(name)["replicates"]:
        ours, dense = each["test_accuracy"], each["dense_test_accuracy"]
        differences.append(ours - dense)
        rows.append(
            [
                str(each["seed"]),
                fixed(each["bytes"]),
                times(each["smaller"], 1),
                times(each["speedup"]),
                percent(ours),
                percent(dense),
                points(ours - dense),
            ]
        )
    mean = sum(differences, Decimal()) / len(differences)
    rows.append(["mean", *[""] * 5, points(mean)])
    columns = [
        "seed",
        "bytes",
        "times smaller",
        "times as fast",
        "test accuracy",
        "dense",
        "difference, points",
    ]
    return table(columns, rows)


def tuned(name: str) -> str:
    """Files that were trained on with rounded weights, and their accuracy before and after."""
    found = summary(name)["rows"]
    exact = {row["network"]: row["accuracy"] for row in found if row["format"] == "fp32"}
    rows = [
        [
            _label(name, row),
            density(row["density"]),
            percent(exact[row["network"]]),
            percent(row["tuned_from"]),
            points(row["tuned_from"] - exact[row["network"]]),
            percent(row["accuracy"]),
            times(row["smaller"], 1),
            times(row["speedup"]),
        ]
        for row in found
        if row["failure"] is None and row["tuned_from"] is not None
    ]
    columns = [
        "file",
        "weights left",
        "fp32",
        "rounded",
        "cost of rounding, points",
        "trained on",
        "times smaller",
        "times as fast",
    ]
    return table(columns, rows)


def refused(name: str) -> str:
    """Count the files that were made, and the formats that refused a network."""
    rows = summary(name)["rows"]
    failed = [row for row in rows if row["failure"] is not None]
    formats = sorted({row["format"] for row in failed})
    return (
        f"{plural(len(rows) - len(failed), 'file')} of seed {summary(name)['seed']} were made; "
        f"{len(failed)} more ({', '.join(f'`{name}`' for name in formats)}) were refused, since no "
        f"dense layer of these networks gets smaller when it is stored sparsely."
    )


def exactness(name: str) -> str:
    """The largest difference of any sparse file from Keras."""
    sparse = [row for row in summary(name)["rows"] if "relative_difference" in row]
    sparse = [row for row in sparse if row["format"].startswith("sparse")]
    relative = max(row["relative_difference"] for row in sparse)
    absolute = max(row["max_difference"] for row in sparse)
    return (
        f"The {len(sparse)} sparse files are exact: their outputs differ from Keras by at most "
        f"{times(relative)} of the largest output ({times(absolute)} in logits)."
    )


def units(name: str) -> str:
    """The units and channels that are left of each layer of the exported file."""
    found: Mapping[str, list[int]] = read(name, "model")["provenance"]["units"]
    cut = [f"`{layer}` {left} of {all_}" for layer, (all_, left) in found.items() if left < all_]
    return f"Units and channels left in the exported file: {', '.join(cut)}."


def energy(name: str) -> str:
    """Multiply-adds, bytes moved and an estimate of energy, dense fp32 against exported."""
    found = summary(name)["choice"]["energy"]
    rows = []
    for row in found["rows"]:
        if row["name"] not in _ENERGY:
            continue
        values = (row["dense"], row["ticket"])
        joules = row["unit"] == "J"
        shown = [fixed(1_000_000 * v, 2) if joules else fixed(v) for v in values]
        rows.append([_ENERGY[row["name"]], *shown, times(row["ratio"], 1)])
    assumed = bullets(line.replace("Ticket:", "Exported:") for line in found["assumptions"])
    return f"{table(['', 'dense fp32', 'exported', 'times less'], rows)}\n\n{assumed}"


def claims(name: str) -> str:
    """The expectations of the recipe, and what came of them."""
    rows = []
    for claim in summary(name)["claims"]:
        lost = claim["measure"] == "loss"
        # A loss is negative, also where the recipe bounds how large it may be.
        show = _gain if lost else _ratio
        bound = claim["at_most"] if lost else claim["at_least"]
        ours, worst, seeds = claim["ours"], claim.get("worst"), claim.get("seeds")
        if isinstance(ours, Mapping):  # as runs are summarized now
            worst, seeds = ours["max" if lost else "min"], ours["seeds"]
            ours = ours["mean"]
        rows.append(
            [
                claim["claim"],
                f"at least {show(bound)}",
                show(ours),
                show(worst),
                str(seeds),
                result(claim["reading"]),
            ]
        )
    return table(["expectation", "bound", "here", "worst seed", "seeds", "result"], rows)


def applications() -> str:
    """Return the table of results that `tests/support/all_applications.py` wrote."""
    text = (ROOT / "tests" / "support" / "applications.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text, parse_float=Decimal)
    made = {name: each for name, each in found.items() if "failure" not in each}
    worst = {n: max(e["dense_difference"], e["pruned_difference"]) for n, e in made.items()}
    largest = max(worst, key=lambda name: worst[name])
    second = max(difference for name, difference in worst.items() if name != largest)
    most = max(each["dense_bytes"] for each in made.values())
    failed = {name: each["failure"] for name, each in found.items() if name not in made}
    reasons = [
        f"{name}: {why.partition('Received: ')[2].replace(' of it.', ' of the largest output.')}"
        for name, why in failed.items()
    ]
    return (
        f"{len(made)} of {len(found)} networks answer as Keras does: to {times(second)} of the "
        f"largest output, and {largest} to {times(worst[largest])}. The largest file has "
        f"{fixed(most)} bytes. The others are refused:\n\n{bullets(reasons)}"
    )


def _gain(loss: Number) -> str:
    return points(-loss)


def _ratio(ratio: Number) -> str:
    return times(ratio, 1)


def _label(name: str, row: Mapping[str, Any]) -> str:
    shown = _FORMATS.get(row["format"], row["format"])
    structure = row["structure"]
    if structure == "channel":
        convolutional = recipe(name)["model"]["name"].startswith("conv")
        structure = "whole channels" if convolutional else "whole units"
    return f"{_STRUCTURES.get(structure, structure)}, {shown}"
