"""Makes the report of a run: one page that needs nothing beside it, its figures, its numbers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from tfticket import __version__
from tfticket.files import write_json, write_text
from tfticket.report import canvas, curves, details, insides, plots, tables
from tfticket.report.anatomy import Anatomy, dissect
from tfticket.report.claims import check_claims
from tfticket.report.facts import MEANINGS, facts
from tfticket.report.reading import RunFiles, read_run
from tfticket.report.summary import Summary, summarize_files

_LOOKED_AT = 7


@dataclass(frozen=True)
class Drawing:
    """A figure as the page holds it.

    Attributes:
        name: Names the figure on the page and its PNG file.
        svg: The drawing.
        title: What it shows, in a few words.
    """

    name: str
    svg: Markup
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
    summary = summarize_files(files)
    densities = {level.level: level.density for level in summary.branch("ticket")}
    anatomy = dissect(files, _levels_to_open(summary, list(densities)))
    report = files.path / "report"
    drawings = _draw(files, summary, anatomy, densities, report / "figures")
    write_json(report / "summary.json", summary.to_dict())
    page = _environment().get_template("page.html.j2")
    return write_text(
        report / "index.html",
        page.render(
            **_context(files, summary, anatomy, densities), drawings=drawings, version=__version__
        ),
    )


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("tfticket.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _levels_to_open(summary: Summary, levels: list[int]) -> list[int]:
    """An even choice of levels, the smallest winning ticket's among them."""
    chosen = set(canvas.spread_out(levels, _LOOKED_AT))
    if summary.smallest_winning is not None:
        chosen.add(summary.smallest_winning.level)
    return sorted(chosen)


def _focus(summary: Summary, anatomy: Anatomy | None) -> Any:
    """The level to show layer by layer: the smallest winning ticket, or the sparsest there is."""
    if anatomy is None or not anatomy.levels:
        return None
    winning = summary.smallest_winning
    by_level = {level.level: level for level in anatomy.levels}
    return by_level.get(winning.level if winning else -1, anatomy.levels[-1])


def _context(
    files: RunFiles, summary: Summary, anatomy: Anatomy | None, densities: Mapping[int, float]
) -> dict[str, Any]:
    claims = check_claims(list(files.recipe.get("expect") or ()), summary)
    focus = _focus(summary, anatomy)
    command = files.environment.get("command")
    return {
        "summary": summary,
        "facts": facts(files, summary),
        "meanings": MEANINGS,
        "paper": files.recipe.get("paper"),
        "deviations": files.recipe.get("deviations") or (),
        "command": shlex.join(command) if isinstance(command, list) else command,
        "palette": canvas.PALETTE,
        "verdicts": tables.verdict_table(summary) if summary.verdicts else None,
        "controls": tables.control_table(summary),
        "claims": tables.claim_table(claims) if claims else None,
        "results": tables.results_table(summary) if summary.levels else None,
        "anatomy": anatomy,
        "focus": focus,
        "focus_density": densities.get(focus.level) if focus else None,
        "opened": details.anatomy_table(anatomy, densities) if anatomy else None,
        "layers": details.layer_table(focus) if focus else None,
        "exports": details.export_table(files.exports) if files.exports else None,
        "recommended_k": (files.connectivity or {}).get("recommended"),
    }


def _draw(
    files: RunFiles,
    summary: Summary,
    anatomy: Anatomy | None,
    densities: Mapping[int, float],
    folder: Path,
) -> dict[str, Drawing]:
    """Draws what can be drawn; writes each figure as PNG and returns it as SVG, by name."""
    with canvas.settings():
        figures: dict[str, tuple[str, Figure | None]] = {
            "accuracy": ("Accuracy at the early stop", plots.accuracy(summary)),
            "early_stop": ("How soon it learns", plots.early_stop(summary)),
            "accuracy_at_end": ("Accuracy at the end", plots.accuracy(summary, at_end=True)),
            "plane": ("Better and sooner", plots.plane(summary)),
            "loss_curves": (
                "Validation loss",
                curves.learning_curves(files, summary, name="loss"),
            ),
            "accuracy_curves": (
                "Validation accuracy",
                curves.learning_curves(files, summary, name="accuracy"),
            ),
            "connectivity": ("Linear mode connectivity", plots.connectivity(files.connectivity)),
        }
        if anatomy is not None:
            focus = _focus(summary, anatomy)
            figures |= {
                "layers": (
                    "Density by layer",
                    insides.layer_density(anatomy.densities, densities),
                ),
                "overlap": (
                    "What two seeds have in common",
                    insides.seed_overlap(
                        {
                            densities[level.level]: level.overlaps
                            for level in anatomy.levels
                            if level.level in densities
                        }
                    ),
                ),
                "inputs": (
                    "Inputs that survive",
                    insides.surviving_inputs(anatomy.pictures, densities),
                ),
                "masks": ("The mask", insides.masks(focus.mask) if focus else None),
            }
        for outdated in folder.glob("*.png"):
            outdated.unlink()
        return {
            name: _save(figure, name, title=title, path=folder / f"{number:02d}_{name}.png")
            for number, (name, (title, figure)) in enumerate(figures.items(), start=1)
            if figure is not None
        }


def _save(figure: Figure, name: str, *, title: str, path: Path) -> Drawing:
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save_png(figure, path)
    return Drawing(name, Markup(canvas.to_svg(figure, name=name)), title)
