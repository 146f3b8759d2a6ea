"""A recipe of the kind `widths` with its data: a search for tickets per width and seed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tfticket.data import DataSet
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.studies.lottery.several import SeveralSearches
from tfticket.studies.lottery.study import LotteryStudy
from tfticket.studies.lottery.training import search_tickets
from tfticket.studies.widths.schema import WidthsRecipe, label


class WidthsStudy(SeveralSearches):
    """A recipe of the kind `widths` with its data in memory.

    Args:
        recipe: The recipe.
        data: Its data.
        data_dir: The directory of data sets.
    """

    recipe: WidthsRecipe

    def __init__(self, recipe: WidthsRecipe, data: DataSet, data_dir: Path | None = None) -> None:
        super().__init__(recipe, data, data_dir)
        self._widths = {label(width): width for width in recipe.widths}
        self._searches = {
            name: LotteryStudy(recipe.search(width), data) for name, width in self._widths.items()
        }

    @property
    def searches(self) -> Mapping[str, LotteryStudy]:
        """See `SeveralSearches`."""
        return self._searches

    def described(self, label: str) -> Mapping[str, Any]:
        """See `SeveralSearches`."""
        return {"width": self._widths[label]}

    def search(
        self, label: str, seed: int, run: RunDir, progress: Progress, branches: Collection[str]
    ) -> None:
        """See `SeveralSearches`."""
        search = self._searches[label]
        search_tickets(search, run, progress, seed, branches, prefix=f"{label}-")
