"""A recipe of the kind `locality` with its data: a search per arrangement and seed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.data import DataSet
from tfticket.data.arrangement import arranged, arrangement
from tfticket.lottery.analysis import dead_units, is_chain
from tfticket.lottery.controls import Control
from tfticket.lottery.locality import receptive_fields
from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import TICKET, FinishedTrial
from tfticket.metrics import Row
from tfticket.runs.plan import Plan, PlannedCondition, Task, Trial
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.sparsity.mask import Mask
from tfticket.state import prunable_variables
from tfticket.studies.locality.controls import TransferredMask, Windows
from tfticket.studies.locality.convolution import Design, proportion_of, train
from tfticket.studies.locality.schema import READ_OFF, TRANSFERRED, LocalityRecipe
from tfticket.studies.lottery.study import LotteryStudy, search_task
from tfticket.studies.lottery.training import search_tickets
from tfticket.studies.variants.study import VariantsStudy, prefix


class LocalityStudy(VariantsStudy):
    """A recipe of the kind `locality` with its data; a variant is an arrangement of the signals.

    Masks that go from one search to another, and convolutional networks, are tasks of their own,
    which wait for the tickets that they are made from.

    Args:
        recipe: The recipe.
        data: Its data, signals in their own order.
        data_dir: The directory of data sets.

    Raises:
        DataError: when the data aren't signals, or chunks don't divide them.
        MaskError: when the network doesn't begin with a layer that is pruned.
        ModelError: when a convolution can't take the place of that layer.
    """

    recipe: LocalityRecipe

    def __init__(self, recipe: LocalityRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        points = data.input_shape[0]
        self._orders: dict[str, np.ndarray] = {
            each.kind: arrangement(each.kind, points, chunk=each.chunk, seed=each.seed)
            for each in recipe.arrangement
        }
        self._arranged = {name: arranged(data, order) for name, order in self._orders.items()}
        given = [(each.kind, each.masks_from) for each in recipe.arrangement]
        self._masks_from: dict[str, str | None] = dict(given)
        kernels = prunable_variables(self.network(), recipe.lottery.skip)
        self._dense = Mask.ones({key: tuple(kernel.shape) for key, kernel in kernels.items()})
        receptive_fields(self._dense, data.input_shape)
        for width in recipe.convolution.widths if recipe.convolution else ():
            self._design(width, self._dense.kept)

    def _search(
        self, data: DataSet, transferred: bool, masks: Callable[[int], Mask] | None = None
    ) -> LotteryStudy:
        """The search in some data; transferred masks can be trained where `masks` gives them."""
        more: list[Control] = [TransferredMask(masks)] if transferred else []
        more += [Windows()] if self.recipe.windows else []
        return LotteryStudy(self.recipe.shared_search(), data, more_controls=more)

    @functools.cached_property
    def searches(self) -> Mapping[str, LotteryStudy]:
        """See `VariantsStudy`."""
        plain = [self._search(self.data, transferred) for transferred in (False, True)]
        return {name: plain[bool(source)] for name, source in self._masks_from.items()}

    def search(
        self, variant: str, seed: int, run: RunDir, progress: Progress, branches: Collection[str]
    ) -> None:
        """See `VariantsStudy`."""
        source = self._masks_from[variant]

        def masks(level: int) -> Mask:
            return Ticket.load_mask(run.ticket(seed, prefix(str(source)) + TICKET, level))

        def measure(finished: FinishedTrial) -> Iterator[Row]:
            last = finished.rows[-1]
            for name, value in fields_of(finished.ticket.mask, self._orders[variant]).items():
                yield replace(last, split="summary", name=name, value=value)

        search = self._search(self._arranged[variant], bool(source), masks)
        search_tickets(
            search, run, progress, seed, branches, prefix=prefix(variant), measure=measure
        )

    def cells(self) -> list[dict[str, Any]]:
        """See `VariantsStudy`."""
        table = self.recipe.convolution
        more = [self.cell(table.arrangement, network) for network in self._widths] if table else []
        return super().cells() + more

    @property
    def _widths(self) -> dict[str, int | None]:
        """Name to kernel width of each convolutional network; None where the ticket tells it."""
        table = self.recipe.convolution
        return {} if table is None else {READ_OFF: None} | {f"width_{w}": w for w in table.widths}

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        searched, given = [], []
        for (variant, search), seed in itertools.product(self.searches.items(), self.recipe.seeds):
            trials, begin = self._planned[search], prefix(variant)
            own = [trial for trial in trials if trial.branch != TRANSFERRED]
            searched.append(search_task(seed, own, begin))
            if source := self._masks_from[variant]:
                name, levels = searched[-1].name, [t.level for t in trials if t not in own]
                transferred = tuple(Trial(seed, begin + TRANSFERRED, level) for level in levels)
                after = (name, f"{prefix(source)}seed {seed}")
                given.append(Task(f"{name}, {TRANSFERRED}", transferred, after))
        return (*searched, *given, *self._convolution_tasks())

    def _convolution_tasks(self) -> Iterator[Task]:
        table = self.recipe.convolution
        if table is None:
            return
        for seed in self.recipe.seeds:
            begin = prefix(table.arrangement)
            trials = [Trial(seed, begin + n, level) for level in table.levels for n in self._widths]
            name = f"{begin}seed {seed}"
            yield Task(f"{name}, {READ_OFF}", tuple(trials), (name,))

    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """See `Study`."""
        made, steps = super().plan(run, timed=timed), self.recipe.train.steps
        trials = [trial for task in self._convolution_tasks() for trial in task.trials]
        if not trials:
            return made
        left = sum(not run.finished(*trial) for trial in trials)
        each = len(trials) // len(self.recipe.seeds)
        condition = PlannedCondition(READ_OFF, self.recipe.seeds, each * steps, networks=each)
        return replace(
            made,
            conditions=(*made.conditions, condition),
            steps_left=made.steps_left + left * steps,
        )

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        table = self.recipe.convolution
        if table is None or task not in self._convolution_tasks():
            super().do(task, run, progress)
            return
        search = self._search(self._arranged[table.arrangement], transferred=False)
        for trial in task.trials:
            if not run.finished(*trial):
                begin = prefix(table.arrangement)
                ticket = Ticket.load_mask(run.ticket(trial.seed, begin + TICKET, trial.level))
                width = self._widths[trial.branch.removeprefix(begin)] or round(
                    receptive_fields(ticket, self.data.input_shape).median_span[0]
                )
                design = self._design(width, ticket.kept)
                train(search, design, trial, ticket.total, run, progress)

    def _design(self, width: int, weights: int) -> Design:
        return Design.of(
            width, weights, points=self.data.input_shape[0], classes=self.data.outputs,
            proportion=proportion_of(self._dense.shapes),
        )  # fmt: skip


def fields_of(mask: Mask, order: np.ndarray) -> dict[str, float]:
    """Measure the receptive fields of a mask that was found on arranged signals.

    Args:
        mask: The mask, whose first kernel is that of a dense layer.
        order: The order of the signals; see `data.arrangement`.

    Returns:
        `locality` in that order, `original_locality` and `unit_locality` in the signals' own, the
        medians `fan_in` and `span`, and `units_1`, `units_2`... the share of hidden units that is
        left, by layer.
    """
    first, *_ = mask.values()
    fields = receptive_fields(mask, order.shape)
    original = receptive_fields(first[np.argsort(order)])
    found = {
        "locality": fields.locality,
        "original_locality": original.locality,
        "unit_locality": original.unit_locality,
        "fan_in": fields.median_fan_in,
        "span": fields.median_span[0],
    }
    if is_chain(mask.shapes):
        hidden = list(dead_units(mask, chain=True).values())[:-1]
        for number, layer in enumerate(hidden, start=1):
            found[f"units_{number}"] = 1 - (layer.dead or 0) / layer.units
    return {name: value for name, value in found.items() if np.isfinite(value)}
