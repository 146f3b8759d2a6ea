"""A page for each published study, made from what `saved_models/` holds of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import cards
from card_tables import studies
from card_tables.numbers import fixed, table

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
PUBLISHED = ROOT / "saved_models"
PAGE = "page.html"
"""The page of a run as `tools/publish.py` keeps it."""


def pages() -> dict[str, str]:
    """Return the path of each page below `docs` and its text, in Markdown."""
    return {
        f"studies/{path.parent.name}.md": _page(path.parent.name)
        for path in sorted(PUBLISHED.glob("*/card.json"))
    }


def copy_pages(site: Path) -> None:
    """Put the pages of runs beside those made here: `studies/NAME.page.html`."""
    for page in PUBLISHED.glob(f"*/{PAGE}"):
        shutil.copyfile(page, site / "studies" / f"{page.parent.name}.page.html")


def _page(name: str) -> str:
    card, recipe = studies.read(name, "card"), studies.recipe(name)
    folder = PUBLISHED / name
    parts = ["# " + name.replace("_", r"\_"), str(recipe["title"]), studies.study(name)]
    if (folder / PAGE).is_file():  # raw, since it isn't there yet when links are followed
        parts += [
            f'<a href="{name}.page.html">The page of the run</a>, with all curves and tables.'
        ]
    parts += ["## Result", studies.headline(name)]
    parts += _tables(name)
    figures = sorted(folder.glob("figures/*.png"))
    parts += ["## Figures"] if figures else []
    for path in figures:
        words = path.stem.partition("_")[2].replace("_", " ").capitalize()
        parts += [f"![{words}](../saved_models/{name}/figures/{path.name})"]
    if recipe.get("deviations"):
        parts += ["## Deviations", studies.deviations(name)]
    parts += ["## Recipe", f"```toml\n{_recipe(name)}```", "## Files"]
    rows = [
        [f"[{file}](../saved_models/{name}/{file})", fixed(facts["bytes"]),
         f"`{facts['sha256'][:16]}`"]
        for file, facts in sorted(card["files"].items())
    ]  # fmt: skip
    parts += [table(["file", "bytes", "SHA-256, first digits"], rows)]
    return "\n\n".join(parts).replace("](../", "](../../") + "\n"  # one folder further down


def _recipe(name: str) -> str:
    return (ROOT / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


_OF_KIND: dict[str, tuple[tuple[str, str], ...]] = {
    "lottery": (
        ("Verdicts", "criteria"), ("", "verdicts"), ("", "notes"), ("Claims", "claims"),
        ("Exported file", "exported"),
    ),
    "norms": (("Against no normalization", "contrasts"), ("Subnetworks", "subnetworks"),
              ("Claims", "claims")),
    "noisy": (("Methods", "methods"), ("Estimated noise rates", "rates"), ("Claims", "claims")),
    "memorization": (("By sparsity", "sparsity"), ("Claims", "claims")),
    "locality": (
        ("Receptive fields", "fields"), ("Tickets and their controls", "arranged"),
        ("Masks alone", "masks_alone"), ("Convolutions", "convolutions"), ("Claims", "claims"),
    ),
    "widths": (("Against the mask as it is on new weights", "by_width"), ("Claims", "claims")),
    "edge": (("Exported file, by seed", "replicates"), ("Claims", "claims"),
             ("Operations and energy", "energy")),
}  # fmt: skip


def _tables(name: str) -> list[str]:
    parts: list[str] = []
    for title, function in _OF_KIND[str(studies.recipe(name)["kind"])]:
        if function == "claims" and not studies.recipe(name).get("expect"):
            continue
        text = cards.made(f"{function} {name}")
        if cards.MISSING in text or text.count("\n") == 1:  # a table without a row
            continue
        parts += [f"## {title}"] if title else []
        parts += [text]
    return parts
