"""Write the numbers of the published cards into the pages: `python docs/cards.py`.

A page says where a table or a number comes from, and this script writes it:

    <!-- cards: verdicts lth_mnist -->
    | weights left | ... |
    <!-- end -->

    ... keeps <!-- cards: density lth_mnist card.density -->8.7 %<!-- end --> of the weights ...

The first word names a function of `card_tables/`, the others are its arguments. `percent`,
`points`, `times`, `density` and `number` print one value (`card_tables.studies.value`). Numbers are
read as decimals and rounded once, half up.
`python docs/cards.py --check` writes nothing and fails when a page isn't up to date.

A number without a card stands between `<!-- measured: COMMAND -->` and `<!-- end -->`, which this
script leaves alone; `tests/test_docs.py` holds the rules for pages of results.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

from card_tables import claims, devices, lottery, noise, norms, studies  # noqa: E402

BLOCK = re.compile(r"<!-- cards: ([^>]+?) -->(.*?)<!-- end -->", re.DOTALL)
MISSING = "Not published yet"

_MODULES = (claims, studies, lottery, devices, norms, noise)


def main(arguments: list[str]) -> int:
    """Write all pages, or with `--check` tell which ones aren't up to date."""
    stale = [page for page in pages() if page.read_text(encoding="utf-8") != rendered(page)]
    for page in stale:
        print(page.relative_to(studies.ROOT))
        if "--check" not in arguments:
            page.write_text(rendered(page), encoding="utf-8")
    return int(bool(stale) and "--check" in arguments)


def pages() -> list[Path]:
    """README.md and all pages of `docs/`."""
    return [studies.ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def rendered(page: Path) -> str:
    """The page with all its blocks written anew."""

    def write(match: re.Match[str]) -> str:
        call, old = match.groups()
        text = made(call)
        if page.parent == studies.ROOT:
            text = text.replace("](../", "](")
        # A block stands on lines of its own, a single value inside its line.
        return f"<!-- cards: {call} -->" + (f"\n{text}\n" if "\n" in old else text) + "<!-- end -->"

    return BLOCK.sub(write, page.read_text(encoding="utf-8"))


def made(call: str) -> str:
    """The text of one block.

    Args:
        call: Name of a function and its arguments, like `verdicts lth_mnist`.

    Raises:
        KeyError: No function has this name.
    """
    name, *arguments = call.split()
    function = _function(name)
    try:
        return function(*arguments)
    except (FileNotFoundError, KeyError) as error:
        return f"*{MISSING}: {error}*".replace(str(studies.ROOT), "")


def _function(name: str) -> Callable[..., str]:
    if name in studies.SHOWN:
        return functools.partial(studies.value, name)
    for module in _MODULES:
        found = getattr(module, name, None)
        if callable(found) and found.__module__ == module.__name__ and not name.startswith("_"):
            function: Callable[..., str] = found
            return function
    raise KeyError(f"No function of docs/card_tables/ is named {name!r}.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
