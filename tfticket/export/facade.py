"""`export`: a model or ticket, a target, and one file that is right for it.

The way of a model: prepare (`preparation`: fold norms, take dead units out), convert (`conversion`:
one way a format), verify (`contents` and `verification`: the bytes are looked into, run and held
against Keras), choose (`choice`: the best that is accurate enough), write (`tflite.Draft.save`).
The first three are done for each format by `comparison.compare`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.plots import bars
from tfticket.display.words import percent2, size
from tfticket.errors import ExportError
from tfticket.export.choice import SPECS, TARGETS, TargetName, choose
from tfticket.export.comparison import Comparison, Conditions, Network, Tell, compare
from tfticket.export.contents import Ends
from tfticket.export.finetune import FineTuning
from tfticket.export.micro import MicroRun, check_on_micro
from tfticket.export.result import ExportReport, Format, Preprocessing
from tfticket.export.runtime import Arrays
from tfticket.export.self_test import write_micro_sources
from tfticket.export.slimming import slim
from tfticket.export.verification import CheckData
from tfticket.lottery.ticket import Ticket
from tfticket.sparsity.mask import Mask


@dataclass(frozen=True, eq=False, repr=False)
class Exported(Displayable):
    """The result of `export`: the file, and all that was tried.

    Attributes:
        report: Of the file.
        reason: Why this one, in words.
        comparison: Everything that was tried, with what came of it.
        sources: The C files beside it; empty but for the target `micro`.
        micro: What TensorFlow Lite Micro did with it, when the target is `micro` and the package is
            installed (`pip install 'tfticket[micro]'`).
    """

    report: ExportReport
    reason: str
    comparison: Comparison
    sources: tuple[Path, ...] = ()
    micro: MicroRun | None = None

    def __repr__(self) -> str:
        report = self.report
        return f"Exported({report.path.name!r}, {report.format}, {size(report.size_bytes)})"

    def summary(self) -> str:
        """Return file, size, accuracy and the reason for this file in two sentences."""
        report, found = self.report, self.report.verification
        said = f"{report.path.name}: {report.format}, {size(report.size_bytes)}"
        if found.accuracy is not None and found.keras_accuracy is not None:
            said += (
                f", accuracy {percent2(found.accuracy)} (Keras {percent2(found.keras_accuracy)})"
            )
        return f"{said}. {self.reason}"

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each file that was tried: bytes, accuracy, time, or why it failed."""
        return [
            {
                "network": attempt.network.name,
                "format": attempt.format,
                "size_bytes": None if attempt.draft is None else attempt.draft.report.size_bytes,
                "gzip_bytes": None if attempt.draft is None else attempt.draft.report.gzip_bytes,
                "accuracy": attempt.accuracy,
                "microseconds": None if attempt.latency is None else attempt.latency.microseconds,
                "failure": attempt.failure,
            }
            for attempt in self.comparison.attempts
        ]

    def _figure(self) -> Figure | None:
        sizes = {
            attempt.name: attempt.draft.report.size_bytes / 1000
            for attempt in self.comparison.attempts
            if attempt.draft is not None
        }
        return bars(sizes, "size of the file (kB)") if sizes else None


def export(
    source: keras.Model | Ticket,
    path: str | os.PathLike[str],
    *,
    target: TargetName = "phone",
    formats: Sequence[Format] | None = None,
    model: keras.Model | None = None,
    ends: Ends | None = None,
    keep_float: Sequence[str] = (),
    calibration: Arrays | None = None,
    check_on: CheckData | None = None,
    mask: Mask | None = None,
    statistics: Sequence[np.ndarray] | None = None,
    tuning: FineTuning | None = None,
    preprocessing: Preprocessing | Mapping[str, Preprocessing] | None = None,
    provenance: Mapping[str, Any] | None = None,
    margin: float = 0.005,
    min_agreement: float = 0.95,
    tell: Tell | None = None,
) -> Exported:
    """Try every format that a target allows, and write the one that is best for it.

    Batch normalization is folded and dead units are taken out first, exactly. Each file is run in
    LiteRT with and without its default delegate and compared with Keras; all are timed in one run
    against the model as it was given, in fp32. What is written keeps accuracy to within `margin`.

    Args:
        source: A trained model, sparsified or plain; or a ticket, whose `model` was trained with
            it: a ticket itself holds the weights that training starts from.
        path: Where to write; must end in `.tflite`.
        target: `phone` (LiteRT on ARM or x86; small and fast), `micro` (TensorFlow Lite Micro:
            int8, without what no runtime reads, and C sources beside the file: see `slim` and
            `write_micro_sources`), `smallest` or `fastest`.
        formats: What to try instead of all that the target allows.
        model: The trained model, when `source` is a ticket.
        ends: What a file of integers takes and gives instead of its own type: `uint8` or
            `float32`.
        keep_float: Layers that stay in float in files of the format int8; see `sensitivity`.
        calibration: Some hundred training examples as the model takes them, of several inputs in a
            list or by their names; without them nothing can be int8.
        check_on: Examples that the model wasn't trained on, 200 or more, and their labels or None.
        mask: The ticket's mask, for a plain model; a sparsified one and a ticket have their own.
        statistics: Batches of training inputs to take the statistics of batch normalization from
            again, for a model that was pruned and not trained since.
        tuning: Training data for a short training with weights rounded to the format, where that
            costs accuracy; kept where it helps.
        preprocessing: How raw data becomes what the model takes.
        provenance: What the file is to tell about its origin.
        margin: Accuracy that may be lost against the model, in [0, 1); needs labels.
        min_agreement: Smallest share of equal answers for formats that round, in [0, 1].
        tell: Called with a line of progress for each file that is tried, or None.

    Returns:
        The report of the file, the reason, and all that was tried.

    Raises:
        ExportError: when no file passes its checks, with each reason; nothing is written then.
        ModelError: for a subclassed model.
        RunError: when the file can't be written.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> made = export(model, "net.tflite", target="phone", formats=["fp16"], check_on=(x, None))
        >>> made.report.format, made.report.path.name
        ('fp16', 'net.tflite')
    """
    path = Path(path)
    network = _network(source, path, model, mask, provenance or {})
    comparison = compare(  # prepare, convert and verify
        [network],
        _formats(target, formats, calibration),
        baseline=replace(network, name="as_given"),
        folder=path.parent,
        conditions=Conditions(
            calibration=calibration,
            check_on=check_on,
            preprocessing=preprocessing,
            min_agreement=min_agreement,
            statistics=statistics,
            tuning=tuning,
            ends=ends,
            keep_float=tuple(keep_float),
        ),
        tell=tell,
    )
    choice = choose(comparison, objective=SPECS[target].objective, margin=margin)
    made = choice.attempt.draft
    assert made is not None, "what was chosen has a file"
    made = replace(made, report=replace(made.report, path=path))
    if target != "micro":
        return Exported(made.save(), choice.reason, comparison)
    x = calibration if check_on is None else check_on[0]
    reason = choice.reason
    if x is not None:
        slimmed = slim(made.content, x, source=path.name)
        made, reason = made.slimmed(slimmed.content), f"{reason} {slimmed.summary()}"
    micro = check_on_micro(made.content, x, path.name)
    sources = write_micro_sources(made.content, path.with_suffix(""), micro)
    return Exported(made.save(), reason, comparison, sources, micro)


def _network(
    source: keras.Model | Ticket,
    path: Path,
    model: keras.Model | None,
    mask: Mask | None,
    provenance: Mapping[str, Any],
) -> Network:
    if path.suffix != ".tflite":
        raise ExportError(f"`path` must end in .tflite. Received: {path}")
    if not isinstance(source, Ticket):
        return Network(path.stem, source, mask, provenance=provenance)
    if model is None:
        raise ExportError(
            "A ticket holds the weights that training starts from, so the network that was trained "
            "with it must be given too. Received: a ticket without `model`. Give "
            "`model=trained_model`, or export the run that the ticket is from."
        )
    origin = {**source.provenance, "ticket_sha256": source.sha256, "level": source.level}
    return Network(
        path.stem, model, source.mask, level=source.level, provenance={**origin, **provenance}
    )


def _formats(
    target: TargetName, formats: Sequence[Format] | None, calibration: Arrays | None
) -> Sequence[Format]:
    if target not in TARGETS:
        raise ExportError(f"`target` must be one of {TARGETS}. Received: {target!r}")
    allowed, also = SPECS[target].formats, SPECS[target].on_request
    wrong = [format for format in formats or () if format not in (*allowed, *also)]
    if wrong:
        raise ExportError(
            f"The target {target} takes the formats {', '.join((*allowed, *also))}. Received: "
            f"{', '.join(wrong)}. Leave them out, or choose another target."
        )
    if formats:
        return tuple(formats)
    if calibration is None and len(allowed) > 1:
        return tuple(format for format in allowed if format != "int8")
    return allowed
