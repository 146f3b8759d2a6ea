"""What any run was made of: the facts that stand above its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfticket.report import words
from tfticket.report.reading import RunFiles

Facts = list[tuple[str, str]]
"""Names and values, in the order of a page."""

_VERSIONS = ("tfticket", "keras", "tensorflow", "numpy", "python")


def known(found: Facts) -> Facts:
    """The same without what isn't known."""
    return [(name, value) for name, value in found if value]


def data(files: RunFiles) -> str:
    """Name, numbers of examples, description."""
    table, found = files.table("data"), files.environment.get("data") or {}
    counts = [
        f"{words.number(found[name])} {name}"
        for name in ("train", "validation", "test")
        if found.get(name)
    ]
    return ". ".join(
        part
        for part in (
            ", ".join([str(table.get("name", "")), *counts]),
            str(found.get("description", "")).rstrip("."),
        )
        if part
    )


def network(files: RunFiles) -> str:
    """Name or file of the model, and its width."""
    model = files.table("model")
    parts = [str(model.get("name") or model.get("file") or "")]
    if model.get("width", 1.0) != 1.0:
        parts.append(f"width {words.factor(model['width'])}")
    return ", ".join(part for part in parts if part)


def optimizer(files: RunFiles) -> str:
    """The optimizer and its learning rate."""
    train = files.table("train")
    rate = train.get("learning_rate")
    if isinstance(rate, Mapping):
        rate = f"{rate.get('schedule')} from {rate.get('initial', (rate.get('values') or [''])[0])}"
    return f"{files.table('train', 'optimizer').get('name', '')} at {rate}"


def time(files: RunFiles, seconds: float) -> str:
    """How long it trained, and when it began.

    Args:
        files: The run.
        seconds: All its training together.
    """
    started = str(files.environment.get("started", ""))[:16].replace("T", " ")
    trained = f"{words.duration(seconds)} of training" if seconds else ""
    return ", ".join(part for part in (trained, f"begun {started}" if started else "") if part)


def origin(environment: Mapping[str, Any]) -> Facts:
    """Machine, versions and commit."""
    cpus, versions = environment.get("cpus"), environment.get("versions") or {}
    machine = [
        str(environment.get("processor", "")),
        words.plural(cpus, "CPU") if cpus else "",
        str(environment.get("platform", "")),
    ]
    return [
        ("Machine", ", ".join(part for part in machine if part)),
        ("Versions", ", ".join(f"{n} {versions[n]}" for n in _VERSIONS if n in versions)),
        ("Commit", str(environment.get("git_commit") or "")[:12]),
    ]
