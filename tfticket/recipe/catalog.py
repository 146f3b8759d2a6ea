"""Find recipes: the built-in ones, and any file."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from tfticket import reading
from tfticket.errors import RecipeError


@dataclass(frozen=True, order=True)
class CatalogEntry:
    """A built-in recipe in a listing.

    Attributes:
        name: The name to run it by.
        title: What it does, in one line.
        paper: The arXiv id of the paper that it follows, if any.
        path: The file.
    """

    name: str
    title: str
    paper: str | None
    path: Path


def builtin_root() -> Path:
    """The folder of the built-in recipes: in the installed package, or in the checkout.

    Raises:
        RecipeError: when there is neither.
    """
    package = Path(str(files("tfticket")))
    installed, checkout = package / "_recipes", package.parent / "recipes"
    if installed.is_dir():
        return installed
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout
    raise RecipeError(
        f"The built-in recipes must be in {installed} or, in a checkout, in {checkout}; neither "
        "exists. Install tfticket again, or give the path of a recipe."
    )


def list_recipes() -> list[CatalogEntry]:
    """All built-in recipes by name. The folder is the list; there is no other registry."""
    return [_entry(path) for path in sorted(builtin_root().glob("*.toml"))]


def _entry(path: Path) -> CatalogEntry:
    raw = read_toml(path)
    return CatalogEntry(path.stem, str(raw.get("title", "")), raw.get("paper"), path)


def find(name_or_path: str | Path) -> Path:
    """The file of a recipe.

    What ends in `.toml` or has a `/` is a path, anything else the name of a built-in recipe.

    Raises:
        RecipeError: when there is no such recipe; with the names that come close.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or len(path.parts) > 1:
        if path.is_file():
            return path
        raise RecipeError(f"A recipe must be a file that exists. Received: {path}, no such file.")
    names = [entry.stem for entry in sorted(builtin_root().glob("*.toml"))]
    if path.name in names:
        return builtin_root() / f"{path.name}.toml"
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    raise RecipeError(
        f"A recipe must be the name of a built-in one, or a path ending in .toml. Received: "
        f"{path.name!r}. {hint}Built-in: {', '.join(names)}."
    )


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        RecipeError: when the file can't be read or isn't TOML.
    """
    try:
        return reading.read_toml(path)
    except reading.UnreadableError as error:
        raise _unreadable(path, error) from error


def read_text(path: Path) -> str:
    """The text of a recipe, as it is.

    Raises:
        RecipeError: when the file can't be read.
    """
    try:
        return reading.read_text(path, most_bytes=reading.MOST_TOML_BYTES)
    except reading.UnreadableError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> RecipeError:
    return RecipeError(
        f"The recipe {path} can't be read: {error}. A recipe is a TOML file, like the one that "
        "`tfticket recipe show lth_digits` prints."
    )
