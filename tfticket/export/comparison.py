"""Networks in all formats, held against one another: bytes, time and accuracy in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import keras
import numpy as np

from tfticket.errors import ExportError
from tfticket.export import latency
from tfticket.export.contents import Ends
from tfticket.export.conversion import Convertible
from tfticket.export.ends import one_each, output_names
from tfticket.export.finetune import BITS, FineTuning, fine_tune
from tfticket.export.labels import Labels
from tfticket.export.latency import Latency
from tfticket.export.preparation import Prepared, prepare
from tfticket.export.result import Format, Preprocessing
from tfticket.export.runtime import Arrays, Examples, Loaded
from tfticket.export.tflite import Draft, draft
from tfticket.export.verification import CheckData, examples_for
from tfticket.machine import processor
from tfticket.sparsity.mask import Mask
from tfticket.wording import brief_repr

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network that takes part.

    Attributes:
        name: What to call it; also the beginning of its files' names.
        model: Built, Sequential or Functional.
        mask: The ticket's mask, for a plain model.
        structure: How it was pruned: a name of a structure, or `dense`.
        level: How often it was pruned.
        provenance: What its files are to tell about their origin.
    """

    name: str
    model: keras.Model
    mask: Mask | None = None
    structure: str = "unstructured"
    level: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    __repr__ = brief_repr


@dataclass(frozen=True, eq=False)
class Attempt:
    """One network in one format: a file that passed its checks, or why there is none.

    Attributes:
        network: The network.
        prepared: What it was before it was converted; None for a network that is taken as it is.
        format: The format.
        draft: The file, not written; None when it failed.
        failure: Why, in words; None when it didn't.
        latency: Its time against the baseline; None when it failed.
        test_accuracy: On data that nothing was chosen by; None without such data, or where its
            labels are numbers.
        tuned_from: Score on `check_on` before the network was tuned to the format; None when it
            wasn't, or when that didn't help.
    """

    network: Network
    prepared: Prepared | None
    format: Format
    draft: Draft | None
    failure: str | None = None
    latency: Latency | None = None
    test_accuracy: float | None = None
    tuned_from: float | None = None

    __repr__ = brief_repr

    @property
    def name(self) -> str:
        """Network and format."""
        return f"{self.network.name}.{self.format}"

    @property
    def accuracy(self) -> float | None:
        """On the data that it was checked on; None without labels of classes."""
        return None if self.draft is None else self.draft.report.verification.accuracy

    @property
    def score(self) -> float | None:
        """The score on the same data; see `Verification.score`."""
        return None if self.draft is None else self.draft.report.verification.score

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each output with labels."""
        return () if self.draft is None else self.draft.report.verification.scores


@dataclass(frozen=True, eq=False)
class Conditions:
    """Data and limits that all networks are converted and checked with; see `to_tflite`.

    Attributes:
        calibration: Training examples, as the models take them; without them there is no int8.
        check_on: Examples to check on, and their labels or None. Choices go by these.
        test: Examples and labels that no choice goes by; None for none.
        preprocessing: How raw data becomes what the models take.
        min_agreement: Smallest share of equal answers for formats that round.
        statistics: Batches of training inputs to take batch statistics from again; see `prepare`.
        tuning: How to tune a network to a format of few bits that costs it accuracy; None not to.
        ends: What files of integers take and give; see `to_tflite`.
        keep_float: The layers that stay in float in files of the format int8.
    """

    calibration: Arrays | None = None
    check_on: CheckData | None = None
    test: CheckData | None = None
    preprocessing: Preprocessing | Mapping[str, Preprocessing] | None = None
    min_agreement: float = 0.95
    statistics: Sequence[np.ndarray] | None = None
    tuning: FineTuning | None = None
    ends: Ends | None = None
    keep_float: tuple[str, ...] = ()

    __repr__ = brief_repr

    def convertible(self, model: keras.Model) -> Convertible:
        """A model with the data that it is converted and checked with."""
        return Convertible(model, self.calibration, self.check_on, self.ends, self.keep_float)


@dataclass(frozen=True, eq=False)
class Comparison:
    """The attempts, the baseline first.

    Attributes:
        attempts: One for each network and format.
        host: The processor that times were measured on; they say nothing about any other.
    """

    attempts: tuple[Attempt, ...]
    host: str

    __repr__ = brief_repr

    @property
    def baseline(self) -> Attempt:
        """The network that the others are held against, in fp32 and as it is."""
        return self.attempts[0]

    @property
    def passed(self) -> tuple[Attempt, ...]:
        """Those that have a file."""
        return tuple(attempt for attempt in self.attempts if attempt.draft is not None)


def compare(
    networks: Sequence[Network],
    formats: Sequence[Format],
    *,
    baseline: Network,
    folder: Path,
    conditions: Conditions,
    tell: Tell | None = None,
) -> Comparison:
    """Prepare, convert, verify and time networks in formats; nothing is written.

    Each network is prepared (batch normalization folded, dead units out) and converted to each
    format. All times are measured in one run, in turns. The baseline is converted to fp32 as it is,
    which is what the file would be without any of this.

    Args:
        networks: What is compared; the baseline may be among them, to appear in other formats.
        formats: What is tried for each.
        baseline: The dense network, or the only one.
        folder: Where the files would be written.
        conditions: What to convert and check with.
        tell: Called with a line of progress for each file, or None.

    Raises:
        ExportError: when the baseline itself can't be converted.
        ModelError: for a subclassed model.
    """
    tell = tell or (lambda line: None)
    as_given = conditions.convertible(baseline.model)
    first = Attempt(baseline, None, "fp32", _draft(baseline, as_given, "fp32", folder, conditions))
    tell(describe(first))
    for warning in first.draft.report.warnings if first.draft else ():
        tell(f"{first.name}: {warning}")
    attempts = [first]
    for network in networks:
        prepared = prepare(network.model, network.mask, conditions.statistics)
        of = conditions.convertible(prepared.model)
        for format in formats:
            if network is not baseline or format != "fp32":
                attempts.append(_attempt(network, prepared, of, format, folder, conditions))
                tell(describe(attempts[-1]))
    return Comparison(tuple(_measured(attempts, conditions, as_given.reference.x)), processor())


def describe(attempt: Attempt) -> str:
    """Describe an attempt in one line."""
    if attempt.draft is None:
        return f"{attempt.name}: no file. {attempt.failure}"
    report = attempt.draft.report
    line = f"{attempt.name}: {report.size_bytes:,} bytes, {report.gzip_bytes:,} after gzip"
    if attempt.accuracy is not None:
        line += f", accuracy {attempt.accuracy:.2%}"
    elif report.verification.error is not None:
        line += f", error {report.verification.error:.4g}"
    return line


def _attempt(
    network: Network,
    prepared: Prepared,
    of: Convertible,
    format: Format,
    folder: Path,
    conditions: Conditions,
) -> Attempt:
    """Try a format, and where it costs accuracy, the same after a short training for it."""
    mask = prepared.mask
    facts: dict[str, Any] = {
        "mask_sha256": None if mask is None else mask.sha256,
        "density": None if mask is None else mask.density,
        "structure": network.structure,
        "parameters_before": prepared.parameters_before,
        "parameters_after": prepared.parameters_after,
        "norms_folded": len(prepared.folded),
        "units": {change.key: [change.before, change.after] for change in prepared.layers},
    }

    def tried(of: Convertible) -> Attempt:
        try:
            made = _draft(network, of, format, folder, conditions, facts)
        except ExportError as error:
            return Attempt(network, prepared, format, None, str(error))
        return Attempt(network, prepared, format, made)

    first, tuning = tried(of), conditions.tuning
    several = len(of.model.inputs) + len(of.model.outputs) > 2
    if tuning is None or format not in BITS or several or _lost(first) <= tuning.worth:
        return first
    model = fine_tune(prepared.model, tuning, bits=BITS[format])
    facts["fine_tuned_steps"] = tuning.steps
    tuned = tried(conditions.convertible(model))
    better = (tuned.score or 0.0) > (first.score or 0.0)
    return replace(tuned, tuned_from=first.score) if better else first


def _lost(attempt: Attempt) -> float:
    """Share of the score that the format costs the network; 0 without labels, 1 without a file."""
    if attempt.draft is None:
        return 1.0
    if attempt.score is None:
        return 0.0
    return (attempt.draft.report.verification.keras_score or 0.0) - attempt.score


def _draft(
    network: Network,
    of: Convertible,
    format: Format,
    folder: Path,
    conditions: Conditions,
    facts: Mapping[str, Any] | None = None,
) -> Draft:
    return draft(
        of,
        folder / f"{network.name}.{format}.tflite",
        format=format,
        preprocessing=conditions.preprocessing,
        provenance=network.provenance,
        min_agreement=conditions.min_agreement,
        facts=facts,
    )


def _measured(
    attempts: list[Attempt], conditions: Conditions, example: Examples
) -> Iterator[Attempt]:
    """Time all files in one run, and score them on test data."""
    files = {attempt.name: attempt.draft.content for attempt in attempts if attempt.draft}
    times = latency.measure(files, example, baseline=attempts[0].name)
    for attempt in attempts:
        if attempt.draft is None:
            yield attempt
            continue
        accuracy = None
        if conditions.test is not None:
            accuracy = _tested(attempt.draft.content, conditions.test, attempt.network.model)
        report = replace(attempt.draft.report, latency=times[attempt.name])
        yield replace(
            attempt,
            draft=replace(attempt.draft, report=report),
            latency=times[attempt.name],
            test_accuracy=accuracy,
        )


def _tested(content: bytes, test: CheckData, model: keras.Model) -> float | None:
    """Accuracy on test data, the mean over outputs with labels of classes; None without."""
    x, y = test
    names = output_names(model)
    outputs = Loaded(content, source="The file").run_all(examples_for(model, x, "test[0]"))
    found = [
        Labels.of(labels, answers, "test[1]").quality(answers).accuracy
        for labels, answers in zip(one_each(y, names, "test[1]"), outputs, strict=True)
        if labels is not None
    ]
    known = [accuracy for accuracy in found if accuracy is not None]
    return fmean(known) if known else None
