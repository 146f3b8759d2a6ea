"""Normalization: bands of loss and gradient along a step, and accuracy over batch sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from card_tables.numbers import (
    Estimate,
    Number,
    excludes,
    fixed,
    interval,
    inverted,
    paired,
    percent,
    plain,
    points,
    swapped,
    table,
    times,
)
from card_tables.studies import result, summary

_BANDS = {
    "predictiveness": "gradient predictiveness: mean width of the band",
    "predictiveness_median": "gradient predictiveness: median width",
    "loss_band": "loss, relative: mean log10(highest / lowest)",
    "loss_width": "loss, absolute: mean of highest - lowest",
    "beta": "effective beta, median",
}
_NORMS = {
    "none": "none",
    "batch": "batch norm",
    "group": "group norm",
    "l1_batch": "l1 batch norm",
    "l2_batch": "l2 batch norm",
    "linf_batch": "l-infinity batch norm",
    "noisy_batch": "noisy batch norm",
    "batch_renorm": "batch renormalization",
    "ws_group": "group norm, standardized weights",
}


def landscape(name: str, branch: str) -> str:
    """One normalization against none: how much narrower each band is.

    Args:
        name: Name of the study.
        branch: The networks with normalization, like `batch-lr0.1`.
    """
    found = summary(name)
    contrast = next(each for each in found["norms"] if each["branch"] == branch)
    rows = [
        [label, _paper(found, key), _narrower(key, contrast["measures"][key])]
        for key, label in _BANDS.items()
    ]
    saturated = [
        percent(_branch(found, contrast[which])["measures"]["saturated"]["mean"], 0)
        for which in ("branch", "against")
    ]
    rows.append(
        ["evaluations where beta is saturated", "", f"{saturated[0]} with, {saturated[1]} without"]
    )
    if "accuracy" in contrast["measures"]:
        accuracy = interval(points, contrast["measures"]["accuracy"])
        rows.append(["test accuracy, points", _paper(found, "accuracy"), accuracy])
    return table(["measure", "paper", "here"], rows)


def medians(name: str, branch: str) -> str:
    """One normalization against none: ratios of medians, with a bootstrap."""
    contrast = next(each for each in summary(name)["norms"] if each["branch"] == branch)
    labels = {
        "predictiveness": "gradient predictiveness: width of the band, times narrower",
        "loss_width": "loss, absolute: highest - lowest, times narrower",
        "beta": "effective beta, times lower",
    }
    rows = [
        [label, times(each["median"]), f"{times(each['lower'])} to {times(each['upper'])}"]
        for key, label in labels.items()
        if (each := contrast["medians"].get(key))
    ]
    return table(["median over moments", "median over seeds", "95 % of bootstrap draws"], rows)


def contrasts(name: str) -> str:
    """Each normalization and learning rate against none, as ratios of widths."""
    found = summary(name)
    rows = []
    for each in found["norms"]:
        of_branch, measures = _branch(found, each["branch"]), each["measures"]
        steps = each["cut"] or of_branch["steps"]
        rows.append(
            [
                _NORMS[of_branch["norm"]],
                str(of_branch["learning_rate"]),
                fixed(steps),
                str(measures["accuracy"]["seeds"]),
                *(interval(times, measures[key]) for key in ("predictiveness", "loss_band")),
                interval(times, measures["loss_width"]),
                interval(points, measures["accuracy"]),
            ]
        )
    columns = [
        "normalization",
        "learning rate",
        "steps",
        "seeds",
        "gradient predictiveness, times narrower",
        "loss, relative, times narrower",
        "loss, absolute, times narrower",
        "test accuracy, points",
    ]
    return table(columns, rows)


def subnetworks(name: str) -> str:
    """Tickets and random subnetworks against the dense network, as ratios of widths."""
    found = summary(name)
    rows = []
    for each in found["subnetworks"]:
        of_branch, measures = _branch(found, each["branch"]), each["measures"]
        rows.append(
            [
                f"{of_branch['subnetwork']}, {_NORMS[of_branch['norm']]}",
                *(
                    interval(times, inverted(measures[key]))
                    for key in ("predictiveness", "loss_band", "loss_width")
                ),
                interval(points, measures["accuracy"]),
            ]
        )
    columns = [
        "subnetwork",
        "gradient predictiveness, times as wide as dense",
        "loss, relative, times as wide",
        "loss, absolute, times as wide",
        "test accuracy, points",
    ]
    return table(columns, rows)


def edge(name: str) -> str:
    """Curvature in units of 2 / learning rate, and its rank correlations with smoothness."""
    columns = {
        "edge_highest": "highest sharpness",
        "edge_sharpness": "sharpness",
        "edge_critical": "critical sharpness",
        "edge_batch": "batch sharpness",
        "mismatch": "mismatch",
        "rank_loss_band": "rank correlation with the loss band",
        "rank_predictiveness": "gradient predictiveness",
        "rank_beta": "effective beta",
    }
    rows = [
        [
            _NORMS[each["norm"]],
            str(each["learning_rate"]),
            *(
                interval(_correlation if key.startswith("rank") else _two_places, found[key])
                for found in [each["measures"]]
                for key in columns
            ),
        ]
        for each in summary(name)["branches"]
    ]
    return table(["normalization", "learning rate", *columns.values()], rows)


def _correlation(value: Number) -> str:
    return fixed(max(-1, min(1, value)), 2)


def _two_places(value: Number) -> str:
    return fixed(value, 2)


def batch_sizes(name: str) -> str:
    """Test accuracy of each normalization over batch sizes."""
    branches = summary(name)["branches"]
    sizes = sorted({each["batch_size"] for each in branches}, reverse=True)
    rows = []
    for norm in dict.fromkeys(each["norm"] for each in branches):
        of_norm = {each["batch_size"]: each for each in branches if each["norm"] == norm}
        measures = {"accuracy": ""}
        if norm == "batch":
            measures["accuracy_precise"] = ", exact statistics"
        seeds = {len(each["seeds"]) for each in of_norm.values()}
        for measure, suffix in measures.items():
            label = _NORMS[norm] + suffix + (" (one seed)" if seeds == {1} else "")
            means = {size: each["measures"][measure]["mean"] for size, each in of_norm.items()}
            rows.append(
                [label, *(percent(means[size], 1) if size in means else "" for size in sizes)]
            )
    return table(["examples in a batch", *map(str, sizes)], rows)


def batch_drops(name: str, large: str, small: str) -> str:
    """The change of test accuracy from a large to a small batch, paired by seed."""
    branches = summary(name)["branches"]
    rows = []
    for norm in dict.fromkeys(each["norm"] for each in branches):
        sizes = {str(each["batch_size"]): each for each in branches if each["norm"] == norm}
        if not {large, small} <= sizes.keys():
            continue
        for measure, suffix in (("accuracy", ""), ("accuracy_precise", ", exact statistics")):
            if measure not in sizes[small]["measures"]:
                continue
            change = paired(sizes[small]["measures"][measure], sizes[large]["measures"][measure])
            rows.append([_NORMS[norm] + suffix, str(change["seeds"]), interval(points, change)])
    return table(["normalization", "seeds", f"from {large} to {small} examples, points"], rows)


def claims(name: str) -> str:
    """The expectations of the recipe, and what came of them."""
    rows = []
    for claim in summary(name)["claims"]:
        show, sign = _shown(claim["measure"])
        least, most = claim["at_least"], claim["at_most"]
        if sign < 0:  # a loss is negative: bounds change sides
            least, most = most, least
        bounds = [
            f"at {word} {show(sign * bound)}"
            for word, bound in (("least", least), ("most", most))
            if bound is not None
        ]
        ours = claim["ours"] if sign > 0 else swapped(claim["ours"])
        why = plain(claim["why"])
        rows.append(
            [
                claim["claim"],
                "" if claim["value"] is None else show(sign * claim["value"]),
                ", ".join(bounds),
                interval(show, ours),
                result(claim["reading"]) + (f": {why}" if why else ""),
            ]
        )
    return table(["claim", "paper", "bound", "here", "result"], rows)


def _shown(measure: str) -> tuple[Callable[[Number], str], int]:
    """Return the function that prints a measure, and its sign."""
    if measure.startswith("accuracy"):
        return points, -1 if measure == "accuracy_drop" else 1
    if measure == "shift_cosine":
        return lambda number: fixed(number, 2), 1
    return times, 1


def _narrower(measure: str, estimate: Estimate) -> str:
    narrower, wider = ("lower", "higher") if measure == "beta" else ("narrower", "wider")
    word, shown = (narrower, estimate) if estimate["mean"] >= 1 else (wider, inverted(estimate))
    text = f"{times(shown['mean'])} times {word}"
    if shown["lower"] is not None:
        text += f" ({times(shown['lower'])} to {times(shown['upper'])})"
    return text if excludes(estimate, 1) else f"{text}, not significant"


def _paper(found: Mapping[str, Any], measure: str) -> str:
    for claim in found["claims"]:
        if claim["measure"] == measure and claim["value"] is not None:
            value: Number = claim["value"]
            if measure == "accuracy":
                return points(value)
            return "the same" if value == 1 else f"{times(value)} times narrower"
    return ""


def _branch(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    branch: Mapping[str, Any] = next(e for e in found["branches"] if e["branch"] == name)
    return branch
