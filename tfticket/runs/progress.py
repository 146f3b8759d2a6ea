"""The listener that hears how a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tfticket.runs.plan import Plan, Trial


class Progress(Protocol):
    """A listener that hears how a run goes on; a run never depends on it."""

    def plan(self, plan: Plan) -> None:
        """Before the first step."""

    def begin(self, trial: Trial, steps: int, density: float) -> None:
        """A network begins; it will make `steps` optimizer steps."""

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """An evaluation, after `step` of the network's own steps.

        Measured are `loss` and `val_loss`, `accuracy` and `val_accuracy` in [0, 1] where there are
        classes, and where the landscape is tracked `learning_rate`, `gauge` and `beta`.
        """

    def end(self, trial: Trial, summary: Mapping[str, float]) -> None:
        """A network ends; `summary` holds its `test` and `summary` measurements by name."""

    def message(self, text: str) -> None:
        """Anything else worth a line."""

    def part(self, name: str) -> Progress:
        """The listener of one of several tasks that run at the same time; it has no plan.

        Networks of one part begin and end one after the other.
        """


class Silence:
    """A listener that ignores every event."""

    def plan(self, plan: Plan) -> None:
        """See `Progress`."""

    def begin(self, trial: Trial, steps: int, density: float) -> None:
        """See `Progress`."""

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """See `Progress`."""

    def end(self, trial: Trial, summary: Mapping[str, float]) -> None:
        """See `Progress`."""

    def message(self, text: str) -> None:
        """See `Progress`."""

    def part(self, name: str) -> Progress:
        """See `Progress`."""
        return self
