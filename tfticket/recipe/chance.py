"""Says so when a network that was trained is at chance level on the test data."""

from __future__ import annotations

from collections.abc import Mapping

from tfticket.data import DataSet
from tfticket.runs.plan import Plan
from tfticket.runs.progress import Progress
from tfticket.statistics.chance import chance_warning

_ACCURACIES = ("accuracy_at_early_stop", "accuracy_at_end")
_DENSE = ("ticket", 0)


class ChanceWatch:
    """A `Progress` that passes on what it hears, and adds a message about each such network.

    Of a seed and a branch it is the first level that is told of: sparser ones follow it.

    Args:
        progress: Hears everything.
        data: What networks are tested on.
    """

    def __init__(self, progress: Progress, data: DataSet) -> None:
        self._progress = progress
        self._data = data
        self._told: set[tuple[int, str]] = set()

    def plan(self, plan: Plan) -> None:
        """See `Progress`."""
        self._progress.plan(plan)

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """See `Progress`."""
        self._progress.begin(seed, branch, level, steps, density)

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._progress.update(step, measured)

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._progress.end(seed, branch, level, summary)
        accuracies = [summary[name] for name in _ACCURACIES if name in summary]
        if not accuracies or "diverged" in summary or (seed, branch) in self._told:
            return
        name = f"`{branch}`, level {level}" if level else f"`{branch}`"
        name = "The dense network" if (branch, level) == _DENSE else name
        warning = chance_warning(max(accuracies), self._data.test.y, of=f"{name}, seed {seed},")
        if warning is not None:
            self._told.add((seed, branch))
            self.message(f"{warning} {self._data.feeding} `data.normalize` changes that.")

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._progress.message(text)

    def part(self, name: str) -> Progress:
        """See `Progress`."""
        part = ChanceWatch(self._progress.part(name), self._data)
        part._told = self._told
        return part
