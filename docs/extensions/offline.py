"""The built pages ask no other machine for anything: what would is a warning, so an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=["']?"""
    r"""((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?![^>]*\brel=["']?(?:canonical|author|license))[^>]*?\bhref=["']?"""
    r"""((?:https?:)?//[^"'\s>]+)""",
    re.IGNORECASE,
)
_OF_CSS = re.compile(r"""(?:@import\s+|url\()\s*(?:url\()?["']?((?:https?:)?//[^"')\s]+)""", re.I)
_STYLE = re.compile(r"<style\b[^>]*>(.*?)</style>|\bstyle=\"([^\"]*)\"", re.DOTALL | re.I)


def requests(text: str, suffix: str) -> list[str]:
    """Return the addresses of other hosts that a file makes a browser load.

    Args:
        text: Its content.
        suffix: `.html` or `.css`.
    """
    if suffix == ".css":
        return _OF_CSS.findall(text)
    found = [first or second for first, second in _LOADED.findall(text)]
    for element, attribute in _STYLE.findall(text):
        found += _OF_CSS.findall(element or attribute)
    return found


def _of_site(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".css"):
            for address in requests(path.read_text(encoding="utf-8"), path.suffix):
                yield path, address


def _check(app: Sphinx, exception: Exception | None) -> None:
    from sphinx.util import logging

    if exception is None and app.builder.format == "html":
        for path, address in _of_site(Path(app.outdir)):
            logging.getLogger(__name__).warning(
                "%s loads %s from another host", path.relative_to(app.outdir), address
            )


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at the whole site when it is built."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
