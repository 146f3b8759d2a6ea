"""Files of any origin: what reads one runs in a process of its own.

The runtime trusts what it is given, and a damaged file may end the process that runs it. So
nothing of a file that may not be ours is read here; a child (`_child`) reads it, with limits of
time and memory, and hands on plain data.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfticket import children
from tfticket.errors import ExportError

_MARK = b"TFL3"
_MARKED = slice(4, 8)
_MEBIBYTE = 2**20
_SECONDS = 15.0
_SECONDS_A_MEBIBYTE = 2.0
_BUSY = 4.0  # how much longer it may take by the clock, on a machine with much to do
_RUNTIME = "LiteRT"
_DAMAGED = " Copy it again from where it was made, or export the model again."
_BYTES = 4 * 2**30
_BYTES_A_BYTE = 16  # weights are unpacked, packed for kernels, and compared


@dataclass(frozen=True, eq=False)
class Request:
    """The files that a child is to look at.

    Attributes:
        files: What to call each file in an error, and its content; at least one.
        options: Anything JSON can hold.
        arrays: Name to array.
    """

    files: Sequence[tuple[str, bytes]]
    options: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Name of the file in errors, or of the first of them."""
        return self.files[0][0]

    @property
    def content(self) -> bytes:
        """Of the file, or the first of them."""
        return self.files[0][1]

    @property
    def _size(self) -> int:
        return sum(len(content) for _, content in self.files)

    @property
    def seconds(self) -> float:
        """Seconds that a child may compute by default."""
        return _SECONDS + _SECONDS_A_MEBIBYTE * self._size / _MEBIBYTE

    @property
    def memory_bytes(self) -> int:
        """The memory that a child may have."""
        return _BYTES + _BYTES_A_BYTE * self._size


@dataclass(frozen=True, eq=False)
class Answer:
    """The findings of a child.

    Attributes:
        value: Anything JSON can hold.
        arrays: Name to array.
    """

    value: Any
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


Task = Callable[[Request], Answer]
"""A function of a module of ours, which a child imports by name."""


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a `.tflite` file.

    Raises:
        ExportError: when it can't be read, or doesn't carry the mark of such a file.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(_MARKED.stop)
            if start[_MARKED] == _MARK:
                return start + file.read()
    except OSError as error:
        raise ExportError(
            f"A .tflite file must be there to be read. Received: {path}: {error.strerror}."
        ) from error
    raise ExportError(
        f"`{path}` must be a TensorFlow Lite file. Received: bytes that don't carry its mark."
    )


def ask(
    task: Task,
    request: Request,
    *,
    timeout: float | None = None,
    under: Sequence[str] = (),
    where: str = _RUNTIME,
) -> Answer:
    """Have a child do something with a file.

    Args:
        task: What.
        request: With which files.
        timeout: Seconds that it may compute; by default 15, and 2 for each MiB of the files. On a
            busy machine it gets four times as long by the clock.
        under: The beginning of its command, such as an emulator's.
        where: What the file runs in, for the error.

    Raises:
        ExportError: when the file is refused, ends the child, or takes too long.
    """
    if timeout is None:
        timeout = request.seconds
    with tempfile.TemporaryDirectory(prefix="tfticket-") as name:
        folder = Path(name)
        _save_request(task, request, timeout, folder)
        try:
            children.run("tfticket.export._child", name, timeout=_BUSY * timeout, under=under)
        except children.ChildTimeoutError as error:
            raise ExportError(
                f"{request.source} must load and run in {where} within {timeout:g} s. It took "
                "longer. Give it more time (`timeout`), or fewer examples."
            ) from error
        except children.ChildError as error:
            raise ExportError(
                f"{request.source} must load and run in {where}. It doesn't: {error}"
                + (_DAMAGED if where == _RUNTIME else "")
            ) from error
        try:
            told, arrays = _read(folder / "answer.json")
        except (OSError, ValueError, RecursionError) as error:
            raise ExportError(
                f"{request.source} must load and run in {where}. It ended the process that runs it "
                f"without an answer ({type(error).__name__}). Copy it again from where it was made."
            ) from error
    if "error" in told:
        raise ExportError(told["error"])
    return Answer(told["value"], arrays)


def _save_request(task: Task, request: Request, timeout: float, folder: Path) -> None:
    for number, (_, content) in enumerate(request.files):
        (folder / f"{number}.tflite").write_bytes(content)
    told = {
        "task": [task.__module__, task.__name__],
        "files": [source for source, _ in request.files],
        "options": dict(request.options),
        "timeout": timeout,
    }
    _write(folder / "request.json", told, request.arrays)


def load_request(folder: Path) -> tuple[tuple[str, str], Request, float]:
    """Read what `ask` wrote: module and name of the task, the request, and the seconds it has."""
    told, arrays = _read(folder / "request.json")
    files = [
        (source, (folder / f"{number}.tflite").read_bytes())
        for number, source in enumerate(told["files"])
    ]
    module, name = told["task"]
    return (module, name), Request(files, told["options"], arrays), told["timeout"]


def save_answer(answer: Answer | ExportError, folder: Path) -> None:
    """Write what a child found, or what is wrong."""
    if isinstance(answer, ExportError):
        _write(folder / "answer.json", {"error": str(answer)}, {})
    else:
        _write(folder / "answer.json", {"value": answer.value}, answer.arrays)


def _write(path: Path, told: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    for number, array in enumerate(arrays.values()):
        np.save(path.with_suffix(f".{number}.npy"), array, allow_pickle=False)
    path.write_text(json.dumps({**told, "arrays": list(arrays)}), encoding="utf-8")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    told = json.loads(path.read_text(encoding="utf-8"))
    arrays = {
        name: np.load(path.with_suffix(f".{number}.npy"), allow_pickle=False)
        for number, name in enumerate(told.pop("arrays"))
    }
    return told, arrays
