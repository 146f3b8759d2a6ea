"""`RunStore`: finished trials in a run directory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path

from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import TICKET, FinishedTrial, Trial, TrialStore, keeps_end
from tfticket.metrics import Row
from tfticket.runs.rundir import RunDir
from tfticket.state import Snapshot

_SNAPSHOTS = {"initial": RunDir.initial, "rewind": RunDir.rewind}

Measure = Callable[[FinishedTrial], Iterable[Row]]
"""Measures a finished network; its rows are kept with those of the search."""


class RunStore(TrialStore):
    """Keeps the trials of one seed in a run directory.

    A trial's end state and rows are written before its ticket, whose name in the directory is what
    makes the trial finished.

    Args:
        run: Open for writing.
        seed: Whose trials.
        branches: Which of them; those of other branches count as finished, since somebody else
            trains them. All if None.
        keep_slots: Whether end states keep the slots of the optimizer, which only fine-tuning goes
            on with.
        prefix: Begins the names of branches and snapshots on disk, where a run holds several
            searches of a seed.
        measure: Measures each network when it has finished.
    """

    def __init__(
        self,
        run: RunDir,
        seed: int,
        *,
        branches: Collection[str] | None = None,
        keep_slots: bool = False,
        prefix: str = "",
        measure: Measure | None = None,
    ) -> None:
        self._run = run
        self._keep_slots = keep_slots
        self._seed = seed
        self._branches = branches
        self._prefix = prefix
        self._measure = measure

    def save_snapshot(self, name: str, snapshot: Snapshot) -> None:
        """See `TrialStore`."""
        snapshot.save(self._snapshot(name))

    def load_snapshot(self, name: str) -> Snapshot | None:
        """See `TrialStore`."""
        path = self._snapshot(name)
        return Snapshot.load(path) if path.exists() else None

    def save(self, finished: FinishedTrial) -> None:
        """See `TrialStore`."""
        trial = finished.result.trial
        if keeps_end(trial):
            final = finished.final
            if not self._keep_slots:
                final = replace(final, optimizer=None)
            final.save(self._final(trial.branch, trial.level))
            if trial.branch == TICKET and finished.scored is not finished.final:
                finished.scored.save(self._scored(trial.level))
        rows = (*finished.rows, *(self._measure(finished) if self._measure else ()))
        self._run.append_rows(replace(row, branch=self._prefix + row.branch) for row in rows)
        finished.ticket.save(self._ticket(trial.branch, trial.level))

    def is_finished(self, trial: Trial) -> bool:
        """See `TrialStore`."""
        if self._branches is not None and trial.branch not in (TICKET, *self._branches):
            return True
        return self._ticket(trial.branch, trial.level).is_file()

    def ticket(self, branch: str, level: int) -> Ticket:
        """See `TrialStore`."""
        return Ticket.load(self._ticket(branch, level))

    def scored(self, level: int) -> Snapshot:
        """See `TrialStore`."""
        path = self._scored(level)
        return Snapshot.load(path) if path.exists() else self.final(TICKET, level)

    def final(self, branch: str, level: int) -> Snapshot:
        """See `TrialStore`."""
        return Snapshot.load(self._final(branch, level))

    def _snapshot(self, name: str) -> Path:
        path = _SNAPSHOTS[name](self._run, self._seed)
        return path.with_name(self._prefix + path.name)

    def _ticket(self, branch: str, level: int) -> Path:
        return self._run.ticket(self._seed, self._prefix + branch, level)

    def _final(self, branch: str, level: int) -> Path:
        return self._run.final(self._seed, self._prefix + branch, level)

    def _scored(self, level: int) -> Path:
        final = self._final(TICKET, level)
        return final.with_name(final.name.replace(".final.", ".early_stop."))
