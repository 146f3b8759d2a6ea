"""Trials of a search: one trained network, its result, and the store of finished ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tfticket.lottery.speed import LossCurve
from tfticket.lottery.ticket import Ticket
from tfticket.metrics import Row
from tfticket.state import Snapshot
from tfticket.wording import brief_repr

TICKET = "ticket"
INITIAL, REWIND = "initial", "rewind"


@dataclass(frozen=True, order=True)
class Trial:
    """One network of a search: the ticket of a level, or a control of that ticket.

    Attributes:
        level: Number of prunings; 0 is dense.
        branch: `ticket`, or the name of the control.
        start_step: Step that training begins at.
        stop_step: Step that training ends at.
    """

    level: int
    branch: str
    start_step: int
    stop_step: int

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return self.stop_step - self.start_step


@dataclass(frozen=True)
class TrialResult:
    """Result of a trial.

    Attributes:
        trial: The trial.
        density: Share of the prunable weights that it kept, in (0, 1].
        early_stop_step: The step of minimum validation loss, read afterwards from the regular
            evaluations (Frankle & Carbin 2019, section 2); None without validation data.
        at_early_stop: Metrics there, such as `accuracy`; empty without validation data.
        at_end: Metrics after the last step; empty with neither test nor validation data.
        measured_on: The data of these metrics: `test`, or without test data `validation`, by which
            the early-stop step was chosen, so that they are optimistic.
        seconds: Wall time of the trial.
        validation_loss: Validation loss along training; None without validation data.

    Example:
        >>> trial = Trial(level=1, branch="ticket", start_step=0, stop_step=1000)
        >>> result = TrialResult(trial, 0.8, 600, {"accuracy": 0.9}, {}, "test", 2.5, None)
        >>> result.at_early_stop["accuracy"]
        0.9
    """

    trial: Trial
    density: float
    early_stop_step: int | None
    at_early_stop: Mapping[str, float]
    at_end: Mapping[str, float]
    measured_on: Literal["test", "validation"]
    seconds: float
    validation_loss: LossCurve | None

    __repr__ = brief_repr


@dataclass(frozen=True)
class FinishedTrial:
    """Output of a finished trial.

    Attributes:
        result: The result.
        ticket: Mask and starting weights.
        final: State after the last step.
        scored: State whose weights are scored for the next level: `final`, or that of the
            early-stop step.
        rows: All measurements.
    """

    result: TrialResult
    ticket: Ticket
    final: Snapshot
    scored: Snapshot
    rows: tuple[Row, ...]


def keeps_end(trial: Trial) -> bool:
    """Tell whether a later trial may begin where this one ends."""
    return trial.branch == TICKET or trial.level == 0


class TrialStore(ABC):
    """Abstract store of a search, in memory, or on disk so that the search can be resumed."""

    @abstractmethod
    def save_snapshot(self, name: str, snapshot: Snapshot) -> None:
        """Store the state at step 0 (`initial`) or at the rewind step (`rewind`)."""

    @abstractmethod
    def load_snapshot(self, name: str) -> Snapshot | None:
        """Return the snapshot of that name, or None."""

    @abstractmethod
    def save(self, finished: FinishedTrial) -> None:
        """Store a finished trial; after this returns it is never trained again."""

    @abstractmethod
    def is_finished(self, trial: Trial) -> bool:
        """Tell whether the trial was saved."""

    @abstractmethod
    def ticket(self, branch: str, level: int) -> Ticket:
        """Mask and starting weights of a finished trial."""

    @abstractmethod
    def scored(self, level: int) -> Snapshot:
        """Return the state of the ticket of a finished level whose weights are scored."""

    @abstractmethod
    def final(self, branch: str, level: int) -> Snapshot:
        """Return the state of a finished trial after its last step.

        It is kept for tickets, and for the dense networks of controls.
        """


@dataclass(repr=False)
class MemoryStore(TrialStore):
    """Keeps tickets and rows in memory; end states of dense and the last two tickets only."""

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    tickets: dict[tuple[str, int], Ticket] = field(default_factory=dict)
    ends: dict[tuple[str, int], tuple[Snapshot, Snapshot]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def save_snapshot(self, name: str, snapshot: Snapshot) -> None:
        """See `TrialStore`."""
        self.snapshots[name] = snapshot

    def load_snapshot(self, name: str) -> Snapshot | None:
        """See `TrialStore`."""
        return self.snapshots.get(name)

    def save(self, finished: FinishedTrial) -> None:
        """See `TrialStore`."""
        trial = finished.result.trial
        self.tickets[trial.branch, trial.level] = finished.ticket
        self.rows += finished.rows
        if keeps_end(trial):
            needed = (0, trial.level - 1)
            self.ends = {place: ends for place, ends in self.ends.items() if place[1] in needed}
            self.ends[trial.branch, trial.level] = (finished.scored, finished.final)

    def is_finished(self, trial: Trial) -> bool:
        """See `TrialStore`."""
        return (trial.branch, trial.level) in self.tickets

    def ticket(self, branch: str, level: int) -> Ticket:
        """See `TrialStore`."""
        return self.tickets[branch, level]

    def scored(self, level: int) -> Snapshot:
        """See `TrialStore`."""
        return self.ends[TICKET, level][0]

    def final(self, branch: str, level: int) -> Snapshot:
        """See `TrialStore`."""
        return self.ends[branch, level][1]


class TrialListener:
    """Hears how a search goes; each method does nothing unless it is overridden."""

    SILENT: ClassVar[TrialListener]

    def begin(self, trial: Trial, density: float) -> None:
        """A trial begins."""

    def update(self, trial: Trial, step: int, logs: Mapping[str, float]) -> None:
        """An epoch of `fit` ended; `logs` are its losses and metrics."""

    def end(self, result: TrialResult) -> None:
        """A trial ended."""


TrialListener.SILENT = TrialListener()
