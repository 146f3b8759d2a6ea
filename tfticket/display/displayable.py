"""`Displayable`: a result that speaks for itself, in a sentence, a table and a figure."""

from __future__ import annotations

import html
import importlib
from abc import ABC, abstractmethod
from typing import Any

from tfticket.display.chart import Chart
from tfticket.display.charts import Figure
from tfticket.wording import brief

_MOST_ROWS = 12  # of the table that a notebook shows


class Displayable(ABC):
    """Abstract base of results that a notebook shows as a sentence, a figure and a table.

    A child says its sentence (`summary`), its table (`to_rows`) and, where there is something to
    draw, its figure (`_figure`).

    Example:
        >>> class Throws(Displayable):
        ...     def summary(self):
        ...         return "Two throws, one of them heads."
        ...     def to_rows(self):
        ...         return [{"throw": 1, "heads": True}, {"throw": 2, "heads": False}]
        >>> Throws().to_dataframe().heads.mean()
        np.float64(0.5)
    """

    @abstractmethod
    def summary(self) -> str:
        """Return the result in a sentence or two."""

    @abstractmethod
    def to_rows(self) -> list[dict[str, Any]]:
        """Return the result as a table of plain values: a dict for each row, column to value."""

    def _figure(self) -> Figure | None:
        """Return the figure, or None when there is nothing to draw."""
        return None

    def plot(self) -> Chart:
        """Draw the result.

        Returns:
            A chart that notebooks show; `chart.save("x.svg")` writes it.

        Raises:
            ValueError: when there is nothing to draw yet.
        """
        figure = self._figure()
        if figure is None:
            raise ValueError(
                f"There is nothing to draw of this {type(self).__name__}: {self.summary()}"
            )
        return Chart(figure, title=type(self).__name__)

    def to_dataframe(self) -> Any:
        """Return the table as a `pandas.DataFrame`.

        Raises:
            ImportError: when pandas isn't installed; `to_rows` needs nothing.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError(
                "A data frame needs pandas, which isn't installed: `pip install pandas`. "
                "`to_rows()` gives the same table as a list of dicts."
            ) from error
        return pandas.DataFrame(self.to_rows())

    def _repr_html_(self) -> str:
        figure, rows = self._figure(), self.to_rows()
        parts = [f"<p>{html.escape(self.summary())}</p>"]
        parts += [Chart(figure).svg] if figure is not None else []
        parts += [_table(rows)] if rows else []
        return f"<div>{''.join(parts)}</div>"


def _table(rows: list[dict[str, Any]]) -> str:
    """Return the first rows as a table of HTML, and how many more there are."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row.get(column))}</td>" for column in columns) + "</tr>"
        for row in rows[:_MOST_ROWS]
    )
    more = len(rows) - _MOST_ROWS
    left = f"<p>and {more:,} more rows: <code>to_rows()</code></p>" if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{left}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return html.escape(f"{value:.4g}" if isinstance(value, float) else brief(value))
