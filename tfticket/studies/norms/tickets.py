"""Find the subnetworks that trainings begin from, each by a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from tfticket.data import ChunkedFit
from tfticket.lottery import RandomMask, TicketSearch
from tfticket.lottery.controls import ControlContext, Start
from tfticket.lottery.trial import (
    INITIAL,
    REWIND,
    TICKET,
    MemoryStore,
    Trial,
    TrialListener,
    TrialResult,
)
from tfticket.runs.progress import Progress
from tfticket.sparsity.mask import Mask
from tfticket.state import Snapshot
from tfticket.studies.lottery.search import pruner, schedule, search_options
from tfticket.studies.norms.conditions import Condition, Subnetwork
from tfticket.studies.training import SearchListener, statistics_batches

if TYPE_CHECKING:
    from tfticket.studies.norms.study import NormsStudy

_STATISTICS_EXAMPLES = 2_000


@dataclass(frozen=True)
class Beginning:
    """Initial state of a trial.

    Attributes:
        snapshot: The state at step 0, or at the rewind step.
        mask: Which weights it keeps; None for the dense network.
    """

    snapshot: Snapshot
    mask: Mask | None


class Listener(SearchListener):
    """Passes on how the search for a ticket goes; its networks aren't those of the run.

    Args:
        progress: The listener of the run.
        seed: The seed of the search.
        norm: Normalization of its networks.
    """

    def __init__(self, progress: Progress, seed: int, norm: str) -> None:
        super().__init__(progress, seed)
        self._norm = norm

    def name(self, trial: Trial) -> str:
        """See `SearchListener`."""
        return f"{self._norm}, searching at level {trial.level}"

    def end(self, result: TrialResult) -> None:
        """See `TrialListener`."""


class Tickets:
    """Finds the ticket of a seed and a norm when it is first asked for, and keeps it in memory.

    Statistics of batch normalization are taken again before each level's network is trained. Dense
    network, ticket and random control of a seed and a norm begin at the same state.

    Args:
        study: Of a recipe with a table [tickets].
    """

    def __init__(self, study: NormsStudy) -> None:
        self._study = study
        self._found: dict[tuple[int, Any], dict[Subnetwork, Beginning]] = {}

    def start(self, seed: int, condition: Condition, listener: TrialListener) -> Beginning | None:
        """Return where a trial begins; None where the recipe compares no tickets.

        Args:
            seed: Of the trial.
            condition: Of the trial.
            listener: The listener of the search, if there must be one.
        """
        if self._study.recipe.tickets is None:
            return None
        key = (seed, condition.search)
        if key not in self._found:
            self._found = {key: self._search(seed, condition, listener)}  # one at a time
        return self._found[key][condition.subnetwork]

    def _search(
        self, seed: int, condition: Condition, listener: TrialListener
    ) -> dict[Subnetwork, Beginning]:
        lottery = self._study.recipe.tickets
        assert lottery is not None  # the caller asks only when there is one
        model = self._study.model(seed, condition)
        feed = self._study.feed(seed, condition)
        store = MemoryStore()
        search = TicketSearch(
            schedule(lottery),
            condition.steps,
            seed=seed,
            recalibrate=statistics_batches(
                model, self._study.feed(seed, condition), _STATISTICS_EXAMPLES
            ),
            feed=feed,
            store=store,
            listener=listener,
            **search_options(lottery, model, self._study.given(seed)),
        )
        model.fit(
            **feed.fit_arguments(),
            epochs=search.epochs(steps_per_epoch=feed.chunk_steps),
            validation_data=self._study.validation(seed),
            callbacks=[search, ChunkedFit(feed)],
            verbose=0,
        )
        return self._starts(seed, model, store)

    def _starts(
        self, seed: int, model: keras.Model, store: MemoryStore
    ) -> dict[Subnetwork, Beginning]:
        """Of a finished search: its last ticket, with all that begins where the ticket does."""
        lottery = self._study.recipe.tickets
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
            final=store.final,
            structure=pruner(lottery, model).structure,
        )
        return {
            "dense": Beginning(begin, None),
            "ticket": Beginning(begin, mask),
            "random": Beginning(begin, RandomMask().start(context).mask),
        }
