"""What a study was made of: the facts above its results."""

from __future__ import annotations

from tfticket.report import facts as common
from tfticket.report import words
from tfticket.report.norms.cells import Branch, Study
from tfticket.report.norms.series import labels
from tfticket.report.norms.summary import Summary


def facts(study: Study, summary: Summary) -> common.Facts:
    """Names and values, in the order of a page; what isn't known is left out.

    Args:
        study: The cells of a run.
        summary: What they came to.
    """
    files = study.files
    seconds = sum(sum(each.values("seconds").values()) for each in summary.branches)
    return common.known(
        [
            ("Recipe", f"{summary.name} ({summary.run})"),
            ("Data", common.data(files)),
            ("Noise", _noise(summary)),
            ("Network", _network(study)),
            ("Normalization", ", ".join(labels(study.branches))),
            ("Training", _training(study)),
            ("Landscape", _landscape(study)),
            ("Seeds", words.ranges(list(summary.seeds))),
            ("Networks", _networks(study, summary)),
            ("Time", common.time(files, seconds)),
            *common.origin(files.environment),
        ]
    )


def _noise(summary: Summary) -> str:
    found = summary.memorization
    if found is None:
        return ""
    realized = words.percent2(found.realized.mean)
    return f"{found.noise}, {realized} of the training labels are wrong; test labels are right"


def _network(study: Study) -> str:
    depth = study.files.table("model").get("depth")
    return ", ".join(
        part for part in (common.network(study.files), f"depth {depth}" if depth else "") if part
    )


def _networks(study: Study, summary: Summary) -> str:
    asked = sum(len(branch.seeds) for branch in study.branches)
    done = sum(len(each.seeds) for each in summary.branches)
    return f"{done} of {asked} finished" if asked else ""


def _training(study: Study) -> str:
    if not study.files.table("train"):
        return ""
    return ", ".join(
        part
        for part in (
            _numbers(study.branches, "steps", "iterations"),
            f"batches of {_numbers(study.branches, 'batch_size', '')}".strip(),
            common.optimizer(study.files),
        )
        if part
    )


def _numbers(branches: tuple[Branch, ...], name: str, noun: str) -> str:
    """`1500 iterations`, `750 to 24 000 iterations`."""
    found = sorted({getattr(branch, name) for branch in branches})
    if not found:
        return ""
    text = words.number(found[0])
    if len(found) > 1:
        text = f"{text} to {words.number(found[-1])}"
    return f"{text} {noun}".strip()


def _landscape(study: Study) -> str:
    table = study.files.table("landscape")
    record = next((r for b in study.branches for r in study.landscapes(b).values()), None)
    if record is None:
        return ""
    k = record.multipliers
    parts = [
        f"{words.plural(len(k), 'point')} from {k[0]:g} to {k[-1]:g} times the step",
        f"along the {table['direction']}" if "direction" in table else "",
        "on the training batch" if table.get("batch") == "train" else "",
        "on a fixed batch" if table.get("batch") == "fixed" else "",
        f"every {table['every']} iterations" if table.get("every") else "",
    ]
    return ", ".join(part for part in parts if part)
