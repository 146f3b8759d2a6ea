"""Write files whole or not at all, and read and write arrays without pickle."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from tfticket.errors import RunError, TFTicketError, TicketError
from tfticket.reading import (
    UnreadableError,
    arrays_in,
    open_archive,
    parse_json,
    read_entry,
    read_json,
)

TEMPORARY_SUFFIX = ".partial"
REPORT_SUFFIX = ".report.json"
"""Of the report beside a `.tflite` file. `NAME.json` is left to whoever redirects `--json`."""

_HEADER = "header.json"
_DTYPES = "dtypes"
_BEGIN_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
_PLAIN = re.compile(r"[^/\\\0]+")

T = TypeVar("T")


def write_atomic(path: str | os.PathLike[str], write: Callable[[BinaryIO], None]) -> Path:
    """Write a file whole or not at all.

    The bytes go to a temporary name in the same folder, are synced, and take the final name in one
    step; then the folder is synced, so that the name survives a power cut too.

    Args:
        path: The final name; missing folders are made.
        write: Function that writes to the open binary file.

    Raises:
        RunError: when the file can't be written (a full disk, no permission). No temporary file is
            left then, and an older file of that name is unchanged.

    Example:
        >>> write_atomic("numbers.txt", lambda file: file.write(b"1 2 3")).read_text()
        '1 2 3'
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RunError(
            f"`{path}` could not be written: {error.strerror or error}. {free_space(path.parent)} "
            "Nothing was changed; make room or choose another place, and run the command again."
        ) from error
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_space(folder: Path) -> str:
    """Return a sentence on the free disk space at a folder, which need not exist."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return f"{shutil.disk_usage(folder).free / 2**20:,.0f} MiB are free there."


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write UTF-8 text by `write_atomic`."""
    return write_bytes(path, _utf8(text))


def _utf8(text: str) -> bytes:
    """Encode text, also with file names that aren't valid in the encoding of the system."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        with contextlib.suppress(UnicodeEncodeError):
            return text.encode(errors="surrogateescape").decode(errors="replace").encode()
        return text.encode(errors="replace")


def table_cell(text: str) -> str:
    """Escape text that a spreadsheet would take for a formula.

    A formula is computed when the table is opened, and can send data elsewhere. It gets a quote in
    front, which spreadsheets don't show; numbers stay numbers.

    Example:
        >>> [table_cell(text) for text in ("=1+1", "@SUM(A1)", "-0.5", "cat")]
        ["'=1+1", "'@SUM(A1)", '-0.5', 'cat']
    """
    if text[:1] not in _BEGIN_FORMULAS:
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write bytes by `write_atomic`."""

    def write(file: BinaryIO) -> None:
        file.write(content)

    return write_atomic(path, write)


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Write indented JSON by `write_atomic`."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_table(path: str | os.PathLike[str], *, remedy: str = "Restore it.") -> dict[str, Any]:
    """Read a table that `write_json` wrote.

    Args:
        path: The file.
        remedy: What to do if it can't be read: the end of the error.

    Raises:
        RunError: when it can't be read, isn't JSON, or isn't a table.
    """
    try:
        table = read_json(path)
    except UnreadableError as error:
        raise RunError(f"`{path}` is damaged: {error}. {remedy}") from error
    if not isinstance(table, dict):
        raise RunError(f"`{path}` must hold a table. Received: {type(table).__name__}. {remedy}")
    return table


@contextlib.contextmanager
def understood(files: str, remedy: str) -> Iterator[None]:
    """Raise one `RunError` for whatever unexpected content of files makes Python raise.

    Inside the block, code may rely on what tfticket writes. In a file that somebody changed,
    anything can be missing, of another type, or inconsistent. The message names the line of code,
    in case that the mistake is in tfticket.

    Args:
        files: Name of the files, at the beginning of the message.
        remedy: What to do, at its end.

    Raises:
        RunError: for any exception that isn't tfticket's own.
    """
    try:
        yield
    except (TFTicketError, OSError):
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise RunError(
            f"{files} don't fit together, or are of another version of tfticket: "
            f"{type(error).__name__} ({error!s:.200}) at {Path(place.filename).name}:"
            f"{place.lineno}. {remedy}"
        ) from error


def checked_name(name: Any, source: str | os.PathLike[str]) -> str:
    """Check a name from a file, which becomes part of a path and mustn't lead out of its folder.

    Args:
        name: The name.
        source: File that it is from, for the error.

    Raises:
        RunError: when it isn't text, is empty, or holds a `/`.
    """
    if not isinstance(name, str) or not _PLAIN.fullmatch(name) or name in (".", ".."):
        raise RunError(
            f"`{source}` names {name!r:.80} where it must name a file or folder, without `/`. It "
            "was changed; restore it."
        )
    return name


def remove_leftovers(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove and list the temporary files that killed writers left below `folder`."""
    leftovers = sorted(Path(folder).rglob(f"*{TEMPORARY_SUFFIX}"))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return leftovers


def write_arrays(
    path: str | os.PathLike[str], *, kind: str, header: dict[str, Any], arrays: Mapping[str, Any]
) -> Path:
    """Write named arrays and a JSON header as one `.npz`, with a hash of its content.

    Equal content gives equal bytes: names are sorted and the archive has no time stamps.

    Args:
        path: The file to write.
        kind: Kind of the file (`ticket`, `snapshot`), which `read_arrays` checks.
        header: Values that JSON can hold.
        arrays: Name to array; no object arrays.
    """
    arrays = {name: np.asarray(arrays[name]) for name in sorted(arrays)}
    header = json.loads(_utf8(json.dumps(header, ensure_ascii=False)))
    content = {"kind": kind, "sha256": digest(arrays, header), _DTYPES: _extended(arrays), **header}

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(zipfile.ZipInfo(_HEADER), json.dumps(content, indent=1))
            for name, array in arrays.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)

    return write_atomic(path, write)


def read_arrays(
    path: str | os.PathLike[str], *, kind: str, prefix: str = ""
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_arrays` wrote, and check its hash.

    Args:
        path: The file to read.
        kind: Expected kind of the file.
        prefix: Read only arrays whose names begin with it; then only the checksums of the archive
            are checked, not that the file is complete.

    Returns:
        The header (with `sha256`) and the arrays by name.

    Raises:
        TicketError: when the file is missing, damaged, truncated, or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise TicketError(f"A {kind} file must exist to be read. Received: {path}, no such file.")
    try:
        with open_archive(path) as archive:
            header = parse_json(read_entry(archive, _HEADER))
            if not isinstance(header, dict) or header.get("kind") != kind:
                found = header.get("kind") if isinstance(header, dict) else header
                raise TicketError(
                    f"`{path}` must be a {kind} file. Received: a file of kind {found!r:.80}."
                )
            arrays = dict(arrays_in(archive, prefix))
        found, extended = header.pop("sha256", None), header.pop(_DTYPES, {})
        del header["kind"]
        arrays = {name: _viewed(array, extended.get(name)) for name, array in arrays.items()}
    except (UnreadableError, AttributeError, TypeError, ValueError) as error:
        raise TicketError(
            f"`{path}` is not a {kind} file of tfticket, or it is damaged ({error}). "
            "Copy it again from where it was made, or make it again."
        ) from error
    expected = digest(arrays, header)
    if found != expected and not prefix:
        raise TicketError(
            f"`{path}` is damaged: its content has the hash {expected[:12]}..., but the file says "
            f"{str(found)[:12]}... Copy it again from where it was made, or make it again."
        )
    return {**header, "sha256": found}, arrays


def load_arrays(
    path: str | os.PathLike[str],
    decode: Callable[[dict[str, Any], dict[str, np.ndarray]], T],
    *,
    kind: str,
    holds: str,
    prefix: str = "",
) -> T:
    """Read what `write_arrays` wrote, and decode it.

    The hash shows that a file is complete, not that its content is valid: anybody can compute one.

    Args:
        path: The file to read.
        decode: Makes the value from header and arrays. It may rely on their types: whatever Python
            or numpy raise for wrong ones becomes one error.
        kind: Expected kind of the file; see `read_arrays`.
        holds: Expected content in words, for the error: "a mask and the weights it keeps".
        prefix: See `read_arrays`.

    Raises:
        TicketError: when the file can't be read or decoded.
    """
    header, arrays = read_arrays(path, kind=kind, prefix=prefix)
    try:
        return decode(header, arrays)
    except Exception as error:  # whatever wrong types and sizes make Python and numpy raise
        reason = str(error) if isinstance(error, TFTicketError) else repr(error)
        raise TicketError(f"`{path}` must hold {holds}. It doesn't: {reason:.300}") from error


def whole_number(value: Any, name: str) -> int:
    """Check a count in a header; raises `ValueError` unless it is an integer of at least 0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or value < 0:
        raise ValueError(f"`{name}` is {value!r:.80} and not a whole number of at least 0")
    return value


def numbers(array: np.ndarray, name: str) -> np.ndarray:
    """Check that an array of a file holds numbers; raises `TypeError` otherwise."""
    # bfloat16 and the like are of the kind V too, as are nameless bytes.
    if array.dtype.kind not in "biufcV" or array.dtype.type is np.void:
        raise TypeError(f"`{name}` holds {array.dtype} and not numbers")
    return array


def _extended(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Name the dtypes from outside numpy, such as bfloat16, which it stores as nameless bytes."""
    return {name: array.dtype.name for name, array in arrays.items() if array.dtype.kind == "V"}


def _viewed(array: np.ndarray, dtype: str | None) -> np.ndarray:
    return array if dtype is None else array.view(np.dtype(dtype))


def digest(arrays: Mapping[str, np.ndarray], header: Any = None) -> str:
    """Compute the SHA-256 of names, dtypes, shapes and bytes of arrays, and of a JSON header.

    Example:
        >>> digest({"a": np.zeros(2)}) == digest({"a": np.zeros(2)}) != digest({"a": np.ones(2)})
        True
    """
    sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
