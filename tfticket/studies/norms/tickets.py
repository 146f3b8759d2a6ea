"""The subnetworks that trainings begin from, each found by a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfticket.data import ChunkedFit
from tfticket.internals import flat_layers
from tfticket.lottery import RandomMask, TicketSearch
from tfticket.lottery.controls import ControlContext, Start
from tfticket.lottery.trial import INITIAL, REWIND, TICKET, MemoryStore, TrialListener
from tfticket.sparsity.mask import Mask
from tfticket.state import Snapshot
from tfticket.statistics import (
    normalizes_by_batch,
)
from tfticket.studies.lottery.experiment import pruner, schedule, score
from tfticket.studies.norms.conditions import Cell, Subnetwork
from tfticket.studies.norms.experiment import NormsExperiment

_STATISTICS_EXAMPLES = 2_000


@dataclass(frozen=True)
class CellStart:
    """Where the training of a cell begins.

    Attributes:
        snapshot: The state at step 0, or at the rewind step.
        mask: Which weights it keeps; None for the dense network.
    """

    snapshot: Snapshot
    mask: Mask | None


class Tickets:
    """Finds the ticket of a seed and a norm when it is first asked for, and keeps it in memory.

    Statistics of batch normalization are taken again before each level's network is trained.

    Dense network, ticket and random control of a seed and a norm begin at the same state.

    Args:
        experiment: A recipe with a table [tickets].
    """

    def __init__(self, experiment: NormsExperiment) -> None:
        self._experiment = experiment
        self._found: dict[tuple[int, Any], dict[Subnetwork, CellStart]] = {}

    def start(self, seed: int, cell: Cell, listener: TrialListener) -> CellStart | None:
        """Where a cell begins; None where the recipe compares no tickets.

        Args:
            seed: Of the cell.
            cell: Which network.
            listener: Hears of the search, if there must be one.
        """
        if self._experiment.recipe.tickets is None:
            return None
        key = (seed, cell.search)
        if key not in self._found:
            self._found = {key: self._search(seed, cell, listener)}  # one at a time
        return self._found[key][cell.subnetwork]

    def _search(
        self, seed: int, cell: Cell, listener: TrialListener
    ) -> dict[Subnetwork, CellStart]:
        lottery = self._experiment.recipe.tickets
        assert lottery is not None  # the caller asks only when there is one
        model = self._experiment.model(seed, cell)
        feed = self._experiment.feed(seed, cell)
        store = MemoryStore()
        search = TicketSearch(
            schedule(lottery),
            cell.steps,
            pruner=pruner(lottery, model),
            score=score(lottery.score, self._experiment.given(seed)),
            rewind_step=lottery.rewind_step,
            rewind=lottery.rewind,
            optimizer_state=lottery.optimizer_state,
            score_at=lottery.score_at,
            skip=lottery.skip,
            seed=seed,
            recalibrate=self._batches(seed, cell, model),
            feed=feed,
            store=store,
            listener=listener,
        )
        model.fit(
            **feed.fit_arguments(),
            epochs=search.epochs(steps_per_epoch=feed.chunk_steps),
            validation_data=self._experiment.validation(seed),
            callbacks=[search, ChunkedFit(feed)],
            verbose=0,
        )
        return self._starts(seed, model, store)

    def _batches(self, seed: int, cell: Cell, model: keras.Model) -> list[tf.Tensor] | None:
        """What each level's statistics are taken from again: the first examples of the feed."""
        if not any(normalizes_by_batch(layer) for layer in flat_layers(model)):
            return None
        feed = self._experiment.feed(seed, cell)
        count = -(-_STATISTICS_EXAMPLES // cell.batch_size)
        return [x for x, _ in feed.dataset(endless=True).take(count)]

    def _starts(
        self, seed: int, model: keras.Model, store: MemoryStore
    ) -> dict[Subnetwork, CellStart]:
        """Of a finished search: its last ticket, with all that begins where the ticket does."""
        lottery = self._experiment.recipe.tickets
        assert lottery is not None
        initial = store.snapshots[INITIAL]
        begin = store.snapshots[REWIND] if lottery.rewind_step else initial
        mask = store.ticket(TICKET, lottery.levels).mask
        context = ControlContext(
            model=model,
            initial=initial,
            ticket=Start(mask, begin),
            prune_dense_like=lambda mask: Start(mask, begin),
            seed=seed,
            level=lottery.levels,
            structure=pruner(lottery, model).structure,
        )
        return {
            "dense": CellStart(begin, None),
            "ticket": CellStart(begin, mask),
            "random": CellStart(begin, RandomMask().start(context).mask),
        }
