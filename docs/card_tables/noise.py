"""Training on wrong labels: accuracy of each method, estimated rates, memorization, theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from card_tables.numbers import (
    density,
    fixed,
    interval,
    paired,
    percent,
    plain,
    points,
    table,
    times,
)
from card_tables.studies import recipe, result, summary

_METHODS = {
    "cross_entropy": "cross-entropy",
    "coteaching": "co-teaching",
    "incv": "INCV, then co-teaching",
    "early_learning": "early-learning regularization",
}
_MEMORIZED = {
    "memorized_last": "wrong labels memorized, last {last} evaluations",
    "memorized_mean": "wrong labels memorized, all evaluations",
    "accuracy_last": "clean test accuracy, last {last} evaluations",
    "accuracy_mean": "clean test accuracy, all evaluations",
}


def methods(name: str) -> str:
    """One row for each noise and method, against cross-entropy and against co-teaching."""
    trainings = summary(name)["trainings"]
    by = {(each["noise"], each["method"]): each["measures"] for each in trainings}
    rows = []
    for each in trainings:
        noise, method, measures = each["noise"], each["method"], each["measures"]
        other = by.get((noise, "coteaching")) if method == "incv" else None
        last = measures["accuracy_last"]
        against = paired(last, other["accuracy_last"]) if other else None
        rows.append(
            [
                _noise(noise),
                _METHODS.get(method, method),
                percent(last["mean"], 1),
                interval(lambda v: points(v, 1), each["gain"]) if each["gain"] else "",
                interval(lambda v: points(v, 1), against) if against else "",
                percent(measures["accuracy_by_validation"]["mean"], 1),
            ]
        )
    columns = [
        "noise",
        "method",
        "test accuracy",
        "against cross-entropy, points",
        "against co-teaching, points",
        "test accuracy where noisy validation says to stop",
    ]
    return table(columns, rows)


def rates(name: str) -> str:
    """Estimated against realized noise rates, for each noise over seeds."""
    found = summary(name)["selections"]
    rows = []
    for noise in dict.fromkeys(each["noise"] for each in found):
        of_noise = [each for each in found if each["noise"] == noise]
        known = [each for each in of_noise if each["identifiable"]]
        shown = [
            fixed(each["rate"], 3) + ("" if each["identifiable"] else " (not identifiable)")
            for each in of_noise
        ]
        holds = sum(each["low"] <= each["true_rate"] <= each["high"] for each in known)
        rows.append(
            [
                _noise(noise),
                ", ".join(fixed(each["true_rate"], 3) for each in of_noise),
                ", ".join(shown),
                f"{holds} of {len(known)}" if known else "",
            ]
        )
    columns = ["noise", "realized, by seed", "estimated, by seed", "intervals that hold it"]
    return table(columns, rows)


def memorization(name: str) -> str:
    """The wrong labels that dense networks, tickets and random subnetworks memorize."""
    found = summary(name)
    branches = {each["branch"]: each["measures"] for each in found["branches"]}
    contrasts = {
        (each["branch"], each["against"]): each["measures"]
        for each in found["memorization"]["contrasts"]
    }
    last = found["memorization"]["last"]
    rows = []
    for norm in dict.fromkeys(each["norm"] for each in found["branches"]):
        dense, ticket, random = (f"{norm}-{which}" for which in ("dense", "ticket", "random"))
        for measure, label in _MEMORIZED.items():
            rows.append(
                [
                    f"{norm} norm: {label.format(last=last)}",
                    *(percent(branches[b][measure]["mean"], 1) for b in (dense, ticket, random)),
                    *(
                        interval(lambda v: points(v, 1), contrasts[b, dense][measure])
                        for b in (ticket, random)
                    ),
                ]
            )
    columns = ["", "dense", "ticket", "random", "ticket - dense, points", "random - dense, points"]
    return table(columns, rows)


_NETWORKS = {"ticket": "ticket", "reinit": "reinitialized", "random": "random mask"}
_SPARSE = {"memorized": "memorized", "accuracy": "accuracy", "calibration_error": "calibration"}


def sparsity(name: str, *noises: str) -> str:
    """Memorization, accuracy and calibration by density: tickets and controls; all noises if none.

    The first row of a noise is the dense network, which all of them begin as.
    """
    found = summary(name)["levels"]
    by = {(each["noise"], each["network"], each["level"]): each for each in found}
    tickets = [
        x for x in found if x["network"] == "ticket" and x["noise"] in (noises or x["noise"])
    ]
    measured = [m for m in _SPARSE if any(m in x["measures"] for x in tickets)]
    rows = []
    for own in tickets:
        noise, level = own["noise"], own["level"]
        dense = by[noise, "ticket", 0]["measures"]["accuracy"]
        cells = [_noise(noise), density(own["density"])]
        for measure in measured:
            for network in _NETWORKS if level else ("ticket", "", ""):
                measures = by.get((noise, network, level), {}).get("measures", {})
                cells.append(percent(measures[measure]["mean"], 1) if measure in measures else "")
        change = paired(own["measures"]["accuracy"], dense)
        cells.append(interval(lambda v: points(v, 1), change) if level else "")
        rows.append(cells)
    columns = ["noise", "weights left"]
    columns += [f"{_SPARSE[m]}: {title}" for m in measured for title in _NETWORKS.values()]
    return table([*columns, "accuracy: ticket - dense, points"], rows)


def theory(name: str) -> str:
    """Held-out predictions of networks that memorized wrong labels, beside the closed forms."""
    rows = []
    for each in summary(name)["trainings"]:
        cells = [_noise(each["noise"])]
        for measure in ("accuracy", "precision", "recall"):
            for whose in ("predicted", "observed"):
                cells.append(percent(each["measures"][f"{whose}_{measure}"]["mean"], 1))
        rows.append(cells)
    columns = ["noise"]
    for measure in ("accuracy against given labels", "label precision", "label recall"):
        columns += [f"{measure}: theory", "measured"]
    return table(columns, rows)


def claims(name: str) -> str:
    """The expectations of the recipe, and what came of them."""
    expected = {claim["claim"] for claim in recipe(name).get("expect", ())}
    rows = []
    for claim in summary(name)["claims"]:
        if claim["claim"] not in expected:  # withdrawn since
            continue
        ours, show = claim["ours"], _show(claim)
        bounds = {"at least": claim.get("at_least"), "at most": claim.get("at_most")}
        why = plain(claim["why"])
        rows.append(
            [
                claim["claim"],
                "" if claim["value"] is None else show(claim["value"]),
                ", ".join(f"{n} {show(v)}" for n, v in bounds.items() if v is not None),
                interval(show, ours),
                result(claim["reading"]) + (f": {why}" if why else ""),
            ]
        )
    return table(["claim", "paper", "bound", "here", "result"], rows)


def _show(claim: Mapping[str, Any]) -> Any:
    if "locality" in claim["measure"]:
        return times
    return percent if claim["measure"].startswith("accuracy of") else points


def _noise(name: str) -> str:
    kind = name.rstrip("0123456789.")
    return f"{kind.replace('_', '-')} {name.removeprefix(kind)}".strip()
