"""Starting points: the mask and the state that each trial of a search begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tfticket.errors import InvariantError, ModelError
from tfticket.introspection import held_optimizers
from tfticket.lottery.controls import ControlContext, Start
from tfticket.lottery.procedure import Procedure
from tfticket.lottery.trial import INITIAL, REWIND, TICKET, Trial, TrialStore
from tfticket.seeds import generator
from tfticket.sparsity.binding import MaskBinding
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.saliency import SaliencyScore, prune_by_saliency
from tfticket.sparsity.scores import random_scores, score_weights
from tfticket.state import Snapshot, innermost_optimizer, optimizer_variables
from tfticket.statistics import recalibrate


class StartingPoints:
    """Masks and states that the trials of a search begin with.

    They are a function of the store, never of what the model was trained on before, so that a
    search can be resumed anywhere with the same result.

    Args:
        procedure: Settings of the search.
        model: Compiled model, in its initial state unless the store holds that state.
        store: Store of finished trials.
        binding: Masks of the model.
        recalibrate: Batches to recompute the moving statistics of pruned networks on, or None.
    """

    def __init__(
        self,
        procedure: Procedure,
        model: keras.Model,
        store: TrialStore,
        binding: MaskBinding,
        recalibrate: Sequence[Any] | None = None,
    ) -> None:
        self._procedure = procedure
        self._model = model
        self._store = store
        self._binding = binding
        self._batches = recalibrate
        if store.load_snapshot(INITIAL) is None:
            store.save_snapshot(INITIAL, Snapshot.capture(model, step=0))
        # What the store gives back, the first time too: a file doesn't keep the order of the keys.
        self._initial = _existing(store.load_snapshot(INITIAL), step=0)
        self._numbers = _own_numbers(model)

    def take(self, trial: Trial) -> Start:
        """Put the model at the starting point of a trial; see `of`.

        Raises:
            ModelError: when training changed what can't be set back.
        """
        now = _own_numbers(self._model)
        changed = [
            name
            for name, value in now.items()
            if name not in self._numbers or not np.array_equal(value, self._numbers[name])
        ]
        if changed:
            raise ModelError(
                f"Training changed plain numbers of the model, which can't be set back: "
                f"{', '.join(f'`{name}`' for name in changed)}. Keep what a training step counts "
                "in a `keras.Variable`."
            )
        start = self.of(trial)
        start.snapshot.restore(self._model)
        self._binding.set(start.mask)
        return start if self._batches is None or trial.level == 0 else self._recalibrated(start)

    def of(self, trial: Trial) -> Start:
        """Return the starting point of a trial whose predecessors are finished.

        Raises:
            InvariantError: when a mask grew, a control is the ticket, or a step doesn't fit.
        """
        start = self._ticket(trial.level)
        if trial.branch != TICKET:
            ticket, start = start, self._control(trial, start)
            _check_differs(trial, start, ticket)
        if start.snapshot.step != trial.start_step:
            raise InvariantError(f"{trial} must begin at its step, not {start.snapshot.step}.")
        return start

    def _recalibrated(self, start: Start) -> Start:
        """Statistics of the model, which is at `start`, taken again; the rest is what it was."""
        recalibrate(self._model, self._batches or ())
        now = Snapshot.capture(self._model, step=start.snapshot.step, optimizer=False).variables
        unpruned = {key: array for key, array in now.items() if key not in start.mask}
        variables = {**start.snapshot.variables, **unpruned}
        return replace(start, snapshot=replace(start.snapshot, variables=variables))

    def _ticket(self, level: int) -> Start:
        """Mask and weights of the ticket of a level; all ones and theta_0 for level 0."""
        if level == 0:
            return Start(Mask.ones(self._binding.shapes), self._initial)
        snapshot = self._rewound(level)
        if self._store.is_finished(self._procedure.ticket(level)):
            return Start(self._store.ticket(TICKET, level).mask, snapshot)
        before = self._store.ticket(TICKET, level - 1).mask
        mask = self._pruned(before, level)
        if not mask.is_subset_of(before):
            raise InvariantError(f"The mask of level {level} must be a subset of the one before.")
        return Start(mask, snapshot)

    def _rewound(self, level: int) -> Snapshot:
        """Return the state to rewind to, before the new mask is applied."""
        rewound = self._rewind_point()
        if self._procedure.rewind == "weights":
            return rewound
        final = self._store.final(TICKET, level - 1)
        slots = final.optimizer if self._procedure.rewind == "none" else rewound.optimizer
        return replace(rewound, variables=final.variables, optimizer=slots)

    def _rewind_point(self) -> Snapshot:
        step = self._procedure.rewind_step
        if step == 0:
            return self._initial
        rewound = _existing(self._store.load_snapshot(REWIND), step=step)
        if self._procedure.optimizer_state == "fresh" and self._initial.optimizer is not None:
            slots = zip(optimizer_variables(self._model), self._initial.optimizer, strict=True)
            fresh = [
                np.asarray(step, array.dtype) if "iteration" in slot.path else array
                for slot, array in slots
            ]
            rewound = replace(rewound, optimizer=fresh)
        return rewound

    def _pruned(self, mask: Mask, level: int) -> Mask:
        procedure = self._procedure
        rate = procedure.schedule.rate(level)
        if isinstance(procedure.score, SaliencyScore):
            self._put_at_rewind_point(mask)
            return prune_by_saliency(
                self._model, procedure.score, procedure.pruner, mask, rate, self._binding.set
            )
        return procedure.pruner.prune(self._scores(mask, level), mask, rate)

    def _pruned_once(self, like: Mask) -> Start:
        """Prune the dense network in one shot to the density of `like`, and rewind it."""
        dense = Mask.ones(like.shapes)
        pruned = self._procedure.pruner.prune_like(self._scores(dense, level=1), dense, like)
        return Start(pruned, self._rewound(1))

    def _scores(self, mask: Mask, level: int) -> dict[str, np.ndarray]:
        """Score weights at the end of level - 1, or by a saliency at the rewind point."""
        score = self._procedure.score
        if isinstance(score, SaliencyScore):
            self._put_at_rewind_point(mask)
            return score(self._model)
        if score is None:
            return random_scores(mask.shapes, generator(self._procedure.seed, "score", str(level)))
        final = self._store.scored(level - 1).variables
        return score_weights(score, self._initial.variables, {key: final[key] for key in mask})

    def _put_at_rewind_point(self, mask: Mask) -> None:
        """Set the model to the subnetwork at step k, whatever its state was."""
        self._rewind_point().restore(self._model)
        self._binding.set(mask)

    def _control(self, trial: Trial, ticket: Start) -> Start:
        procedure = self._procedure
        control = next(c for c in procedure.controls if c.name == trial.branch)
        context = ControlContext(
            model=self._model,
            initial=self._initial,
            ticket=ticket,
            prune_dense_like=self._pruned_once,
            seed=procedure.seed,
            level=trial.level,
            final=self._store.final,
            structure=procedure.pruner.structure,
        )
        return control.start(context)


def require_built_optimizers(model: keras.Model) -> None:
    """Refuse optimizers whose variables would be made by training, and so couldn't be set back.

    Raises:
        ModelError: names the optimizer, and how to build it.
    """
    for path, optimizer in held_optimizers(model).items():
        own = optimizer is model.optimizer or optimizer is innermost_optimizer(model)
        if not own and not optimizer.built:
            raise ModelError(
                f"The optimizer `{path}` of the model isn't built yet, so a search couldn't set "
                f"its state back. Build it before `fit`: `model.{path}.build(variables)`."
            )


def _own_numbers(model: keras.Model) -> dict[str, Any]:
    """Plain numbers that a model's class keeps; only a step that runs eagerly can change them."""
    if not model.run_eagerly:
        return {}
    usual = vars(keras.Model()).keys() | {"stop_training", "stop_evaluating"}
    return {
        name: np.array(value)
        for name, value in vars(model).items()
        if name not in usual and isinstance(value, (bool, int, float, np.ndarray, np.generic))
    }


def _existing(snapshot: Snapshot | None, *, step: int) -> Snapshot:
    if snapshot is None:
        raise InvariantError(f"The state at step {step} was never kept.")
    return snapshot


def _check_differs(trial: Trial, control: Start, ticket: Start) -> None:
    """Prove that a control isn't the ticket itself."""
    if control.mask == ticket.mask:
        theirs = control.mask.apply(control.snapshot.variables)
        ours = ticket.mask.apply(ticket.snapshot.variables)
        if all(np.array_equal(theirs[key], ours[key]) for key in ticket.mask):
            raise InvariantError(
                f"A control must differ from the ticket it controls. Received: `{trial.branch}` of "
                f"level {trial.level} with the same mask and the same weights. Are all kernels "
                "initialized to constants?"
            )
