"""A kind of study: one folder, described by one `Kind`."""

from __future__ import annotations

import copy
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tfticket.recipe.schema import Recipe

if TYPE_CHECKING:
    from tfticket.report.contents import Contents, Summary
    from tfticket.report.reading import RunFiles


class Grow(Protocol):
    """Tells which changes of a recipe only add to what its run has."""

    def __call__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the resolved recipe `before` with what in `after` only adds to it."""


def more_seeds(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Allows more seeds."""
    grown = copy.deepcopy(dict(before))
    if set(before["seeds"]) <= set(after["seeds"]):
        grown["seeds"] = after["seeds"]
    return grown


@dataclass(frozen=True)
class Kind:
    """A kind of study: everything between its recipes and the pages of its runs.

    What needs TensorFlow or draws is named as `module:object` and imported when it is used, so that
    listings and recipes never wait for it.

    Attributes:
        name: The `kind` of its recipes.
        recipe: The schema.
        table: Where the search for tickets is described, or several are in a list; empty if the
            kind has none.
        unit: What a run is made of, as a listing calls it.
        study: Its subclass of `Study`.
        summary: Function of `RunFiles` that returns a `Summary`.
        page: Function of `RunFiles` that returns the `Contents` of the page.
        grow: Tells which changes of a recipe only add to what its run has.
    """

    name: str
    recipe: type[Recipe]
    table: str
    unit: str
    study: str
    summary: str
    page: str
    grow: Grow = more_seeds

    def summarize(self, files: RunFiles) -> Summary:
        """Computes the numbers of a run."""
        made: Summary = pkgutil.resolve_name(self.summary)(files)
        return made

    @property
    def templates(self) -> Path:
        """The directory of its `page.html.j2`, which extends `base.html.j2`."""
        return Path(inspect.getfile(pkgutil.resolve_name(self.page))).parent

    def compose(self, files: RunFiles) -> Contents:
        """Fills the page of a run."""
        made: Contents = pkgutil.resolve_name(self.page)(files)
        return made
