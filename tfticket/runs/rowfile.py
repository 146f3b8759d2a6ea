"""`metrics.csv`: one table that several processes may add to, level by level."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from filelock import FileLock

from tfticket.errors import RunError
from tfticket.files import free_space, write_text
from tfticket.metrics import Row, read_table_text, to_csv
from tfticket.runs.plan import Trial


class RowFile:
    """The table of measurements of a run. Making the object touches nothing on disk.

    Whoever changes it holds the lock beside it, so that no two processes write at a time. The lock
    says nothing of who may write the run: see `session.locked`.

    Args:
        path: The table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock_file = path.with_suffix(".lock")

    def append(self, rows: Iterable[Row]) -> None:
        """Append rows in one write, synced: all of the rows or none.

        A line that a killed process didn't get to the end of is dropped before.

        Raises:
            RunError: when they can't be written; the table is then as it was.
        """
        try:
            with FileLock(self.lock_file), self.path.open("ab+", buffering=0) as file:
                end = _end_of_last_line(file.fileno())
                left = memoryview(to_csv(rows, header=end == 0).encode())
                try:
                    os.ftruncate(file.fileno(), end)
                    while left:
                        left = left[file.write(left) :]
                    os.fsync(file.fileno())
                except BaseException:
                    os.ftruncate(file.fileno(), end)
                    raise
        except OSError as error:
            raise RunError(
                f"The measurements of a level could not be added to `{self.path}`: "
                f"{error.strerror}. {free_space(self.path.parent)} What was measured before is "
                "kept; make room, and run the command again."
            ) from error

    def keep(self, wanted: Callable[[Trial], bool]) -> None:
        """Remove the rows of trials that aren't wanted, and a line that was cut off.

        Raises:
            RunError: when a line doesn't say which trial it belongs to.
        """
        self._rewrite(lambda lines: [line for line in lines if wanted(self._trial(line))])

    def sort(self, order: Sequence[Trial]) -> None:
        """Sort the rows by their trials; those of one trial stay in their order.

        Args:
            order: The trials from the first on. Rows of other trials follow.
        """
        rank = {trial: number for number, trial in enumerate(order)}
        self._rewrite(
            lambda lines: sorted(lines, key=lambda line: rank.get(self._trial(line), len(rank)))
        )

    def _rewrite(self, change: Callable[[list[str]], list[str]]) -> None:
        if not self.path.is_file():
            return
        with FileLock(self.lock_file):
            text = read_table_text(self.path)
            header, *lines = text.splitlines(keepends=True) or [""]
            if lines and not lines[-1].endswith("\n"):
                lines.pop()
            changed = change(lines)
            changed = [header, *changed] if changed else []
            if "".join(changed) != text:
                write_text(self.path, "".join(changed))

    def _trial(self, line: str) -> Trial:
        try:
            seed, branch, level, _ = line.split(",", maxsplit=3)
            return Trial(int(seed), branch, int(level))
        except ValueError as error:
            raise RunError(
                f"Each line of `{self.path}` must begin with seed, branch and level. Received: "
                f"{line.strip()!r:.80}. The file was changed; restore it, or begin anew with "
                "--fresh."
            ) from error


def _end_of_last_line(descriptor: int) -> int:
    """Return the number of bytes of whole lines; what follows was cut off."""
    end = os.fstat(descriptor).st_size
    step = 4096
    while end:
        start = max(0, end - step)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
