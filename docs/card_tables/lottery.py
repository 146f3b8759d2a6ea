"""Lottery tickets against the dense network and against their reinitialized twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from card_tables.numbers import (
    bullets,
    density,
    excludes,
    fixed,
    interval,
    inverted,
    paired,
    percent,
    plain,
    plural,
    points,
    swapped,
    table,
    times,
)
from card_tables.studies import read, recipe, summary

_TWIN = "reinit"
_NO_TWIN = "reinitialized control not trained"
_NEAR = Decimal("1.3")  # a level whose density differs more from a claim's measures something else


def verdicts(name: str, *levels: str) -> str:
    """One row a level: the ticket against dense, its verdict, and its reinitialized twin.

    Args:
        name: Name of the study.
        levels: The levels to show; all by default.
    """
    found, smallest = summary(name), summary(name)["smallest_winning"]
    rows = []
    for each in found["verdicts"]:
        if levels and str(each["level"]) not in levels:
            continue
        dense, twin = each["against_dense"], each["against_controls"].get(_TWIN)
        left = density(each["density"])
        rows.append(
            [
                f"**{left}**" if smallest and each["level"] == smallest["level"] else left,
                interval(points, dense["gain"]),
                interval(times, dense["speedup"]),
                interval(times, dense["early_stop_speedup"]),
                _verdict(each),
                interval(points, swapped(twin["gain"])) if twin else "",
                interval(times, inverted(twin["speedup"])) if twin else "",
            ]
        )
    columns = [
        "weights left",
        "accuracy against dense, points",
        "times as fast as dense",
        "early stop, times",
        "verdict",
        "reinitialized: points",
        "times as fast",
    ]
    return table(columns, rows)


def by_width(name: str) -> str:
    """One row a width and density: what networks gain over the mask as it is on new weights."""
    found = summary(name)
    gains: dict[tuple[Any, Any], dict[str, Any]] = {}
    for each in found[f"gains_over_{_TWIN}"]:
        gains.setdefault((each["width"], each["density"]), {})[each["branch"]] = each
    accuracy = {
        (each["width"], each["density"]): percent(each["accuracy"]["mean"], 1)
        for each in found["levels"]
        if each["branch"] == _TWIN
    }
    branches = list(dict.fromkeys(each["branch"] for each in found[f"gains_over_{_TWIN}"]))
    rows = [
        [fixed(width, 1), density(left), accuracy[width, left]]
        + [interval(lambda v: points(v, 1), own[branch]) for branch in branches]
        for (width, left), own in gains.items()
    ]
    columns = ["width", "weights left", f"{_TWIN}: accuracy", *(f"{b}, points" for b in branches)]
    return table(columns, rows)


def criteria(name: str) -> str:
    """The margins, the confidence and the looks behind the verdicts."""
    found = summary(name)["criteria"]
    looks = found["looks"]
    return (
        f"Margins: {fixed(100 * found['margin'], 1)} points of test accuracy, "
        f"{percent(found['time_margin'], 0)} more steps. Intervals: "
        f"{percent(found['interval_confidence'], 0 if looks == 1 else 1)}, over "
        f"{plural(len(summary(name)['seeds']), 'seed')}; "
        + ("the verdict was read once." if looks == 1 else f"this is look {looks} at the verdict.")
    )


def hypothesis(name: str) -> str:
    """Where tickets learn fastest, where they are back at the dense speed, the cost of reinit."""
    return plain(summary(name)["hypothesis"])


def notes(name: str) -> str:
    """The levels that win with all levels considered, and the notes of the report."""
    found = summary(name)
    winning = [density(v["density"]) for v in found["verdicts"] if v["family"]["winning"]]
    together = (
        f"With all levels considered together (Holm's procedure), {', '.join(winning)} of the "
        f"weights win."
        if winning
        else "With all levels considered together (Holm's procedure), no level wins."
    )
    return bullets([together, *map(plain, found["notes"])])


def exported(name: str) -> str:
    """The published file: size, accuracy, speed."""
    card, made = read(name, "card"), read(name, "model")
    checked, latency = made["verification"], made["latency"]
    return (
        f"The published file, [model.tflite](../saved_models/{name}/model.tflite) (seed "
        f"{card['seed']}, {density(card['density'])} of the weights, {made['format']}), has "
        f"{fixed(made['size_bytes'])} bytes, {fixed(made['gzip_bytes'])} after gzip. It classifies "
        f"{percent(checked['accuracy'])} of {fixed(checked['count'])} test images correctly, Keras "
        f"{percent(checked['keras_accuracy'])}, the dense network of the same seed "
        f"{percent(card['dense']['accuracy_at_end'])}. It runs {times(latency['speedup'])} times "
        f"as fast as the dense fp32 file on one thread of the machine that made it "
        f"({latency['host']})."
    )


_ARRANGED = {
    "as_is": "as they are",
    "flipped": "flipped",
    "shuffled": "shuffled",
    "chunks": "shuffled chunks",
}
_BESIDE = {"reinit": "reinitialized", "transferred": "another's mask", "shuffle": "shuffled mask"}


def fields(name: str) -> str:
    """The receptive fields of tickets, for each arrangement of the signals and density."""
    rows = []
    for each in summary(name)["levels"]:
        found = each["measures"]
        if each["network"] == "ticket" and each["level"]:
            cells = [_ARRANGED[each["arrangement"]], density(each["density"])]
            localities = ("original_locality", "unit_locality", "locality")
            cells += [interval(times, found[m]) for m in localities]
            cells += [fixed(found[m]["mean"], 1) for m in ("fan_in", "span")]
            rows.append([*cells, *(percent(found[m]["mean"], 1) for m in ("units_1", "units_2"))])
    columns = ["signals", "weights left", "locality in the order of the signals"]
    columns += [
        "beyond preferred inputs",
        "locality as given",
        "inputs of a unit",
        "span",
        "units left, first layer",
        "second",
    ]
    return table(columns, rows)


def arranged(name: str) -> str:
    """Tickets against the dense network, and what stands beside them against the tickets."""
    found = summary(name)["levels"]
    by = {(x["arrangement"], x["network"], x["level"]): x["measures"]["accuracy"] for x in found}
    shown = [n for n in _BESIDE if any(x["network"] == n for x in found)]
    rows = []
    for each in found:
        place, level = each["arrangement"], each["level"]
        if each["network"] != "ticket" or (place, "reinit", level) not in by:
            continue
        own = by[place, "ticket", level]
        cells = [_ARRANGED[place], density(each["density"]), percent(own["mean"], 1)]
        cells.append(interval(points, paired(own, by[place, "ticket", 0])))
        for network in shown:
            other = by.get((place, network, level))
            cells.append(interval(points, paired(other, own)) if other else "")
        rows.append(cells)
    columns = ["signals", "weights left", "ticket", "ticket - dense, points"]
    return table([*columns, *(f"{_BESIDE[n]} - ticket" for n in shown)], rows)


def masks_alone(name: str) -> str:
    """Masks with new weights: the ticket's against a shuffled one, and windows against it."""
    found = summary(name)["levels"]
    by = {(x["arrangement"], x["network"], x["level"]): x["measures"]["accuracy"] for x in found}
    rows = []
    for each in found:
        place, level = each["arrangement"], each["level"]
        if each["network"] == "reinit":
            own, dense = by[place, "reinit", level], by[place, "ticket", 0]
            windows, shuffled = by[place, "windows", level], by[place, "shuffle", level]
            ticket = by[place, "ticket", level]
            pairs = [(own, dense), (own, shuffled)]
            pairs += [(windows, other) for other in (own, dense, ticket)]
            cells = [interval(points, paired(first, second)) for first, second in pairs]
            rows.append([_ARRANGED[place], density(each["density"]), *cells])
    columns = ["signals", "weights left", "reinitialized - dense", "- shuffled mask"]
    return table([*columns, "windows - reinitialized", "- dense", "- ticket"], rows)


def convolutions(name: str) -> str:
    """Convolutional networks with as many weights as tickets, against the ticket."""
    found = summary(name)["levels"]
    tickets = {
        (x["arrangement"], x["level"]): x for x in found if x["network"] == "ticket" and x["level"]
    }
    rows = []
    for each in sorted(found, key=lambda x: x["level"]):
        own = each["measures"]
        if "width" in own:
            ticket = tickets[each["arrangement"], each["level"]]
            read_off = each["network"] == "convolution"
            rows.append(
                [
                    density(ticket["density"]),
                    "of the ticket's span" if read_off else "set",
                    fixed(own["width"]["mean"], 1),
                    fixed(own["channels"]["mean"], 1),
                    density(each["density"]),
                    percent(own["accuracy"]["mean"], 1),
                    interval(points, paired(own["accuracy"], ticket["measures"]["accuracy"])),
                ]
            )
    columns = ["ticket", "kernel width", "points", "channels", "weights", "accuracy"]
    return table([*columns, "minus ticket, points"], rows)


def claims(name: str) -> str:
    """The claims of the paper beside the run."""
    rows = []
    for claim in recipe(name)["expect"]:
        show = points if claim["measure"] == "gain" else times
        if claim["measure"] == "smallest_density":
            rows.append([claim["claim"], density(claim["value"]), *_smallest(claim, name)])
            continue
        level = _nearest(name, claim)
        ours = _against(level, claim.get("against", "dense")) if level else None
        if level is None or ours is None:
            rows.append([claim["claim"], show(claim["value"]), "", "not measured at this density"])
            continue
        estimate = ours[claim["measure"]]
        rows.append(
            [
                claim["claim"],
                show(claim["value"]),
                f"{interval(show, estimate)} at {density(level['density'])}",
                _reading(claim, estimate),
            ]
        )
    return table(["claim", "paper", "here", "reading"], rows)


def _verdict(level: Mapping[str, Any]) -> str:
    said = [f"**{level['verdict']}**" if level["verdict"] == "winning" else level["verdict"]]
    said += ["faster"] if level["faster"] else []
    said += ["more accurate"] if level["more_accurate"] else []
    # That the twin wasn't trained is seen by its empty cells.
    lacking = [part for part in level["lacking"].split("; ") if part not in ("", _NO_TWIN)]
    return ", ".join(said) + (f"; {', '.join(lacking)}" if lacking else "")


def _nearest(name: str, claim: Mapping[str, Any]) -> Mapping[str, Any] | None:
    wanted = claim["density"]
    levels: Sequence[Mapping[str, Any]] = summary(name)["verdicts"]
    level = min(levels, key=lambda each: _ratio(each["density"], wanted))
    return level if _ratio(level["density"], wanted) <= _NEAR else None


def _against(level: Mapping[str, Any], other: str) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = (
        level["against_dense"] if other == "dense" else level["against_controls"].get(other)
    )
    return found


def _smallest(claim: Mapping[str, Any], name: str) -> tuple[str, str]:
    """The lowest density with a mean gain of 0 or more, as one reads it off a figure."""
    levels = summary(name)["verdicts"]
    reached = [v for v in levels if v["against_dense"]["gain"]["mean"] >= 0]
    if not reached:
        return "", "no ticket is as accurate"
    found = min(reached, key=lambda v: v["density"])
    gain = interval(points, found["against_dense"]["gain"])
    ours, value = found["density"], claim["value"]
    if ours == min(v["density"] for v in levels) and ours > _NEAR * value:
        reading = "as far as this run went"
    else:
        reading = "as sparse or sparser" if ours <= _NEAR * value else "not as sparse"
    return f"{density(ours)}, {gain} points", reading


def _reading(claim: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    value, neutral = claim["value"], 0 if claim["measure"] == "gain" else 1
    if ours["lower"] is not None and ours["lower"] <= value <= ours["upper"]:
        return "the paper's number is in the interval"
    if (ours["mean"] - neutral) * (value - neutral) <= 0:
        return "not seen"
    more = abs(ours["mean"] - neutral) > abs(value - neutral)
    direction = f"same direction, {'more' if more else 'less'}"
    return direction if excludes(ours, neutral) else f"{direction}; not significant"


def _ratio(first: Decimal, second: Decimal) -> Decimal:
    return max(first / second, second / first)
