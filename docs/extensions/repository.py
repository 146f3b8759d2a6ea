"""Links that hold on GitHub lead to the right place on the site too.

The pages are read in the repository and on the site. So the sources link to files, as GitHub
shows them, and the index is a list of links. Here, when a page is read: a link to a page that the
site has, under whatever name, goes there; one to another file goes to the repository; and the
lists of the index become the table of contents.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from extensions import reference, studies

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
HOME = "https://github.com/tfticket/tfticket"
FROM_ROOT = ("ARCHITECTURE", "CHANGELOG", "CONTRIBUTING")
"""Pages of the repository that the site has too, in the folder `project`."""

_LINK = re.compile(r"(?<!!)(\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_SECTION = re.compile(r"^## (.+)\n((?:(?!^## ).*\n?)*)", re.MULTILINE)
_STUDY = re.compile(r"(<!-- cards: study (\w+) -->\n.*?)(\n<!-- end -->)", re.DOTALL)


def on_site(text: str, page: Path) -> str:
    """Return a page with its links as the site needs them.

    Args:
        text: The page in Markdown.
        page: Its path below the root of the repository, which links are relative to.
    """

    def rewrite(match: re.Match[str]) -> str:
        words, address = match.groups()
        return f"{words}({_target(address, page)})"

    parts = _FENCE.split(text)
    return "".join(part if i % 2 else _LINK.sub(rewrite, part) for i, part in enumerate(parts))


def _target(address: str, page: Path) -> str:
    if address.startswith(("#", "http:", "https:", "mailto:")):
        return address
    file, mark, anchor = address.partition("#")
    path = Path(os.path.normpath(page.parent / file))
    place = _page(path)
    if place is None:
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{HOME}/{kind}/main/{path}{mark}{anchor}"
    here = _page(page) or page.relative_to("docs")
    return os.path.relpath(place, here.parent) + mark + anchor


def _page(path: Path) -> Path | None:
    """Where the site has a file of the repository, below `docs`; None if it doesn't."""
    if len(path.parts) == 1 and path.stem in FROM_ROOT:
        return Path("project", f"{path.stem.lower()}.md")
    if path == Path("docs/tutorials"):
        return Path("gallery/index.rst")
    if path.parent == Path("docs/tutorials"):
        return Path("gallery", f"{path.stem}.rst")
    if path.parts[0] == "docs" and path.suffix == ".md":
        return path.relative_to("docs")
    return None


def contents(index: str) -> str:
    """Return tables of contents, one for each section of the index, of the pages it lists."""
    blocks = []
    for title, body in _SECTION.findall(index):
        pages = []
        for _, address in _LINK.findall(body):
            path = Path(os.path.normpath(Path("docs", address)))
            place = _page(path) if ":" not in address else None
            if place is not None and str(place) not in pages:
                pages.append(str(place))
        if pages:
            lines = "\n".join(page.rsplit(".", 1)[0] for page in pages)
            blocks.append(f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n{lines}\n```\n")
    return "\n".join(blocks)


APPENDED: Mapping[str, str] = {
    "api": "\n## By package\n\n```{toctree}\n:maxdepth: 1\n:glob:\n\nreference/*\n```\n",
    "results": "\n```{toctree}\n:hidden:\n:glob:\n\nstudies/*\n```\n",
}
"""Name of a page to what the site adds below it."""


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(name)).relative_to(DOCS)
    if path.suffix != ".md" or path.parts[0] in ("project", "studies"):
        return
    text = source[0]
    added = contents(text) if name == "index" else APPENDED.get(name, "")
    page = Path("docs", path)
    text = _STUDY.sub(lambda m: f"{m[1]} [The page of this study](studies/{m[2]}.md).{m[3]}", text)
    if name == "results":  # a list of studies: each has a page
        text = re.sub(r"\]\(\.\./recipes/(\w+)\.toml\)", r"](studies/\1.md)", text)
    source[0] = on_site(text, page) + "\n" + added


def _write_pages(app: Sphinx) -> None:
    for name in FROM_ROOT:
        page = Path(f"{name}.md")
        text = on_site((ROOT / page).read_text(encoding="utf-8"), page)
        write(DOCS / "project" / f"{name.lower()}.md", text)
    for place, text in reference.pages().items():
        write(DOCS / place, text)
    for place, text in studies.pages().items():
        write(DOCS / place, on_site(text, Path("docs", place)))


def _copy_pages(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        studies.copy_pages(Path(app.outdir))


def write(path: Path, text: str) -> None:
    """Write a page unless it is there already: Sphinx reads again what is newer."""
    path.parent.mkdir(exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the pages that aren't in `docs`, and rewrite links when a page is read."""
    app.connect("builder-inited", _write_pages, priority=1)
    app.connect("source-read", _read)
    app.connect("build-finished", _copy_pages, priority=100)  # before it is asked what they load
    return {"parallel_read_safe": True, "parallel_write_safe": True}
