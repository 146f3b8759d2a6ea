"""Finished rounds of a search on disk, from which it is resumed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tfticket.errors import RunError
from tfticket.files import write_json
from tfticket.models import load_file


@dataclass(frozen=True)
class Rounds:
    """Finished rounds, as `.keras` files in a folder; or nowhere.

    Attributes:
        folder: Where they are; None keeps nothing.
        fingerprint: Hash of all that decides what a round gives.
    """

    folder: Path | None
    fingerprint: str = ""

    @classmethod
    def open(cls, folder: str | os.PathLike[str] | None, fingerprint: str) -> Rounds:
        """Open a folder, which needn't exist, for one search."""
        if folder is None:
            return cls(None)
        path = Path(folder)
        made = cls(path, fingerprint)
        if made._note.is_file():
            if made._told().get("fingerprint") != fingerprint:
                raise RunError(
                    f"`{path}` holds the rounds of another search: the model, the data, the budget "
                    "or a setting differs. Choose another folder, or remove this one."
                )
        else:
            write_json(made._note, {"fingerprint": fingerprint, "taught": False})
        return made

    @property
    def taught(self) -> bool:
        """True if learning from the dense network helped in the first round."""
        return self.folder is not None and self._told().get("taught") is True

    def remember_teacher(self) -> None:
        """Keep that it helped."""
        if self.folder is not None:
            write_json(self._note, {"fingerprint": self.fingerprint, "taught": True})

    @property
    def _note(self) -> Path:
        assert self.folder is not None
        return self.folder / "search.json"

    def _told(self) -> dict[str, Any]:
        try:
            told = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def load(self, name: int | str) -> keras.Model | None:
        """Load the network of a finished round; None if it isn't finished."""
        path = self._path(name)
        return None if path is None or not path.is_file() else load_file(path)

    def save(self, name: int | str, model: keras.Model) -> None:
        """Keep the network of a finished round."""
        path = self._path(name)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".part-{path.name}")
            model.save(part)
            part.replace(path)

    def _path(self, name: int | str) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / (
            f"round_{name:02d}.keras" if isinstance(name, int) else f"{name}.keras"
        )
