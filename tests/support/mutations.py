"""Damage to bytes, text, plain values, arrays and archives, drawn from a `random.Random`."""

from __future__ import annotations

import copy
import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tfticket.files import digest

NUMBERS = (
    0, 1, -1, 2, 3, 7, 255, 256, 1000, 10**6, 2**31, 2**63, 2**64 + 1, 10**30, 10**4000, -(2**40),
    0.5, -0.5, 1.0, 1e-300, 1e300, math.inf, -math.inf, math.nan,
)  # fmt: skip
TEXTS = (
    "", " ", "x", "0", "1e5", "nan", "None", "../../precious.txt", "/etc/passwd", "a/b", ".", "..",
    "*", "\0", "\x1b[2J", "ä", "\u202e", "\ud800", "=1+1", "{}", "ticket", "dense", "x" * 5000,
)  # fmt: skip
EVIL = (
    {"class_name": "function", "module": "evilmod", "config": "run", "registered_name": "run"},
    {"class_name": "Evil", "module": "evilmod", "config": {}, "registered_name": None},
    {"class_name": "__lambda__", "config": {"value": "4wAAAAAAAAAA", "closure": None}},
    {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"},
    {"class_name": "function", "module": "keras.utils", "config": "get_file"},
)


def nested(depth: int, *, key: str | None = None) -> Any:
    """Lists, or tables, inside one another."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if key is None else {key: value}
    return value


def value(rng: Random) -> Any:
    """Something that nobody asked for."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 5:
        return rng.choice(TEXTS)
    if kind == 5:
        return copy.deepcopy(rng.choice((None, True, False, [], {}, [[]], [{}], [0] * 1000)))
    if kind == 6:
        return copy.deepcopy(rng.choice(EVIL))
    return nested(rng.choice((5, 90, 300)), key=rng.choice((None, "a")))


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Each container with each of its keys or indices."""
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each))
        for key in keys:
            yield each, key
            if isinstance(each[key], dict | list):
                waiting.append(each[key])


def damaged_tree(rng: Random, tree: Any) -> Any:
    """A copy of plain values with one to three changes."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        found = list(places(tree)) if isinstance(tree, dict | list) else []
        if not found or rng.random() < 0.02:
            return value(rng)
        holder, key = rng.choice(found)
        kind = rng.randrange(7)
        if kind < 3:
            holder[key] = value(rng)
        elif kind == 3:
            del holder[key]
        elif kind == 4:
            other, at = rng.choice(found)
            with_other = copy.deepcopy(other[at]) if _holds(other, at) else None
            holder[key] = with_other
        elif kind == 5 and isinstance(holder[key], int | float) and holder[key] is not True:
            holder[key] = rng.choice((-holder[key], holder[key] * 1000, holder[key] + 1, 0))
        elif isinstance(holder, dict):
            holder[rng.choice((f"{key}_", "name", "config", "x" * 300))] = holder.pop(key)
        else:
            holder.insert(key, copy.deepcopy(holder[key]))
    return tree


def _holds(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def damaged_bytes(rng: Random, content: bytes) -> bytes:
    """Bytes with one to sixteen changes, or cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not data:
            return bytes(rng.randrange(256) for _ in range(rng.randrange(64)))
        at, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 64))
        kind = rng.randrange(9)
        if kind < 3:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 3:
            data[at : at + length] = bytes(rng.randrange(256) for _ in range(length))
        elif kind == 4:
            data[at : at + length] = rng.choice((b"\0", b"\xff", b"\x7f")) * length
        elif kind == 5:
            del data[at : at + length]
        elif kind == 6:
            data[at:at] = data[at : at + length] * rng.choice((1, 2, 100))
        elif kind == 7:
            data[at : at + 8] = rng.choice((2**31, 2**62, 2**32 - 1, 10**9)).to_bytes(8, "little")
        elif rng.random() < 0.5:
            del data[at:]
    return bytes(data)


def damaged_json(rng: Random, content: bytes) -> bytes:
    """JSON with other values, or that is none any more."""
    kind = rng.randrange(10)
    if kind == 0:
        return damaged_bytes(rng, content)
    if kind == 1:
        return rng.choice((b"", b"null", b"[" * 100_000, b'{"a":' * 5000, b"9" * 5000, b"\xff\xfe"))
    tree = damaged_tree(rng, json.loads(content))
    try:
        return json.dumps(tree).encode()
    except ValueError:  # a number of more digits than Python writes
        return b'{"kind": ' + b"9" * 5000 + b"}"


def damaged_csv(rng: Random, content: bytes) -> bytes:
    """A table with other cells or lines."""
    lines = content.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, kind = rng.randrange(len(lines)), rng.randrange(6)
        cells = lines[at].split(",")
        if kind < 3:
            cells[rng.randrange(len(cells))] = str(
                rng.choice((*NUMBERS[:13], *NUMBERS[16:], *TEXTS))
            )
            lines[at] = ",".join(cells)
        elif kind == 3:
            del lines[at : at + rng.choice((1, 2, 50))]
        elif kind == 4:
            lines.insert(at, lines[rng.randrange(len(lines))])
        else:
            return damaged_bytes(rng, content)
        if not lines:
            break
    return "\n".join(lines).encode(errors="surrogatepass")


def toml(tree: dict[str, Any]) -> str:
    """Tables as TOML, in one line a key; what TOML can't hold is written anyway."""
    try:
        return "".join(f"{json.dumps(key)} = {as_toml(each)}\n" for key, each in tree.items())
    except RecursionError:  # too deep for us; readers must bear it
        return "deep = " + "[" * 5000 + "]" * 5000 + "\n"


def as_toml(value: Any) -> str:
    """A value as TOML; what TOML can't hold is written anyway."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return as_text(value)
    return "null" if value is None else json.dumps(value)


def as_text(value: Any) -> str:
    """`str`, also of a number of more digits than Python writes."""
    huge = isinstance(value, int) and value.bit_length() > 10_000
    return "9" * 5000 if huge else str(value)


def archive(entries: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in entries.items():
            made.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    return file.getvalue()


def entries_of(path: Path) -> dict[str, bytes]:
    """Name to content of the entries of an archive."""
    with zipfile.ZipFile(path) as found:
        return {name: found.read(name) for name in found.namelist()}


def damaged_archive(rng: Random, entries: dict[str, bytes]) -> bytes:
    """An archive with damaged, missing, renamed or enormous entries."""
    entries = dict(entries)
    name = rng.choice(list(entries))
    kind = rng.randrange(6)
    if kind < 2:
        entries[name] = damaged_bytes(rng, entries[name])
    elif kind == 2:
        del entries[name]
    elif kind == 3:
        entries[rng.choice(("../../precious.txt", "/precious.txt", "x", ""))] = entries.pop(name)
    elif kind == 4:
        entries[name] += bytes(rng.choice((10, 2**20, 2**26)))
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    made = archive(entries, method=method)
    return damaged_bytes(rng, made) if kind == 5 else made


def bomb(entries: dict[str, bytes], size: int) -> bytes:
    """The archive with an entry that unpacks to `size` bytes of zeros."""
    file = io.BytesIO(archive(entries))
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as made,
        made.open("bomb.npy", "w") as out,
    ):
        for _ in range(size // 2**20):
            out.write(bytes(2**20))
    return file.getvalue()


def damaged_array(rng: Random, array: np.ndarray) -> np.ndarray:
    """An array of another type, shape or content."""
    kind = rng.randrange(8)
    if kind == 0:
        return array.astype(rng.choice(("f8", "i8", "u1", "bool", "U3", "S2", "c8", "f2")))
    if kind == 1:
        return array.ravel()[: rng.randrange(array.size + 1)]
    if kind == 2:
        return array.reshape((1, *array.shape))
    if kind == 3:
        return np.array(rng.choice((0, -1, 2**62, math.nan, math.inf)))
    if kind == 4:
        return np.zeros(rng.choice(((0,), (0, 5), (3, 0), (1,) * 20)), array.dtype)
    if kind == 5:
        return np.zeros(3, [("a", "f4"), ("b", "i8")])
    if kind == 6 and array.dtype.kind in "fiu" and array.size:
        other = array.copy()
        other.ravel()[rng.randrange(other.size)] = rng.choice((0, 1, 255, 100))
        return other
    return np.broadcast_to(np.array(rng.choice((-1, 1e300, 7)), "f8"), array.shape or (1,))


def damaged_arrays(rng: Random, entries: dict[str, bytes]) -> bytes:
    """A file of tfticket with other content and the hash of it, as a stranger would write it."""
    content = json.loads(entries["header.json"])
    arrays = {
        name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(data))
        for name, data in entries.items()
        if name.endswith(".npy")
    }
    for _ in range(rng.choice((1, 1, 2))):
        kind, names = rng.randrange(5), list(arrays)
        if kind < 2 and names:
            name = rng.choice(names)
            arrays[name] = damaged_array(rng, arrays[name])
        elif kind == 2 and names:
            name = rng.choice(names)
            arrays[rng.choice(names)] = arrays.pop(name)
        else:
            found = damaged_tree(rng, content)
            content = found if isinstance(found, dict) else content
    header = {k: v for k, v in content.items() if k not in ("kind", "sha256", "dtypes")}
    try:
        content["sha256"] = digest(arrays, header)
        text = json.dumps(content)
    except ValueError:  # a number of more digits than Python writes, or half a pair of surrogates
        text = '{"kind": "ticket", "level": ' + "9" * 5000 + "}"
    made = {"header.json": text.encode(errors="surrogatepass")}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
        made[f"{name}.npy"] = file.getvalue()
    return archive(made)
