"""Progress of a task that is done elsewhere, as messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tfticket.recipe.executors.crew import Told
from tfticket.recipe.progress import NormsPlan, Plan, Progress


class Teller:
    """`Progress` that sends what it hears.

    Args:
        send: Sends a message to the process that shows it.
    """

    def __init__(self, send: Callable[[Told], None]) -> None:
        self._send = send

    def plan(self, plan: Plan | NormsPlan) -> None:
        """See `Progress`; a task has no plan of its own."""

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """See `Progress`."""
        self._send(Told("begin", (seed, branch, level, steps, density)))

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._send(Told("update", (step, {key: float(value) for key, value in measured.items()})))

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._send(Told("end", (seed, branch, level, dict(summary))))

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._send(Told("message", (text,)))

    def part(self, name: str) -> Progress:
        """See `Progress`."""
        return self
