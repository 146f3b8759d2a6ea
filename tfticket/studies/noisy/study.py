"""A recipe of the kind `noisy` with its data: each training kept on disk when it has ended."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfticket.data import DataSet, Feed, Split
from tfticket.errors import DataError
from tfticket.metrics import Row
from tfticket.noise import INCV, Corruption, GeneralizedCrossentropy
from tfticket.recipe.noise import Noise
from tfticket.recipe.rates import forget_graphs
from tfticket.recipe.training import LearningRate, largest
from tfticket.runs.plan import Plan, PlannedCondition, Task, Trial
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.seeds import sub_seed
from tfticket.studies.labels import (
    foreign_data,
    open_training,
    open_validation,
    receipt,
    relabeled,
    training_labels,
    validation_labels,
)
from tfticket.studies.noisy.schema import Condition, Method, NoisyRecipe, conditions, iterations
from tfticket.studies.noisy.selections import Fold, Selections, compared, estimates, matrices
from tfticket.studies.noisy.training import make_pair, train
from tfticket.studies.store import write_conditions, write_trial
from tfticket.studies.study import Study
from tfticket.studies.training import rows_of, seconds_per_step

_BYTES_A_TRIAL = 60_000
_OTHER_BYTES = 2**20
_TRACING_SECONDS = 10.0


class NoisyStudy(Study):
    """A recipe of the kind `noisy` with its data in memory.

    A task is a training, or a fold of the selection that trainings of a seed and a noise share.

    Args:
        recipe: The recipe.
        data: Its data, with the labels that it came with.
        data_dir: The directory of data sets.

    Attributes:
        foreign: Name to data set of all that takes the place of examples.
    """

    recipe: NoisyRecipe

    def __init__(self, recipe: NoisyRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        self.foreign = foreign_data(recipe.noise, data, data_dir)
        self._conditions = conditions(recipe)
        self._selections = Selections(self)

    def tasks(self) -> tuple[Task, ...]:
        """See `Study`."""
        return tuple(self._tasks)

    @functools.cached_property
    def _tasks(self) -> dict[Task, tuple[int, Condition] | Fold]:
        """Each task with what it trains: all folds of a selection before what is chosen by it."""
        tasks: dict[Task, tuple[int, Condition] | Fold] = {}
        for seed in self.recipe.seeds:
            folds: dict[str, tuple[str, ...]] = {}
            for condition in self._conditions:
                label = condition.noise.label
                if condition.method.needs_selection and label not in folds:
                    made = self._selections.folds(seed, condition.noise)
                    tasks |= made
                    folds[label] = tuple(task.name for task in made)
                after = folds[label] if condition.method.needs_selection else ()
                task = Task(
                    f"seed {seed}, {condition.branch}", (Trial(seed, condition.branch),), after
                )
                tasks[task] = (seed, condition)
        return tasks

    def opened(self, run: RunDir) -> AbstractContextManager[None]:
        """See `Study`."""
        conditions = [condition.to_dict() for condition in self._conditions]
        write_conditions(run, conditions, self.recipe.noise, foreign=self.foreign)
        return super().opened(run)

    def finished(self, task: Task, run: RunDir) -> bool:
        """See `Study`; a fold that nothing waits for any more needs no training."""
        found = self._tasks[task]
        if isinstance(found, Fold):
            waiting = [each for each in self._tasks if task.name in each.after and each.trials]
            unneeded = all(run.all_finished(each.trials) for each in waiting)
            return unneeded or found.path(run).is_file()
        return super().finished(task, run)

    def do(self, task: Task, run: RunDir, progress: Progress) -> None:
        """See `Study`."""
        found = self._tasks[task]
        if isinstance(found, Fold):
            self._selections.train_fold(found, run, progress)
        else:
            self._train(*found, run, progress)
        forget_graphs()

    def _train(self, seed: int, condition: Condition, run: RunDir, progress: Progress) -> None:
        corruption = self.corruption(seed, condition.noise)
        summary: dict[str, float] = {"noise_rate": corruption.realized_rate}
        test: Mapping[str, float] = {}
        rows: list[Row] = []
        header: dict[str, Any] = {"receipt": receipt(corruption)}
        arrays: dict[str, np.ndarray] = {}
        split = None
        if condition.method.needs_selection:
            split = self._selections.split(seed, condition.noise, corruption, run)
            summary |= estimates(split, corruption)
            header["selection"] = split.to_dict()
            arrays = matrices(split, corruption)
        trial = Trial(seed, condition.branch)
        progress.begin(trial, condition.steps, 1.0)
        if split is not None and condition.method.name == "held_out":
            summary |= compared(split, corruption)
        else:
            trained = train(
                self, condition, seed, corruption=corruption, split=split, hook=progress.update
            )
            rows += trained.rows
            test = trained.test
            summary |= trained.summary
        epoch = condition.steps * self.recipe.data.batch_size / len(self.data.train)
        for name, found in (("test", test), ("summary", summary)):
            rows += rows_of(seed, condition.branch, condition.steps, epoch, name, found)
        write_trial(
            run, "noisy_cell", seed, condition.to_dict(), rows, header=header, arrays=arrays
        )
        progress.end(trial, {**test, **summary})

    def plan(self, run: RunDir, *, timed: bool) -> Plan:
        """See `Study`.

        The steps of a selection, of half a pair each, are put down to the first method that needs
        it.
        """
        conditions, selected = [], set()
        for condition in self._conditions:
            searched, noise = 0, condition.noise.label
            if condition.method.needs_selection and noise not in selected:
                selected.add(noise)
                searched = self.incv(0).cost(len(self.data.train)).steps
            conditions.append(
                PlannedCondition(
                    condition.branch, self.recipe.seeds, condition.steps, searched=searched
                )
            )
        trials = len(self._conditions) * len(self.recipe.seeds)
        made = Plan.of(
            self.recipe,
            run,
            conditions,
            seconds=self._seconds,
            timed=timed,
            size_bytes=trials * _BYTES_A_TRIAL + _OTHER_BYTES,
        )
        forget_graphs()
        return made

    def _seconds(self, left: Sequence[PlannedCondition]) -> float:
        """Times a plain pair."""
        first = self._conditions[0]
        corruption = self.corruption(0, first.noise)
        plain = Condition(first.branch, first.noise, Method(name="cross_entropy"), first.steps)
        pair = make_pair(self, plain, 0, forget_rate=0.0, corruption=corruption, split=None)
        step = seconds_per_step(pair, self.feed(0, first.noise, corruption))
        pairs = sum(condition.steps + condition.searched / 2 for condition in left)
        return step * pairs + _TRACING_SECONDS * len(left)

    def corruption(self, seed: int, noise: Noise) -> Corruption:
        """Return the training labels, before and after: the same for all methods of a seed."""
        if noise.foreign is not None:
            return open_training(self.data, noise, seed, self.foreign)[1]
        return training_labels(self.data, noise, seed)

    def validation(self, seed: int, noise: Noise) -> tf.data.Dataset:
        """Return validation data in batches, with labels as wrong as those of the training data."""
        if noise.foreign is not None:
            x, made = open_validation(self.data, noise, seed, self.foreign)
            return self.batches(Split(x, made.given.astype(np.int32)))
        given = validation_labels(self.data, noise, seed).given
        return self.batches(relabeled(self.data.validation, given))

    def network(self) -> keras.Model:
        """See `Study`."""
        return self.model(self.recipe.seeds[0], "any")

    def model(
        self,
        seed: int,
        name: str,
        rate: LearningRate | None = None,
        loss: keras.losses.Loss | None = None,
    ) -> keras.Model:
        """Return a compiled network whose initial weights belong to the seed and to `name`.

        Args:
            seed: Of the run.
            name: Which one of the seed.
            rate: Its learning rate; that of the recipe if None.
            loss: Its loss; cross-entropy if None.
        """
        own = sub_seed(seed, "init", name)
        return self.build(
            own,
            drawn=own,
            norm=self.recipe.model.norm,
            rate=self.recipe.train.learning_rate if rate is None else rate,
            steps_per_execution=1,
            loss=loss,
        )

    def feed(
        self,
        seed: int,
        noise: Noise,
        corruption: Corruption,
        ids: np.ndarray | None = None,
        *,
        beside: Literal["true", "id"] = "true",
    ) -> Feed:
        """Return training batches in the order of the seed, whose labels are under their names.

        Args:
            seed: Of the run.
            noise: Whose labels they are; open-set noise is in the inputs.
            corruption: Given and true labels.
            ids: Only these examples; None for all.
            beside: What stands beside the given labels: true labels, as `CoTeaching` takes them, or
                ids, as `EarlyLearning` does.
        """
        chosen = slice(None) if ids is None else ids
        others = corruption.true if beside == "true" else np.arange(len(corruption.given))
        labels = np.stack([corruption.given, others], axis=1).astype(np.int32)
        x = self._training_inputs(seed, noise)
        split = Split(np.ascontiguousarray(x[chosen]), labels[chosen])
        size = min(self.recipe.data.batch_size, len(split))
        every = self.recipe.train.evaluate_every
        named = functools.partial(_by_name, beside=beside)
        return self.make_feed(split, seed, every, batch_size=size, labels=named)

    def incv(self, seed: int) -> INCV:
        """Return what predicts each example by networks that weren't trained on it.

        Raises:
            DataError: when the recipe has no table [selection].
        """
        table, train = self.recipe.selection, self.recipe.train
        if table is None:
            raise DataError("Nothing can be selected without a table [selection] in the recipe.")
        given = table.learning_rate
        rate: LearningRate = largest(train.learning_rate) if given is None else given
        loss = None if table.q is None else GeneralizedCrossentropy(table.q, from_logits=True)
        return INCV(
            lambda fold_seed: self.model(fold_seed, "fold", rate, loss),
            epochs=table.epochs,
            folds=table.folds,
            iterations=iterations(self.recipe),
            batch_size=min(self.recipe.data.batch_size, len(self.data.train)),
            seed=seed,
        )

    def inputs(self, seed: int, noise: Noise) -> np.ndarray:
        """Return the training inputs of a seed and a noise as a network sees them."""
        return self.data.as_fed(self._training_inputs(seed, noise))

    def _training_inputs(self, seed: int, noise: Noise) -> np.ndarray:
        if noise.foreign is None:
            return self.data.train.x
        return open_training(self.data, noise, seed, self.foreign)[0]


def _by_name(labels: tf.Tensor, *, beside: str) -> dict[str, tf.Tensor]:
    return {"given": labels[:, 0], beside: labels[:, 1]}
