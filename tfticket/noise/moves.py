"""Files moved inside a folder, by a receipt that finishes the moves or undoes them.

The receipt is written before the first file moves, with the hash of each. Where a file is, and not
what the receipt says, tells what was done to it: whatever stopped halfway is finished or undone
from the same receipt, and nothing is done twice. A file is never written over: it gets its new name
by a hard link, which fails where the name is taken, before it loses the old one.

Names in tables and receipts are those of strangers. They stay inside the folder, and lead through
no link.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shlex
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from tfticket import __version__
from tfticket.display import Displayable
from tfticket.display.words import plural
from tfticket.errors import DataError, RunError
from tfticket.files import free_space, read_table, understood, write_json

State = Literal["planned", "done", "undone"]

_STATES: dict[str, State] = {"planned": "planned", "done": "done", "undone": "undone"}
_MOST_NAMED = 10
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)


@dataclass(frozen=True)
class Move:
    """A file that goes from one name to another.

    Attributes:
        source: Its name before, below the folder, with `/` between folders.
        target: Its name after.
        sha256: Hash of its content.
        size: Its bytes.
    """

    source: str
    target: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, repr=False)
class MoveReceipt(Displayable):
    """Moves inside a folder, and how far they are.

        >>> for folder in ("cat", "dog"):
        ...     Path(folder).mkdir()
        >>> _ = Path("cat/7.txt").write_text("seven")
        >>> receipt = move_files(".", [Move("cat/7.txt", "dog/7.txt")], "moved.json")
        >>> receipt, Path("dog/7.txt").exists()
        (MoveReceipt(1 file, done), True)
        >>> receipt.undo(), Path("cat/7.txt").exists()
        (MoveReceipt(1 file, undone), True)

    Attributes:
        path: The receipt's own file.
        folder: The folder, absolute.
        moves: What moves from where to where.
        created: Folders that are made for it, below `folder`; taken away again when undone.
        state: `planned` before the first move, then `done`, or `undone`.
        time: When it was planned, in UTC.
        table: The table that asked for it.
    """

    path: Path
    folder: Path
    moves: tuple[Move, ...]
    created: tuple[str, ...] = ()
    state: State = "planned"
    time: str = ""
    table: str = ""

    _KIND: ClassVar[str] = "label_moves"

    def __len__(self) -> int:
        return len(self.moves)

    def __repr__(self) -> str:
        return f"MoveReceipt({plural(len(self), 'file')}, {self.state})"

    def summary(self) -> str:
        """Return how many files it is about, and how far they are, in a sentence."""
        return f"{plural(len(self), 'file')} of {self.folder.name}: {self.state}."

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each file: its name before, its name after, hash and bytes."""
        return [
            {"from": move.source, "to": move.target, "sha256": move.sha256, "size": move.size}
            for move in self.moves
        ]

    def save(self) -> MoveReceipt:
        """Write it to its file, whole or not at all.

        Raises:
            RunError: when it can't be written.
        """
        write_json(
            self.path,
            {
                "kind": self._KIND,
                "tfticket": __version__,
                "time": self.time,
                "state": self.state,
                "table": self.table,
                "folder": str(self.folder),
                "created": self.created,
                "moves": self.to_rows(),
            },
        )
        return self

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, folder: Path | None = None) -> MoveReceipt:
        """Read what `save` wrote.

        Args:
            path: The file.
            folder: The folder, where it was moved to another place since.

        Raises:
            RunError: when it can't be read, or is no such receipt.
            DataError: when it names files outside of its folder.
        """
        path = Path(path)
        table = read_table(path)
        if table.get("kind") != cls._KIND:
            raise RunError(
                f"`{path}` is no receipt of `tfticket noise apply --move`. Received: a table of "
                f"kind {table.get('kind')!r:.40}."
            )
        with understood(f"`{path}` and its entries", "Restore it."):
            receipt = cls(
                path,
                Path(folder or table["folder"]).absolute(),
                tuple(
                    Move(str(each["from"]), str(each["to"]), str(each["sha256"]), int(each["size"]))
                    for each in table["moves"]
                ),
                tuple(str(each) for each in table["created"]),
                _STATES[table["state"]],
                str(table["time"]),
                str(table["table"]),
            )
        for name in (*receipt.created, *(n for m in receipt.moves for n in (m.source, m.target))):
            checked_path(name, str(path))
        return receipt

    def finish(self) -> MoveReceipt:
        """Move what hasn't been moved yet.

        Raises:
            RunError: when a file is missing, was changed, or another has its name, and then none is
                moved; or when it stopped halfway.
        """
        steps = self._steps([(move, move.source, move.target) for move in self.moves])
        for name in self.created:
            self._at(name).mkdir(exist_ok=True)
        self._go(steps)
        return replace(self, state="done").save()

    def undo(self, *, changed: bool = False) -> MoveReceipt:
        """Bring every file back under the name that it had, and take away the folders made for it.

        Args:
            changed: Bring back also what was changed since.

        Raises:
            RunError: when a file is missing, was changed, or another has its name, and then none is
                moved; or when it stopped halfway.
        """
        back = [(move, move.target, move.source) for move in reversed(self.moves)]
        self._go(self._steps(back, changed=changed))
        for name in reversed(self.created):
            with contextlib.suppress(OSError):  # there are other files in it, or it is gone
                self._at(name).rmdir()
        return replace(self, state="undone").save()

    def _at(self, name: str) -> Path:
        return self.folder / name

    def _steps(
        self, wanted: Iterable[tuple[Move, str, str]], *, changed: bool = False
    ) -> list[tuple[str, str]]:
        """The names to rename; raises where it is open what to do."""
        if not self.folder.is_dir():
            raise RunError(
                f"`{self.folder}`, the folder of `{self.path}`, isn't there. Give --data "
                "folder:PATH if it has another place now."
            )
        steps, wrong = [], []
        for move, old, new in wanted:
            try:
                if self._is_due(move, old, new, changed=changed):
                    steps.append((old, new))
            except (OSError, DataError) as error:
                wrong.append(
                    f"{error.strerror}: {old}." if isinstance(error, OSError) else str(error)
                )
        if wrong:
            more = [f"{len(wrong) - _MOST_NAMED:,} more."] if len(wrong) > _MOST_NAMED else []
            said = f"{plural(len(wrong), 'file')} of `{self.folder}` can't be moved, so none was."
            raise RunError("\n".join([said, *wrong[:_MOST_NAMED], *more]))
        return steps

    def _is_due(self, move: Move, old: str, new: str, *, changed: bool) -> bool:
        """Test whether a file still has its old name; raise a `DataError` if that can't be told."""
        for name in (old, new):
            refuse_links(self.folder, name)
        here, there = self._at(old), self._at(new)
        if there.exists():
            if here.exists() and here.samefile(there):
                return True  # it has both names
            if there.is_file() and (
                hashed(there) == move.sha256 or (changed and not here.exists())
            ):
                return False
            if here.exists():
                raise DataError(f"{new} is there already, another file. Rename one of the two.")
            raise DataError(f"{old} is missing, and {new} is another file, or was changed.")
        if not here.is_file():
            raise DataError(f"{old} is missing.")
        if not changed and hashed(here) != move.sha256:
            raise DataError(f"{old} was changed since.")
        return True

    def _go(self, steps: list[tuple[str, str]]) -> None:
        for old, new in steps:
            try:
                self._at(new).parent.mkdir(parents=True, exist_ok=True)
                rename(self._at(old), self._at(new))
            except OSError as error:
                raise RunError(
                    f"`{self._at(old)}` could not become `{self._at(new)}`: "
                    f"{error.strerror or error}. {free_space(self.folder)} Nothing is lost: "
                    f"`tfticket noise apply {shlex.quote(str(self.path))} --yes` moves the rest, "
                    f"`tfticket noise undo {shlex.quote(str(self.path))}` brings everything back."
                ) from error


def move_files(
    folder: str | os.PathLike[str],
    moves: Sequence[Move],
    receipt: str | os.PathLike[str],
    *,
    table: str = "",
) -> MoveReceipt:
    """Move files inside a folder, with a receipt that is written first.

    Args:
        folder: The folder; nothing outside of it is touched.
        moves: Names before and after, see `free_names` for those after.
        receipt: Where to write the receipt; there must be no such file.
        table: What asked for it, for the receipt.

    Returns:
        The receipt, done.

    Raises:
        DataError: when a name leads out of the folder or through a link.
        RunError: when a file is missing, or a name is taken, and then nothing is moved; when the
            receipt can't be written; or when it stopped halfway.
    """
    folder, receipt = Path(folder).absolute(), Path(receipt)
    if receipt.exists():
        raise RunError(f"`{receipt}` exists. A receipt isn't written over: choose another name.")
    created: dict[str, None] = {}
    known = []
    for move in moves:
        for name in (move.source, move.target):
            refuse_links(folder, checked_path(name, "A move"))
        try:
            known.append(
                replace(
                    move,
                    sha256=hashed(folder / move.source),
                    size=(folder / move.source).stat().st_size,
                )
            )
        except OSError as error:
            raise RunError(
                f"`{folder / move.source}` can't be read, so nothing was moved: {error.strerror}."
            ) from error
        parents = [str(each) for each in PurePosixPath(move.target).parents][:-1]
        created.update((each, None) for each in reversed(parents) if not (folder / each).exists())
    made = MoveReceipt(
        receipt,
        folder,
        tuple(known),
        tuple(created),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        table=table,
    )
    return made.save().finish()


def free_names(folder: Path, wanted: Iterable[tuple[str, str]]) -> list[Move]:
    """Find a name for each file that nothing has yet: `7.png`, else `7-2.png`, `7-3.png`, ...

    Args:
        folder: The folder.
        wanted: Name before and wished name after of each file, below the folder.
    """
    moves, taken = [], set[str]()
    for source, target in wanted:
        path, number, name = PurePosixPath(target), 1, target
        while name in taken or os.path.lexists(folder / name):
            number += 1
            name = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
        taken.add(name)
        moves.append(Move(source, name))
    return moves


def free_receipt(folder: Path) -> Path:
    """Return the name of a receipt that isn't there yet: `moved.json`, `moved-2.json`, ..."""
    name, number = folder / "moved.json", 1
    while os.path.lexists(name):
        number += 1
        name = folder / f"moved-{number}.json"
    return name


def checked_path(name: str, source: str) -> str:
    """Check a name from a table: a path below a folder that doesn't lead out of it.

    Args:
        name: The name, with `/` between folders.
        source: Where it is from, for the error.

    Raises:
        DataError: when it is empty or absolute, or holds `..`.
    """
    parts = name.split("/")
    if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise DataError(
            f"{source} names the file {name!r:.80}. It must be a path below the folder of the "
            "data, such as cat/7.png, without `..`."
        )
    return name


def refuse_links(folder: Path, name: str) -> None:
    """Check that a name below a folder leads through folders to a file, and through no link.

    Args:
        folder: The folder, which may be a link itself.
        name: The name, see `checked_path`. What doesn't exist is no link.

    Raises:
        DataError: when there is a link, or something that is neither a file nor a folder.
    """
    path = folder
    for part in name.split("/"):
        path = path / part
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise DataError(f"{name} can't be looked at: {error.strerror}.") from error
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            what = "a link" if stat.S_ISLNK(mode) else "neither a file nor a folder"
            raise DataError(f"{name} is {what}, or lies behind one. Links aren't followed.")


def hashed(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rename(old: Path, new: Path) -> None:
    """Rename a file, never over another one.

    Raises:
        OSError: when the new name is taken, or the file can't be renamed.
    """
    try:
        os.link(old, new, follow_symlinks=False)
    except FileExistsError:
        if not old.samefile(new):
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from error
        old.rename(new)  # a file system without hard links
        return
    old.unlink()
