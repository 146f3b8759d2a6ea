"""Measurements along the training of one network of a search."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import keras
import numpy as np

from tfticket.lottery.controls import Start
from tfticket.lottery.speed import LossCurve
from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import FinishedTrial, Trial, TrialResult
from tfticket.metrics import Row
from tfticket.state import Snapshot

_VALIDATION = "val_"


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as numbers: one that is a vector becomes one for each of its values.

    Example:
        >>> scalars({"loss": 0.5, "f1_score": np.array([0.9, 0.8])})
        {'loss': 0.5, 'f1_score_0': 0.9, 'f1_score_1': 0.8}
    """
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        values = np.asarray(value, dtype=float)
        if values.ndim == 0:
            flat[name] = float(values)
        else:
            flat |= {f"{name}_{i}": float(each) for i, each in enumerate(values.ravel())}
    return flat


def named_by_split(logs: Mapping[str, float]) -> dict[str, float]:
    """Name the logs of an epoch by split.

    Example:
        >>> named_by_split({"loss": 0.5, "val_loss": 0.6})
        {'train/loss': 0.5, 'validation/loss': 0.6}
    """
    return {
        f"validation/{name.removeprefix(_VALIDATION)}"
        if name.startswith(_VALIDATION)
        else f"train/{name}": value
        for name, value in logs.items()
    }


def final_values(result: TrialResult) -> dict[str, float]:
    """Return density and final metrics of a network by name, for logs."""
    split = result.measured_on
    found = {"summary/density": result.density}
    found |= {f"{split}/{name}_at_early_stop": v for name, v in result.at_early_stop.items()}
    return found | {f"{split}/{name}_at_end": v for name, v in result.at_end.items()}


class TrialMeasure:
    """Collects the rows of one trial, and the state at the step of minimum validation loss.

    Training always runs to its end; the early-stop step is read afterwards from the evaluations,
    as in the paper. Test data are touched only when the trial has ended.

    Args:
        trial: Which network.
        start: Where its training begins.
        seed: Of the search.
        batches_per_epoch: Steps of one pass over the training data, to tell epochs from steps.
    """

    def __init__(self, trial: Trial, start: Start, *, seed: int, batches_per_epoch: float) -> None:
        self.trial = trial
        self.start = start
        self._seed = seed
        self._batches_per_epoch = batches_per_epoch
        self._step = trial.start_step
        self._rows: list[Row] = []
        self._held_out: dict[int, Mapping[str, float]] = {}
        self._lowest_loss = math.inf
        self._early_stop: Snapshot | None = None
        self._began = time.perf_counter()

    @property
    def step(self) -> int:
        """The step reached at the end of the last epoch."""
        return self._step

    def record(self, model: keras.Model, steps: int, logs: Mapping[str, float]) -> int:
        """Record the logs of an epoch of `steps` steps, and return the step reached."""
        self._step += steps
        for name, value in logs.items():
            if not name.startswith(_VALIDATION):
                self._add("train", name, value)
        held_out = {
            name.removeprefix(_VALIDATION): value
            for name, value in logs.items()
            if name.startswith(_VALIDATION)
        }
        self.record_validation(model, self._step, held_out)
        return self._step

    def record_validation(
        self, model: keras.Model, step: int, metrics: Mapping[str, float]
    ) -> None:
        """Record an evaluation on validation data at `step`, which may lie within an epoch."""
        for name, value in metrics.items():
            self._add("validation", name, value, step)
        if metrics:
            self._held_out[step] = metrics
        if metrics.get("loss", math.inf) < self._lowest_loss:
            self._lowest_loss = metrics["loss"]
            self._early_stop = Snapshot.capture(model, step=step, optimizer=False)

    def finish(
        self,
        model: keras.Model,
        *,
        evaluate: Callable[[], dict[str, float]] | None,
        score_at: Literal["end", "early_stop"],
        provenance: Mapping[str, Any],
    ) -> FinishedTrial:
        """Test the network at its early-stop step and at its end, and summarize the trial.

        Args:
            model: In the state after the last step; it is left in that state.
            evaluate: Returns test metrics of the model as it is; None without test data, whose
                place the validation data then take.
            score_at: Which state is scored for the next level.
            provenance: Goes into the ticket.
        """
        final = Snapshot.capture(model, step=self._step)
        early = self._early_stop
        at_end = evaluate() if evaluate else self._held_out.get(self._step, {})
        at_early_stop: Mapping[str, float] = {}
        if early is not None:
            at_early_stop = self._held_out[early.step]
            if evaluate:
                early.restore(model)
                at_early_stop = evaluate()
                final.restore(model)
        result = TrialResult(
            trial=self.trial,
            density=self.start.mask.density,
            early_stop_step=None if early is None else early.step,
            at_early_stop=at_early_stop,
            at_end=at_end,
            measured_on="test" if evaluate else "validation",
            seconds=time.perf_counter() - self._began,
            validation_loss=self._validation_loss(),
        )
        self._add_result(result)
        ticket = Ticket(
            self.start.mask,
            self.start.snapshot.variables,
            self.trial.level,
            self.start.snapshot.step,
            {**provenance, "result": _as_dict(result)},
        )
        scored = early if score_at == "early_stop" and early is not None else final
        return FinishedTrial(result, ticket, final, scored, tuple(self._rows))

    def _validation_loss(self) -> LossCurve | None:
        losses = {step: m["loss"] for step, m in self._held_out.items() if "loss" in m}
        return LossCurve(tuple(losses), tuple(losses.values())) if losses else None

    def _add_result(self, result: TrialResult) -> None:
        for where, metrics, step in (
            ("early_stop", result.at_early_stop, result.early_stop_step),
            ("end", result.at_end, self.trial.stop_step),
        ):
            for name, value in metrics.items() if result.measured_on == "test" else ():
                self._add("test", f"{name}_at_{where}", value, step)
        mask = self.start.mask
        self._add("summary", "density", mask.density)
        self._add("summary", "remaining", mask.kept)
        self._add("summary", "prunable", mask.total)
        if result.early_stop_step is not None:
            self._add("summary", "early_stop_step", result.early_stop_step)
        self._add("summary", "seconds", round(result.seconds, 3))

    def _add(self, split: str, name: str, value: float, step: int | None = None) -> None:
        step = self._step if step is None else step
        epoch = round(step / self._batches_per_epoch, 4)
        trial = self.trial
        self._rows.append(
            Row(self._seed, trial.branch, trial.level, step, epoch, split, name, float(value))
        )


def _as_dict(result: TrialResult) -> dict[str, Any]:
    return {
        "early_stop_step": result.early_stop_step,
        "at_early_stop": dict(result.at_early_stop),
        "at_end": dict(result.at_end),
        "measured_on": result.measured_on,
    }
