"""Export the networks of a run to files that run on a device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras

from tfticket.data import DataSet, Split
from tfticket.errors import DataError, ExportError, RunError
from tfticket.export.plain import save_keras
from tfticket.export.result import ExportReport, Format, Preprocessing
from tfticket.export.tflite import to_tflite
from tfticket.lottery.over_seeds.levels import LevelSummary
from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import TICKET
from tfticket.lottery.verdict import smallest_matching
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.state import Snapshot
from tfticket.studies.lottery.summary import Summary, summarize

if TYPE_CHECKING:
    from tfticket.studies.lottery.study import LotteryStudy

CALIBRATION_EXAMPLES = 500
CHECK_EXAMPLES = 10_000
_LONGEST = 300
_DENSE = 0
_NOT_THE_FILES_FAULT = (DataError, RunError, OSError)  # to be put right, and gone on from


def failure(error: Exception, what: str) -> ExportError:
    """Return the error to report of a file that could not be made.

    Exporting comes after hours of training, which must not be lost to a network that no file can be
    made of. So nothing that the libraries below raise ends a run, but what the run itself lacks:
    its data, or a disk that can be written.

    Raises:
        DataError, RunError, OSError: when that is what was given.
    """
    if isinstance(error, _NOT_THE_FILES_FAULT):
        raise error
    if isinstance(error, ExportError):
        return error
    said = " ".join(str(error).split())
    return ExportError(f"{what} could not be made ({type(error).__name__}: {said[:_LONGEST]}).")


def examples(data: DataSet, split: Split, count: int = CHECK_EXAMPLES) -> dict[str, Any]:
    """Return arguments of exports: what to calibrate and check with, and how inputs are fed.

    Args:
        data: The data set, whose training data calibrate.
        split: Whose first examples check a file, and choose among several.
        count: At most so many of them.
    """
    return {
        "calibration": data.inputs(data.train, CALIBRATION_EXAMPLES),
        "check_on": (data.inputs(split, count), split.y[:count]),
        "preprocessing": Preprocessing.of(data.scale, data.offset),
    }


@dataclass(frozen=True)
class Choice:
    """A level that is worth exporting.

    Attributes:
        level: The level.
        reason: Why, in words.
    """

    level: int
    reason: str


def choose(summary: Summary) -> Choice:
    """Choose the smallest ticket that is as good as dense, as far as a run shows it.

    Raises:
        RunError: when no network is finished.
    """
    tickets = [level for level in summary.branch(TICKET) if level.level > _DENSE]
    if summary.dense is None:
        raise RunError("A run must have a finished dense network to choose a ticket to export.")
    if summary.smallest_winning is not None:
        return Choice(summary.smallest_winning.level, "the smallest winning ticket")
    matching = smallest_matching(summary.verdicts)
    if matching is not None:
        return Choice(matching.level, "no ticket is winning; the smallest that matches")
    metric = summary.metric

    def quality(level: LevelSummary) -> float:
        return metric.sign * level.value.mean

    enough = quality(summary.dense) - summary.criteria.margin
    as_good = [level for level in tickets if quality(level) >= enough]
    good = "accurate" if metric.is_accuracy else "good"
    if as_good:
        smallest_level = min(as_good, key=lambda level: level.density)
        return Choice(
            smallest_level.level,
            f"no ticket is shown to match; the smallest that was as {good} on average",
        )
    if tickets:
        best = max(tickets, key=quality)
        return Choice(best.level, f"no ticket is as {good}; the one that comes nearest")
    return Choice(_DENSE, "no ticket is finished; the dense network")


@dataclass(eq=False)
class Exporter:
    """Exports networks of one run; a file that fails doesn't keep the others from being made.

    Args:
        study: The study of the run.
        run: The run directory.
        progress: The listener.

    Attributes:
        failures: An error for each file that failed so far.
    """

    study: LotteryStudy
    run: RunDir
    progress: Progress
    failures: list[ExportError] = field(default_factory=list)

    def export(
        self,
        *,
        level: int | None = None,
        seed: int | None = None,
        formats: Sequence[Format] | None = None,
    ) -> list[ExportReport]:
        """Export networks as `export_run` of the runner does, but keep failures and raise none."""
        levels = self._levels() if level is None else [level]
        chosen: Sequence[Format] = formats or self.study.recipe.export.formats
        by_seed: dict[int, list[int]] = {}
        for wanted in levels:
            by_seed.setdefault(self._seed_of(wanted, seed), []).append(wanted)
        reports = []
        for found, wanted_levels in by_seed.items():
            # Sparse files are timed against dense fp32, so that one is always made. Of a network
            # without zeros there is no sparse file to be held against.
            beside = [each for each in chosen if not each.startswith("sparse_")]
            dense: dict[Format, None] = dict.fromkeys(
                ("fp32", *(chosen if _DENSE in wanted_levels else beside))
            )
            reports += self._network(found, _DENSE, dense)
            for wanted in wanted_levels:
                if wanted != _DENSE:
                    reports += self._network(found, wanted, chosen)
        return reports

    def _levels(self) -> list[int]:
        asked = self.study.recipe.export.levels
        if asked != "smallest_winning":
            return list(asked)
        choice = choose(summarize(self.run.path))
        self.progress.message(f"Exporting level {choice.level}: {choice.reason}.")
        return [choice.level]

    def _seed_of(self, level: int, seed: int | None) -> int:
        wanted = self.study.recipe.seeds if seed is None else (seed,)
        finished = self.run.finished_levels()
        for candidate in wanted:
            if {(candidate, TICKET, level), (candidate, TICKET, _DENSE)} <= finished:
                return candidate
        places = sorted({(s, found) for s, branch, found in finished if branch == TICKET})
        raise RunError(
            "A level must be finished, and the dense network of its seed too, to be exported. "
            f"Received: level {level} of seed {' or '.join(map(str, wanted))}. Finished as (seed, "
            f"level): {places}."
        )

    def place(self, level: int | None, seed: int | None) -> tuple[int, int]:
        """Return the seed and level to export when one network is asked for; see `export`."""
        wanted = self._levels()[0] if level is None else level
        return self._seed_of(wanted, seed), wanted

    def network(self, seed: int, level: int) -> tuple[Ticket, keras.Model]:
        """Return a ticket, and the network at the end of its training.

        Raises:
            DataError: when the data isn't what the ticket was found with.
        """
        ticket = Ticket.load(self.run.ticket(seed, TICKET, level))
        found, data = ticket.provenance.get("data_fingerprint"), self.study.data
        if found not in (None, data.fingerprint):
            raise DataError(
                f"The ticket was found with other data than {data.name!r}: its fingerprint is "
                f"{str(found)[:12]}..., that of the data {data.fingerprint[:12]}... Its accuracy "
                "would mean nothing. Give the folder of the original data."
            )
        model = self.study.model(seed)
        snapshot = Snapshot.load(self.run.final(seed, TICKET, level))
        replace(snapshot, optimizer=None).restore(model)
        return ticket, model

    def provenance(self, ticket: Ticket, seed: int) -> dict[str, Any]:
        """Return the origin of a ticket, to be noted in its files."""
        return {
            **ticket.provenance,
            "run": self.run.path.resolve().name,
            "seed": seed,
            "level": ticket.level,
            "ticket_sha256": ticket.sha256,
            "classes": list(self.study.data.class_names),
        }

    def _network(self, seed: int, level: int, formats: Iterable[Format]) -> list[ExportReport]:
        ticket, model = self.network(seed, level)
        if level != _DENSE:
            path = self.run.model(seed, level)
            with self._noting_failures(f"`{path.name}`"):
                save_keras(model, path)
        reports = []
        for format in formats:
            with self._noting_failures(f"The {format} file of level {level}"):
                report = self._file(model, ticket, seed, format)
                reports.append(report)
                self.progress.message(_line(report))
                for warning in report.warnings:
                    self.progress.message(f"{report.path.name}: {warning}")
        return reports

    @contextlib.contextmanager
    def _noting_failures(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failures.append(failure(error, what))
            self.progress.message(str(self.failures[-1]))

    def _file(self, model: keras.Model, ticket: Ticket, seed: int, format: Format) -> ExportReport:
        baseline = self.run.exported(seed, _DENSE, ".fp32.tflite")
        path = self.run.exported(seed, ticket.level, f".{format}.tflite")
        return to_tflite(
            model,
            path,
            format=format,
            mask=ticket.mask,
            **self._examples,
            provenance=self.provenance(ticket, seed),
            baseline=baseline if baseline.is_file() and baseline != path else None,
        )

    @cached_property
    def _examples(self) -> dict[str, Any]:
        return examples(self.study.data, self.study.data.test)


def _line(report: ExportReport) -> str:
    """A file in one line for people."""
    seen = report.verification
    parts = [f"{report.size_bytes:,} bytes, {report.gzip_bytes:,} after gzip"]
    if seen.accuracy is not None:
        parts.append(f"accuracy {seen.accuracy:.2%} on {seen.count:,} test examples")
    if seen.error is not None:
        parts.append(f"root mean square error {seen.error:.4g} on {seen.count:,} test examples")
    if report.latency is not None:
        parts.append(f"{report.latency.speedup:.2f} times as fast as dense fp32 on this machine")
    return f"{report.path.name}: {', '.join(parts)}."
