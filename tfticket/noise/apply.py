"""Label issues acted on: what a table says becomes labels, a copy of a folder, or moved files.

A table is followed only as far as it fits the data: every row must be about an example that is
there and carries the label that the row calls given. One that doesn't is of another data set, or
older than the last correction, and none of it is followed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.data.folder import parts_of
from tfticket.display import Displayable
from tfticket.display.words import number, plural
from tfticket.errors import DataError, RunError
from tfticket.files import free_space, write_bytes, write_text
from tfticket.noise.audit import LabeledData
from tfticket.noise.corrected_table import corrected_table
from tfticket.noise.moves import (
    Move,
    MoveReceipt,
    checked_path,
    free_names,
    move_files,
    refuse_links,
)
from tfticket.noise.origin import Origin
from tfticket.noise.table import LabelRow, LabelTable, csv_text, read_label_table, unescaped
from tfticket.wording import did_you_mean

PathLike = str | os.PathLike[str]

_MOST_NAMED = 10
_NO_FOLDER_NAME = re.compile(r"^[._]|[/\0]")
"""Names that can't be a class folder of `folder:`."""


@dataclass(frozen=True)
class Change:
    """A label to change.

    Attributes:
        line: Line of the table.
        id: Place of the example in the data; None where only its file is known.
        file: Its path below the folder; empty where examples have no files.
        given: Name of the given class; empty where the label is missing.
        label: Name of the class that it gets.
    """

    line: int
    id: int | None
    file: str
    given: str
    label: str


@dataclass(frozen=True)
class CorrectedLabels:
    """All labels of a data set, before and after.

    Attributes:
        given: Labels before, shape (n,), int64; -1 is missing.
        labels: Labels after, shape (n,), int64.
        class_names: A name for each label; new classes stand last.
    """

    given: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]


@dataclass(frozen=True, repr=False, eq=False)
class Corrections(Displayable):
    r"""The changes that a table asks for, see `read_corrections`.

    An image folder is corrected by `move_files`, which a receipt undoes, or by `copy_to`; other
    data by `write_labels`.

        >>> for name in ("cat/1.png", "dog/2.png"):
        ...     Path("photos", name).parent.mkdir(parents=True)
        ...     _ = Path("photos", name).write_text(name)
        >>> table = "id,file,given_name,suggested_name,is_issue,score"
        >>> _ = Path("suspects.csv").write_text(f"{table}\n0,cat/1.png,cat,dog,true,0.9")
        >>> corrections = read_corrections("suspects.csv", data="folder:photos")
        >>> corrections.summary(), corrections.moves()[0].target
        ('1 label to change: 1 from cat to dog.', 'dog/1.png')
        >>> corrections.move_files("moved.json").undo()
        MoveReceipt(1 file, undone)

    Attributes:
        table: The table, as it was read.
        origin: The data that it is about.
        changes: The changes, in the order of the table.
        new_classes: Whether labels may be classes that the data lacks.
    """

    table: LabelTable
    origin: Origin
    changes: tuple[Change, ...]
    new_classes: bool = False

    def __len__(self) -> int:
        return len(self.changes)

    def __repr__(self) -> str:
        return f"Corrections({plural(len(self), 'label')} of {self.origin.data})"

    def summary(self) -> str:
        """Return how many labels change, from which class to which, in a sentence."""
        counts = self.counts()
        pairs = [f"{number(n)} from {a or 'none'} to {b}" for (a, b), n in counts[:_MOST_NAMED]]
        if len(counts) > _MOST_NAMED:
            pairs.append(f"{number(sum(n for _, n in counts[_MOST_NAMED:]))} others")
        return f"{plural(len(self), 'label')} to change{': ' if pairs else ''}{', '.join(pairs)}."

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each change: id, file, given label, new label."""
        return [
            {"id": each.id, "file": each.file, "given": each.given, "label": each.label}
            for each in self.changes
        ]

    def counts(self) -> list[tuple[tuple[str, str], int]]:
        """Return the number of changes from each class to each, most frequent first."""
        return Counter((each.given, each.label) for each in self.changes).most_common()

    def labels(self) -> CorrectedLabels:
        """Load the data, and return its labels before and after.

        Raises:
            DataError: when the data can't be loaded, or the table doesn't fit it.
        """
        return self._labels(self._load())

    def _labels(self, labeled: LabeledData) -> CorrectedLabels:
        names, given = list(labeled.data.class_names), labeled.given
        self._check_given(labeled)
        known = set(names)
        labels = given.copy()
        for each in self.changes:
            label = self._class(each, known)
            if label not in known:
                names.append(label)
                known.add(label)
            assert each.id is not None  # it was checked with the rest
            labels[each.id] = names.index(label)
        return CorrectedLabels(given, labels, tuple(names))

    def write_labels(self, path: PathLike) -> Path:
        """Write all labels, corrected: a copy of the table, if the labels are a column of one.

        Else it is a CSV file: `id`, `given` and `label`, counted from 0; missing ones are empty.
        `read_label_file`, and with it `--labels` of `tfticket noise`, read the column `label`.

        Args:
            path: The file; one of this name is replaced.

        Raises:
            DataError: see `labels`; when it is the file of the data.
            RunError: when the file can't be written.
        """
        labeled = self._load()
        made, cells = self._labels(labeled), labeled.data.train.cells
        if cells is not None and self.origin.labels is None:
            source = self.origin.file
            assert source is not None  # cells come from a file
            if Path(path).resolve() == source.resolve():
                raise DataError(f"`{path}` holds the data. Write the copy to another file.")
            changed = np.flatnonzero(made.labels != made.given)
            labels = {int(each): made.class_names[made.labels[each]] for each in changed}
            return write_bytes(path, corrected_table(source, cells, labels))
        rows = enumerate(zip(made.given.tolist(), made.labels.tolist(), strict=True))
        lines = [
            (str(place), *("" if label < 0 else str(label) for label in labels))
            for place, labels in rows
        ]
        return write_text(path, csv_text(("id", "given", "label"), lines))

    def moves(self) -> list[Move]:
        """Find for each changed file of an image folder its new name, in the folder of its class.

        Raises:
            DataError: when the data are no image folder, or the table doesn't fit it.
        """
        root = self.origin.folder
        if root is None:
            raise DataError(
                f"`{self.origin.data}` is no image folder, so no file can be moved or copied. "
                "Write a label file by --output."
            )
        if not root.is_dir():
            raise DataError(
                f"`{root}`, the folder that `{self.table.path}` is about, isn't there. Give --data "
                "folder:PATH if it has another place now."
            )
        part = parts_of(root)[0]
        place = 0 if part == root else 1
        classes = {
            each.name
            for each in part.iterdir()
            if each.is_dir() and not _NO_FOLDER_NAME.search(each.name)
        }
        wanted, missing = [], []
        for each in self.changes:
            source = self._file(each, root)
            if not (root / source).is_file():
                missing.append(source)
                continue
            parts = source.split("/")
            if len(parts) < place + 2 or parts[place] not in _spellings(each.given):
                raise DataError(
                    f"`{self.table.path}`, line {each.line}: {source} is called "
                    f"{each.given!r:.40}, which isn't the folder that it lies in. The "
                    "labels are from another file, or the table was changed. Write a label file by "
                    "--output."
                )
            parts[place] = self._class(each, classes)
            wanted.append((source, "/".join(parts)))
        if missing:
            raise self._missing(missing, root)
        return free_names(root, wanted)

    def move_files(self, receipt: PathLike) -> MoveReceipt:
        """Move the files inside the folder.

        Args:
            receipt: Where to write the receipt, by which it can be undone.

        Raises:
            DataError: see `moves`.
            RunError: see `tfticket.noise.moves.move_files`.
        """
        moves, root = self.moves(), self.origin.folder
        assert root is not None
        return move_files(root, moves, receipt, table=str(self.table.path.absolute()))

    def copy_to(self, folder: PathLike) -> Path:
        """Write a corrected copy of the folder, whole or not at all.

        Every file is copied, also what isn't read as data; links to files become files.

        Args:
            folder: The copy; it must not exist, or be empty.

        Raises:
            DataError: see `moves`; when the copy would lie in the folder, or has files.
            RunError: when it can't be written.
        """
        moves, root, copy = self.moves(), self.origin.folder, Path(folder).absolute()
        assert root is not None
        self.check_copy(copy)
        targets = {move.source: move.target for move in moves}
        partial = copy.with_name(f"{copy.name}.{os.getpid()}.partial")
        try:
            for source in _files_of(root):
                target = partial / targets.get(source, source)
                target.parent.mkdir(parents=True, exist_ok=True)
                broken = not (root / source).exists()
                shutil.copy2(root / source, target, follow_symlinks=not broken)
            partial.rename(copy)
        except OSError as error:
            raise RunError(
                f"`{copy}` could not be written: {error.strerror or error}. "
                f"{free_space(copy.parent)} Nothing was changed."
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # what is there is unfinished
        return copy

    def check_copy(self, copy: PathLike) -> None:
        """Check that a copy can be written to a folder.

        Args:
            copy: The folder.

        Raises:
            DataError: when there are files, or it would lie inside the folder of the data.
        """
        copy, root = Path(copy).absolute(), self.origin.folder
        if root is not None and copy.resolve().is_relative_to(root.resolve()):
            raise DataError(f"A copy can't lie in the folder itself. Received: {copy}.")
        if copy.exists() and (not copy.is_dir() or any(copy.iterdir())):
            raise DataError(f"`{copy}` exists. Nothing is written over: choose another name.")

    def _file(self, change: Change, root: Path) -> str:
        spelled = [checked_path(each, str(self.table.path)) for each in _spellings(change.file)]
        for each in spelled:
            refuse_links(root, each)
        there = [each for each in spelled if os.path.lexists(root / each)]
        if len(there) > 1:
            raise DataError(
                f"`{self.table.path}`, line {change.line}: `file` may be {there[0]} or {there[1]}. "
                "Rename one of them."
            )
        return there[0] if there else spelled[-1]

    def _class(self, change: Change, known: Collection[str]) -> str:
        """The name of the class that a label becomes."""
        found = [each for each in _spellings(change.label) if each in known]
        if found:
            return found[0]
        label, where = unescaped(change.label), f"`{self.table.path}`, line {change.line}"
        if not (self.new_classes and self.table.decided):
            raise DataError(
                f"{where}: the data have no class {label!r:.60}.{did_you_mean(label, known)} "
                + (
                    "Give --new-classes if it is a new one."
                    if self.table.decided
                    else f"They have {', '.join(sorted(known)[:_MOST_NAMED])}."
                )
            )
        if self.origin.folder is not None and _NO_FOLDER_NAME.search(label):
            raise DataError(
                f"{where}: {label!r:.60} can't be a new class of an image folder. Its name must "
                "not begin with a dot or an underscore, and holds no `/`."
            )
        return label

    def _load(self) -> LabeledData:
        origin = self.origin
        return LabeledData.load(origin.data, labels=origin.labels, data_dir=origin.data_dir)

    def _check_given(self, labeled: LabeledData) -> None:
        """Hold every row of the table against the data."""
        names, given = labeled.data.class_names, labeled.given
        count, path = len(given), self.table.path
        known = [row for row in self.table.rows if row.id is not None]
        expected = min(count, self.origin.limit or count)
        if self.table.whole and len(known) != expected:
            raise DataError(
                f"`{path}` is about {plural(len(known), 'example')}, and `{self.origin.data}` has "
                f"{number(count)}. It is of another data set, or the data changed. Run `tfticket "
                "noise clean` again."
            )
        for row in self.table.rows:
            if row.id is None:
                continue
            if row.id >= count:
                raise DataError(
                    f"`{path}`, line {row.line}: there is no example {row.id} in "
                    f"`{self.origin.data}`, which has {number(count)}, from 0 to {count - 1}."
                )
            own = "" if given[row.id] < 0 else names[given[row.id]]
            if own not in _spellings(row.given_name):
                raise DataError(
                    f"`{path}`, line {row.line}: example {row.id} is called {row.given_name!r:.40} "
                    f"there, and {own!r:.40} in `{self.origin.data}`. The table is of another data "
                    "set, or the labels changed. Run `tfticket noise clean` again."
                )

    def _missing(self, files: list[str], root: Path) -> DataError:
        shown = ", ".join(files[:_MOST_NAMED]) + (", ..." if len(files) > _MOST_NAMED else "")
        verb = "is" if len(files) == 1 else "are"
        return DataError(
            f"{plural(len(files), 'file')} of `{self.table.path}` {verb} missing in "
            f"`{root}`: {shown}. They were moved or removed since, or the table is of "
            "another folder. Run `tfticket noise clean` again."
        )


def read_corrections(
    table: PathLike,
    *,
    data: str | None = None,
    labels: PathLike | None = None,
    data_dir: PathLike | None = None,
    min_score: float | None = None,
    new_classes: bool = False,
    fill_missing: bool = False,
) -> Corrections:
    r"""Read the changes that a table of labels asks for.

        >>> _ = Path("pets.csv").write_text("age,label\n3,cat\n1,dog\n9,cat\n")
        >>> decided = "id,file,given_name,suggested_name,decision,label_name"
        >>> _ = Path("decisions.csv").write_text(f"{decided}\n2,,cat,dog,confirm,\n")
        >>> read_corrections("decisions.csv", data="csv:pets.csv").labels().labels
        array([0, 1, 1])

    `labels.csv` and `suspects.csv` ask for the suggested label wherever `is_issue` is true,
    `decisions.csv` for what a person confirmed or corrected.

    Args:
        table: The file.
        data: The data that it is about, as `tfticket noise clean` was given them; None reads
            `summary.json` beside the table.
        labels: A file of the given labels, if they aren't the data's own.
        data_dir: Folder of the data sets.
        min_score: Follow only rows with an issue score of at least this; not for decisions.
        new_classes: Allow corrections to classes that the data lacks.
        fill_missing: Give examples without a label the suggested one; not for decisions.

    Raises:
        DataError: when the table can't be read, contradicts itself, or it isn't known which data
            it is about.
    """
    read = read_label_table(table)
    if read.decided and (min_score is not None or fill_missing):
        raise DataError(
            f"`{table}` holds the decisions of a person, which have no score and say which missing "
            "labels to fill in. Leave out --min-score and --fill-missing."
        )
    origin = Origin.beside(read.path, data=data, labels=labels, data_dir=data_dir)
    changes: dict[Any, Change] = {}
    for row in read.rows:
        label = _label(row, read, min_score, fill_missing=fill_missing)
        if label is None or label == row.given_name:
            continue
        if row.id is None and not row.file:
            raise DataError(f"`{table}`, line {row.line}: it names neither an example nor a file.")
        change = Change(row.line, row.id, row.file, row.given_name, label)
        first = changes.setdefault(row.file or row.id, change)
        if first is not change:
            raise DataError(
                f"`{table}`, line {row.line}: the example of line {first.line} again. Remove one."
            )
    return Corrections(read, origin, tuple(changes.values()), new_classes)


def _label(
    row: LabelRow, table: LabelTable, min_score: float | None, *, fill_missing: bool
) -> str | None:
    """The name of the label that a row asks for, or None."""
    if not table.decided:
        followed = row.is_issue and (min_score is None or row.score >= min_score)
        followed |= fill_missing and row.id is not None and not row.given_name
        label = row.suggested_name if followed else None
    else:
        label = {"confirm": row.suggested_name, "correct": row.label_name}.get(row.decision)
    if label == "":
        raise DataError(
            f"`{table.path}`, line {row.line}: it names no class to change to. Fill in "
            f"`{'label_name' if row.decision == 'correct' else 'suggested_name'}`."
        )
    return label


def _spellings(cell: str) -> tuple[str, ...]:
    """Return the texts that a cell may stand for: itself, or without its leading quote."""
    return tuple(dict.fromkeys((cell, unescaped(cell))))


def _files_of(root: Path) -> Iterator[str]:
    """Names of all files below a folder."""

    def failed(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(root, onerror=failed):
        for name in folders:
            if (Path(folder) / name).is_symlink():
                raise DataError(
                    f"`{Path(folder) / name}` is a link to a folder, which a copy can't hold. Put "
                    "the folder in its place."
                )
        for name in files:
            path = Path(folder) / name
            if path.is_symlink() or path.is_file():
                yield path.relative_to(root).as_posix()
