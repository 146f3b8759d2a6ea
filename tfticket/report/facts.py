"""What a run was made of: the facts above its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfticket.report import words
from tfticket.report.reading import RunFiles
from tfticket.report.summary import Summary

MEANINGS = {
    "reinit": "the ticket's mask with newly drawn weights",
    "shuffle": "the ticket's weights under its mask shuffled within each layer",
    "random": "a random mask with as many weights in all",
    "oneshot": "pruned once from the trained dense network to the same density",
}
"""What the usual controls are, by branch name."""

_VERSIONS = ("tfticket", "keras", "tensorflow", "numpy", "python")


def facts(files: RunFiles, summary: Summary) -> list[tuple[str, str]]:
    """Names and values, in the order of a page; what isn't known is left out.

    Args:
        files: The run.
        summary: What it came to.
    """
    environment = files.environment
    found = [
        ("Recipe", f"{summary.name} ({summary.run})"),
        ("Data", _data(files)),
        ("Network", _network(files, summary)),
        ("Training", _training(files)),
        ("Pruning", _pruning(files)),
        ("Seeds", words.ranges(list(summary.seeds))),
        ("Time", _time(files, summary)),
        ("Machine", _machine(environment)),
        ("Versions", _versions(environment.get("versions") or {})),
        ("Commit", str(environment.get("git_commit") or "")[:12]),
    ]
    return [(name, value) for name, value in found if value]


def _data(files: RunFiles) -> str:
    data, known = files.table("data"), files.environment.get("data") or {}
    counts = [
        f"{words.number(known[name])} {name}"
        for name in ("train", "validation", "test")
        if known.get(name)
    ]
    return ". ".join(
        part
        for part in (
            ", ".join([str(data.get("name", "")), *counts]),
            str(known.get("description", "")).rstrip("."),
        )
        if part
    )


def _network(files: RunFiles, summary: Summary) -> str:
    model = files.table("model")
    parts = [str(model.get("name") or model.get("file") or "")]
    if model.get("width", 1.0) != 1.0:
        parts.append(f"width {words.factor(model['width'])}")
    if model.get("norm") and model["norm"] != "none":
        parts.append(f"{model['norm']} normalization")
    if summary.dense is not None and summary.dense.prunable:
        parts.append(f"{words.number(summary.dense.prunable)} prunable weights")
    return ", ".join(part for part in parts if part)


def _training(files: RunFiles) -> str:
    train = files.table("train")
    if not train:
        return ""
    rate = train.get("learning_rate")
    if isinstance(rate, Mapping):
        rate = f"{rate.get('schedule')} from {rate.get('initial', (rate.get('values') or [''])[0])}"
    parts = [
        f"{words.number(train['steps'])} iterations a level" if "steps" in train else "",
        f"batches of {files.table('data')['batch_size']}" if files.table("data") else "",
        f"{files.table('train', 'optimizer').get('name', '')} at {rate}",
    ]
    return ", ".join(part for part in parts if part)


def _pruning(files: RunFiles) -> str:
    lottery = files.table("lottery")
    if not lottery:
        return ""
    rate = lottery.get("rate")
    rates = lottery.get("rates") or {}
    own = ", ".join(f"{name} {words.rate(value)}" for name, value in rates.items())
    rewind = {"none": "no rewinding", "learning_rate": "learning-rate rewinding"}.get(
        str(lottery.get("rewind")), "rewound"
    )
    parts = [
        f"{lottery.get('pruner', '')} {lottery.get('score', '')}".strip(),
        f"{words.rate(rate)} a level" if rate else "",
        f"({own})" if own else "",
        f"{words.plural(lottery['levels'], 'level')}" if "levels" in lottery else "",
        f"{rewind} to iteration {words.number(lottery.get('rewind_step', 0))}",
    ]
    return ", ".join(part for part in parts if part).replace(", (", " (")


def _time(files: RunFiles, summary: Summary) -> str:
    seconds = sum(level.seconds for level in summary.levels)
    started = str(files.environment.get("started", ""))[:16].replace("T", " ")
    trained = f"{words.duration(seconds)} of training" if seconds else ""
    return ", ".join(part for part in (trained, f"begun {started}" if started else "") if part)


def _machine(environment: Mapping[str, Any]) -> str:
    cpus = environment.get("cpus")
    parts = [
        str(environment.get("processor", "")),
        words.plural(cpus, "CPU") if cpus else "",
        str(environment.get("platform", "")),
    ]
    return ", ".join(part for part in parts if part)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {versions[name]}" for name in _VERSIONS if name in versions)
