"""The table of label noise, shared by kinds of studies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field

from tfticket.recipe.table import DataName, Problem, Table, Text

Rate = Annotated[float, Field(ge=0, le=1, description="a share in [0, 1], not a percentage")]


_ROUNDING = 1e-6
_WITHOUT_RATE = ("none", "matrix", "file")
BY_LOOKS = ("instance", "human_like")
"""Kinds that depend on the example."""
_KIND_OF = {"matrix": "matrix", "path": "file", "foreign": "open_set"}
"""Each key that is of one kind alone."""
_NOT_IN_NAMES = re.compile("[^A-Za-z0-9_.+-]")


class Noise(Table):
    """Label noise of the training and validation data; test labels stay clean.

    Attributes:
        kind: `symmetric_inclusive` may draw the true label again, so fewer are wrong than `rate`
            says. `instance` and `human_like` depend on the example. `matrix` is any transition
            matrix, `file` are labels that someone else gave. With `open_set` the labels stay, and
            examples of no class take the place of some.
        rate: Of the kinds that have one.
        exact: Whether the number of wrong labels is fixed; otherwise each label is drawn.
        matrix: Of the kind `matrix`: a row for each true class, of the probabilities of the given
            ones.
        path: Of the kind `file`: a file of labels (.npy, .npz, .csv, .txt) for all of the data
            set's training data, in its order. The data set's own labels are the true ones.
        foreign: Of the kind `open_set`: the data set, by a name that `data.name` takes, whose
            training examples take the place of a share `rate` of the training and the validation
            data. They must have the same shape and type, in the same units.
    """

    LATER = frozenset(_KIND_OF)

    kind: Literal[
        "none",
        "symmetric",
        "symmetric_inclusive",
        "pair",
        "cifar10_asymmetric",
        "instance",
        "human_like",
        "matrix",
        "file",
        "open_set",
    ]
    rate: Rate = 0.0
    exact: bool = False
    matrix: (
        Annotated[
            tuple[Annotated[tuple[Rate, ...], Field(strict=False)], ...],
            Field(strict=False, min_length=2, description="a list of rows, each a list of shares"),
        ]
        | None
    ) = None
    path: Text | None = None
    foreign: DataName | None = None

    @property
    def label(self) -> str:
        """Short name: `symmetric0.5`, `file-<name>`, `open_set0.4-<name>`."""
        rate = "" if self.kind in _WITHOUT_RATE else f"{self.rate:g}"
        source = self.foreign or self.path
        name = "" if source is None else f"-{_NOT_IN_NAMES.sub('_', PurePath(source).stem)}"
        return f"{self.kind}{rate}{name}"

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if (self.kind in _WITHOUT_RATE) != (self.rate == 0):
            yield Problem(
                "rate",
                "must be greater than 0, and 0 for the kinds none, matrix and file alone. "
                f"Received: {self.rate:g} for {self.kind!r}.",
            )
        for name, kind in _KIND_OF.items():
            if (getattr(self, name) is not None) != (self.kind == kind):
                yield Problem(
                    name, f"is for kind = {kind!r}, which needs it. Received: {self.kind!r}."
                )
        if self.matrix is not None and (
            {len(row) for row in self.matrix} != {len(self.matrix)}
            or any(abs(sum(row) - 1) > _ROUNDING for row in self.matrix)
        ):
            yield Problem(
                "matrix",
                "must have as many columns as rows, and rows that sum to 1: a row holds the "
                "probabilities of the given labels of one true class. Received: sums of "
                f"{[round(sum(row), 6) for row in self.matrix]}.",
            )
        if self.kind in ("none", *BY_LOOKS, "file", "open_set") and self.exact:
            yield Problem("exact", f"isn't for {self.kind!r}. Remove it.")


def only_labels(noise: Noise, key: str) -> Iterator[Problem]:
    """Yield a problem for a noise that replaces examples, of which nothing can be memorized."""
    if noise.kind == "open_set":
        yield Problem(
            key,
            "must be a noise of labels: what a network memorizes is told by wrong labels of "
            "examples that have a class. Received: 'open_set', which is for the kind noisy.",
        )
