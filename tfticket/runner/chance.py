"""Warnings about networks at chance level, while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping

from tfticket.data import DataSet
from tfticket.runs.plan import Plan, Trial
from tfticket.runs.progress import Progress
from tfticket.statistics.chance import best_accuracy, chance_warning, network_name


class ChanceWatch:
    """A `Progress` that forwards every event, and warns of networks at chance level.

    Only the first such level of a seed and a branch is named: sparser ones follow it.

    Args:
        progress: The listener to forward to.
        data: The data set, whose test labels tell what chance level is.
    """

    def __init__(self, progress: Progress, data: DataSet) -> None:
        self._progress = progress
        self._data = data
        self._warned: set[tuple[int, str]] = set()

    def plan(self, plan: Plan) -> None:
        """See `Progress`."""
        self._progress.plan(plan)

    def begin(self, trial: Trial, steps: int, density: float) -> None:
        """See `Progress`."""
        self._progress.begin(trial, steps, density)

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._progress.update(step, measured)

    def end(self, trial: Trial, summary: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._progress.end(trial, summary)
        seed, branch, level = trial
        accuracy = best_accuracy(summary)
        if accuracy is None or "diverged" in summary or (seed, branch) in self._warned:
            return
        name = network_name(branch, level)
        name = f"{name[0].upper()}{name[1:]}, seed {seed},"
        warning = chance_warning(accuracy, self._data.test.y, of=name)
        if warning is not None:
            self._warned.add((seed, branch))
            self.message(f"{warning} {self._data.feeding} `data.normalize` changes that.")

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._progress.message(text)

    def part(self, name: str) -> Progress:
        """See `Progress`."""
        part = ChanceWatch(self._progress.part(name), self._data)
        part._warned = self._warned
        return part
