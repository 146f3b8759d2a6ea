"""The head of a page: data, network, training, machine, networks at chance level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfticket.display import words
from tfticket.display.words import joined
from tfticket.report.reading import RunFiles
from tfticket.statistics.chance import at_chance, best_accuracy, network_name

Facts = list[tuple[str, str]]
"""Names and values, in the order of a page."""

_VERSIONS = ("tfticket", "keras", "tensorflow", "numpy", "python")
_MOST_NAMED = 8


def facts(
    files: RunFiles, *own: tuple[str, str], seeds: Sequence[int], seconds: float = 0.0
) -> Facts:
    """Names and values, in the order of a page; what isn't known is left out.

    Args:
        files: The run.
        own: What a kind of study adds.
        seeds: Seeds with a finished network.
        seconds: All training together.
    """
    environment = files.environment
    started = str(environment.get("started", ""))[:16].replace("T", " ")
    cpus, versions = environment.get("cpus"), environment.get("versions") or {}
    name = files.recipe.get("name", files.path.resolve().parent.name)
    found = [
        ("Recipe", f"{name} ({files.path.resolve().name})"),
        ("Data", data(files)),
        *own,
        ("Seeds", words.ranges(list(seeds))),
        (
            "Time",
            joined(
                f"{words.duration(seconds)} of training" if seconds else "",
                f"begun {started}" if started else "",
            ),
        ),
        (
            "Machine",
            joined(
                str(environment.get("processor", "")),
                words.plural(cpus, "CPU") if cpus else "",
                str(environment.get("platform", "")),
            ),
        ),
        ("Versions", joined(*(f"{n} {versions[n]}" for n in _VERSIONS if n in versions))),
        ("Commit", str(environment.get("git_commit") or "")[:12]),
    ]
    return [(name, value) for name, value in found if value]


def data(files: RunFiles) -> str:
    """Name, numbers of examples, description."""
    found = files.environment.get("data") or {}
    counts = [
        f"{words.number(found[name])} {name}"
        for name in ("train", "validation", "test")
        if found.get(name)
    ]
    return joined(
        joined(str(files.table("data").get("name", "")), *counts),
        str(found.get("description", "")).rstrip("."),
        by=". ",
    )


def network(files: RunFiles) -> str:
    """Name or file of the model, and its width."""
    model = files.table("model")
    width = model.get("width", 1.0)
    return joined(
        str(model.get("name") or model.get("file") or ""),
        f"width {words.factor(width)}" if width != 1.0 else "",
    )


def training(files: RunFiles, iterations: str, batch_size: object) -> str:
    """Iterations, batch size, optimizer and learning rate.

    Args:
        files: The run.
        iterations: How many, in words.
        batch_size: Of its batches; what is empty isn't said.
    """
    train = files.table("train")
    rate: Any = train.get("learning_rate")
    if isinstance(rate, Mapping):
        rate = f"{rate.get('schedule')} from {rate.get('initial', (rate.get('values') or [''])[0])}"
    optimizer = files.table("train", "optimizer").get("name")
    return joined(
        iterations,
        f"batches of {batch_size}" if batch_size else "",
        f"{optimizer or ''} at {rate}" if train else "",
    )


def chance_note(files: RunFiles) -> str:
    """Name the networks that are at chance level; empty where none are.

    Args:
        files: The run; one that doesn't say how common its most common label is gives nothing.
    """
    found = files.environment.get("data") or {}
    share, count = found.get("most_common"), found.get("test")
    if not share or not count:
        return ""
    seeds: dict[tuple[int, str], list[int]] = {}
    for (seed, branch, level), results in sorted(files.results.items()):
        accuracy = best_accuracy({name: value for name, (_, value) in results.items()})
        if accuracy is not None and at_chance(accuracy, np.array([share]), count):
            seeds.setdefault((level, branch), []).append(seed)
    if not seeds:
        return ""
    names = [_named(*place, found) for place, found in sorted(seeds.items())]
    if len(names) > _MOST_NAMED:
        names[_MOST_NAMED:] = [f"{len(names) - _MOST_NAMED} more"]
    return (
        f"At chance level on the {words.number(count)} test examples, of which "
        f"{words.percent(share)} have the most common label: {'; '.join(names)}. Such networks "
        "haven't learned, or are fed with other numbers than they need."
    )


def _named(level: int, branch: str, seeds: list[int]) -> str:
    name = network_name(branch, level).replace("`", "")
    return f"{name} (seed{'s' if len(seeds) > 1 else ''} {words.ranges(seeds)})"
