"""Evidence against a label in a row of numbers: the columns in which it is unlike its class.

The measure is simple, and says so: with m the mean of a column in a class and s its deviation
within classes, a row's value v speaks against the given class, and for the suggested one, by

    ((v - m_given) / s)^2 - ((v - m_suggested) / s)^2

which is twice the logarithm of how much likelier v is in the suggested class, if the column is
Gaussian with one deviation in all classes. Columns are taken one by one; what they tell together
is left to the models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Against:
    """A column that speaks against a given label.

    Attributes:
        column: Its place, from 0.
        value: The row's value.
        given: Mean of the column in the given class.
        suggested: Mean of it in the suggested class.
        weight: How much it speaks, greater than 0; see the module.
    """

    column: int
    value: float
    given: float
    suggested: float
    weight: float


class ClassMeans:
    """Means of columns in classes, and their deviation within classes.

        >>> x = np.array([[0.0, 5], [0, 6], [4, 5], [4, 6], [4, 5]])
        >>> means = ClassMeans(x, np.array([0, 0, 1, 1, 0]))
        >>> [(each.column, each.value) for each in means.against(x[4], given=0, suggested=1)]
        [(0, 4.0)]

    Args:
        x: Rows, shape (n, columns), floats.
        labels: Given labels, shape (n,); negative ones are left out.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray) -> None:
        known = np.flatnonzero(labels >= 0)
        order = known[np.argsort(labels[known], kind="stable")]
        self._classes, starts = np.unique(labels[order], return_index=True)
        rows = x[order].astype(np.float64)
        counts = np.diff(np.append(starts, len(order)))[:, np.newaxis]
        self._means = np.add.reduceat(rows, starts) / counts
        rows -= np.repeat(self._means, counts[:, 0], axis=0)
        self._deviation = np.sqrt((rows**2).mean(axis=0))

    def __repr__(self) -> str:
        classes, columns = self._means.shape
        return f"ClassMeans({classes} classes, {columns} columns)"

    def against(
        self, row: np.ndarray, *, given: int, suggested: int, most: int = 4
    ) -> list[Against]:
        """Find the columns that speak most against a label.

        Args:
            row: The row, shape (columns,).
            given: Its given label.
            suggested: The suggested one.
            most: How many columns at most.

        Returns:
            Those that do speak against it, the strongest first; none where one of the classes has
            no rows.
        """
        places = np.searchsorted(self._classes, (given, suggested))
        if not np.array_equal(self._classes.take(places, mode="clip"), (given, suggested)):
            return []
        means = self._means[places]
        spread = np.where(self._deviation > 0, self._deviation, np.inf)
        unlike = ((row - means) / spread) ** 2
        weights = unlike[0] - unlike[1]
        chosen = np.argsort(-weights, kind="stable")[:most]
        return [
            Against(
                int(c), float(row[c]), float(means[0, c]), float(means[1, c]), float(weights[c])
            )
            for c in chosen
            if weights[c] > 0
        ]
