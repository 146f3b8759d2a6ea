"""What a run of the kind `noisy` was made of: the facts above its results."""

from __future__ import annotations

from tfticket.report import facts as common
from tfticket.report import words
from tfticket.report.noisy.cells import Study
from tfticket.report.noisy.summary import Summary
from tfticket.report.reading import RunFiles


def facts(study: Study, summary: Summary) -> common.Facts:
    """Names and values, in the order of a page; what isn't known is left out.

    Args:
        study: The trainings of a run.
        summary: What they came to.
    """
    files = study.files
    seconds = sum(sum(found.values("seconds").values()) for found in summary.trainings)
    return common.known(
        [
            ("Recipe", f"{summary.name} ({summary.run})"),
            ("Data", common.data(files)),
            ("Noise", ", ".join(cell.noise_name for cell in study.noises.values())),
            ("Methods", ", ".join(dict.fromkeys(cell.method_name for cell in study.cells))),
            ("Network", _network(study)),
            ("Training", _training(study)),
            ("Held-out predictions", _selection(files)),
            ("Seeds", words.ranges(list(summary.seeds))),
            ("Time", common.time(files, seconds)),
            *common.origin(files.environment),
        ]
    )


def _network(study: Study) -> str:
    name = common.network(study.files)
    return f"{name}, two of them in each training" if name and _trains(study) else name


def _trains(study: Study) -> bool:
    return any(cell.steps for cell in study.cells)


def _training(study: Study) -> str:
    files, steps = study.files, sorted({cell.steps for cell in study.cells if cell.steps})
    batch = files.table("data").get("batch_size")
    return ", ".join(
        part
        for part in (
            f"{words.number(steps[-1])} iterations" if steps else "",
            f"batches of {batch}" if batch else "",
            common.optimizer(files) if files.table("train", "optimizer") else "",
        )
        if part
    )


def _selection(files: RunFiles) -> str:
    table = files.table("selection")
    if not table:
        return ""
    return (
        f"{words.plural(table.get('folds', 2), 'fold')}, "
        f"{words.plural(table.get('epochs', 1), 'epoch')} each"
    )
