"""A recipe of the kind `memorization` with its data: a search for tickets per noise and seed."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from scipy import special

from tfticket import models
from tfticket.data import DataSet
from tfticket.lottery.trial import FinishedTrial
from tfticket.metrics import Row
from tfticket.noise import Corruption
from tfticket.noise.theory import memorization
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.statistics import expected_calibration_error, predict
from tfticket.studies.labels import training_labels, with_labels
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.training import search_tickets
from tfticket.studies.memorization.schema import MemorizationRecipe
from tfticket.studies.variants.study import VariantsStudy, prefix

_BATCH = 500


class MemorizationStudy(VariantsStudy):
    """A recipe of the kind `memorization` with its data in memory; a variant is a noise.

    Under each noise and for each seed there is one search, the same as in a study of the kind
    `lottery` of data with these labels.

    Args:
        recipe: The recipe.
        data: Its data, with the labels that it came with.
        data_dir: The directory of data sets.
    """

    recipe: MemorizationRecipe

    def __init__(
        self, recipe: MemorizationRecipe, data: DataSet, data_dir: Path | None = None
    ) -> None:
        super().__init__(recipe, data, data_dir)
        self.noises = recipe.noise

    @functools.cached_property
    def searches(self) -> Mapping[str, LotteryStudy]:
        """See `VariantsStudy`."""
        clean = LotteryStudy(self.recipe.shared_search(), self.data)
        return dict.fromkeys(self.recipe.variants, clean)

    def search(
        self, variant: str, seed: int, run: RunDir, progress: Progress, branches: Collection[str]
    ) -> None:
        """See `VariantsStudy`."""
        (noise,) = (noise for noise in self.recipe.noise if noise.label == variant)
        corruption = training_labels(self.data, noise, seed)
        data = with_labels(self.data, noise, seed, corruption)
        search = LotteryStudy(self.recipe.shared_search(), data)
        measure = Measure(search, self.data, corruption)
        search_tickets(
            search, run, progress, seed, branches, prefix=prefix(variant), measure=measure.rows
        )


class Measure:
    """Measures finished networks of one search, on a network of its own.

    Args:
        search: The search.
        data: The data with the labels that it came with.
        corruption: The training labels.
    """

    def __init__(self, search: LotteryStudy, data: DataSet, corruption: Corruption) -> None:
        self._network = search.network()
        self._train = data.inputs(data.train)
        self._test = data.inputs(data.test)
        self._labels = data.test.y
        self._corruption = corruption

    def rows(self, finished: FinishedTrial) -> Iterable[Row]:
        """Yield what a network memorized and how well it is calibrated, after its last step."""
        finished.final.restore(self._network)
        trained = predict(self._network, self._train, batch_size=_BATCH).argmax(axis=-1)
        tested = predict(self._network, self._test, batch_size=_BATCH)
        if not models.gives_probabilities(self._network):
            tested = special.softmax(tested.astype(np.float64), axis=-1)
        error = expected_calibration_error(tested, self._labels)
        summary = asdict(memorization(trained, self._corruption))
        summary["noise_rate"] = self._corruption.realized_rate
        last = finished.rows[-1]
        yield replace(last, split="test", name="calibration_error_at_end", value=error)
        for name, value in summary.items():
            if np.isfinite(value):  # without wrong labels none is memorized
                yield replace(last, split="summary", name=name, value=float(value))
