"""Makes the report of a run: one page that needs nothing beside it, its figures, its numbers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tfticket import __version__
from tfticket.display import charts
from tfticket.display.charts import Figure
from tfticket.display.narrow import narrowed
from tfticket.display.palette import PALETTE
from tfticket.files import write_bytes, write_json, write_text
from tfticket.report.contents import Contents
from tfticket.report.expectation import expectation_table
from tfticket.report.facts import chance_note
from tfticket.report.reading import RunFiles, read_run, read_together
from tfticket.studies.summaries import kind_of_run


@dataclass(frozen=True)
class Drawing:
    """A figure as the page holds it.

    Attributes:
        name: Names the figure on the page.
        file: Name of its PNG file.
        png: The drawing, for paper.
        svg: The drawing, for the page.
        narrow: Likewise, for narrow screens; empty where one serves both.
        title: What it shows, in a few words.
    """

    name: str
    file: str
    png: bytes
    svg: Markup
    narrow: Markup
    title: str


def render(run: str | Path) -> Path:
    """Makes `report/` of a run: `index.html`, `figures/*.png`, `summary.json`.

    A run that isn't finished gives a report of what there is, which says what is missing. What an
    earlier report wrote is replaced.

    Args:
        run: The run directory.

    Returns:
        The page.

    Raises:
        RunError: It is no run directory, or one of its files can't be read.
    """
    files = read_run(run)
    kind = kind_of_run(files)
    with read_together(files):
        contents = kind.compose(files)
        drawings = draw(contents.figures)
        page = (
            environment(kind.templates)
            .get_template("page.html.j2")
            .render(**_common(files, contents), **contents.values, drawings=drawings)
        )
        summary = contents.summary.to_dict()
    folder = files.path / "report"
    written = {
        write_bytes(folder / "figures" / drawing.file, drawing.png) for drawing in drawings.values()
    }
    for outdated in set((folder / "figures").glob("*.png")) - written:
        outdated.unlink()
    write_json(folder / "summary.json", summary)
    return write_text(folder / "index.html", page)


def environment(folder: Path) -> jinja2.Environment:
    """Return what renders the templates of a folder, which build on those of all pages."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(folder), jinja2.PackageLoader("tfticket.report", ".")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _common(files: RunFiles, contents: Contents) -> dict[str, Any]:
    command, summary = files.environment.get("command"), contents.summary
    return {
        "summary": summary,
        "confidence": f"{100 * summary.confidence:.6g}",
        "expectations": expectation_table(summary.expectations),
        "paper": files.recipe.get("paper"),
        "deviations": files.recipe.get("deviations") or (),
        "chance": chance_note(files),
        "command": shlex.join(portable(command)) if isinstance(command, list) else command,
        "palette": PALETTE,
        "version": __version__,
    }


_PLACES = ("--runs", "--data-dir")


def portable(command: Sequence[str]) -> list[str]:
    """Return a command line without the folders of the machine that ran it: pages are shown around.

    Example:
        >>> portable(["tfticket", "recipe", "run", "/home/me/mine.toml", "--runs", "/data/runs"])
        ['tfticket', 'recipe', 'run', 'mine.toml']
    """
    found: list[str] = []
    for word, before in zip(command, ["", *command], strict=False):
        if word.partition("=")[0] in _PLACES or before in _PLACES:
            continue
        name, equals, value = word.rpartition("=")
        path = Path(value.strip("\"'"))
        found.append(f"{name}{equals}{path.name}" if path.is_absolute() else word)
    return found


def draw(figures: Mapping[str, tuple[str, Figure | None]]) -> dict[str, Drawing]:
    """Draw each figure as PNG and SVG, by name; what there is nothing of is left out."""
    drawn = {}
    for place, (name, (title, figure)) in enumerate(figures.items(), start=1):
        if figure is not None:
            svg = charts.to_svg(figure, name=name)
            column = narrowed(figure)
            narrow = charts.to_svg(column, name=f"{name}-narrow") if column else ""
            drawn[name] = Drawing(
                name=name,
                file=f"{place:02d}_{name}.png",
                png=charts.to_png(svg),
                svg=Markup(svg),
                narrow=Markup(narrow),
                title=title,
            )
    return drawn
