"""Provenance of a file, in the entry `tfticket.provenance` of its metadata."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, foreign
from tfticket.files import REPORT_SUFFIX

_NAME = "tfticket.provenance"
_HASH = "buffers_sha256"
_KINDS: Mapping[str, type] = {"made_by": str, "format": str, "feeding": dict, "provenance": dict}


def embed(model: Any, provenance: Mapping[str, Any]) -> None:
    """Put provenance into a parsed file, in place of what was there before.

    A hash over all the data of the file is added, so that damage to the weights is found later.

    Args:
        model: A `ModelT`, from `flatbuffer.parse`.
        provenance: Anything JSON can hold; equal content gives equal bytes.
    """
    entry = _entry(model)
    if entry is None:
        model.buffers.append(schema.BufferT())
        entry = schema.MetadataT()
        entry.name = _NAME
        entry.buffer = len(model.buffers) - 1
        model.metadata = [*(model.metadata or []), entry]
    content = {**provenance, _HASH: _hash(model, entry.buffer)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    model.buffers[entry.buffer].data = np.frombuffer(text.encode(), np.uint8)


def read_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a `.tflite` file made by tfticket says about itself, or the report beside it does.

    A slim file holds nothing but what runtimes read; the report (`NAME.report.json`) counts for it
    if it names the hash of these bytes.

    Returns:
        Hashes of mask and weights, format, how to feed it, versions, and under `provenance` what
        the exporter was told.

    Raises:
        ExportError: when the file is missing, damaged, or was not made by tfticket.

    Example:
        >>> import keras
        >>> from tfticket.export import to_tflite
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> report = to_tflite(model, "net.tflite")
        >>> read_provenance("net.tflite")["format"]
        'fp32'
    """
    source = f"`{path}`"
    request = foreign.Request([(source, foreign.read_file(path))])
    found: dict[str, Any] | None = foreign.ask(read_in_child, request).value
    found = found or beside(path, request.content)
    if found is None:
        raise ExportError(
            f"{source} holds no provenance, so it was not exported by tfticket, or was rewritten "
            "since by a program that drops metadata."
        )
    return found


def beside(path: str | os.PathLike[str], content: bytes) -> dict[str, Any] | None:
    """Return the provenance in the report beside a file; None if there's none for these bytes."""
    try:
        told = json.loads(Path(path).with_suffix(REPORT_SUFFIX).read_text(encoding="utf-8"))
        about = told["provenance"]
        if told["sha256"] != hashlib.sha256(content).hexdigest() or not _is_provenance(about):
            return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return dict(about)


def _is_provenance(about: Any) -> bool:
    return isinstance(about, dict) and all(
        isinstance(about.get(name, kind()), kind) for name, kind in _KINDS.items()
    )


def read_in_child(request: foreign.Request) -> foreign.Answer:
    """Read the provenance of a file in a child."""
    parsed = flatbuffer.parse(request.content, source=request.source)
    return foreign.Answer(provenance_of(parsed, request.source))


def provenance_of(model: Any, source: str) -> dict[str, Any] | None:
    """Return what a parsed file says about itself; None when it was not made by tfticket.

    Raises:
        ExportError: when what it says, or its data, is damaged.
    """
    entry = _entry(model)
    if entry is None:
        return None
    try:
        provenance: dict[str, Any] = json.loads(bytes(model.buffers[entry.buffer].data))
        found = provenance.pop(_HASH)
        json.dumps(provenance, ensure_ascii=False).encode()  # text that can be written somewhere
        if not _is_provenance(provenance):
            raise TypeError(f"{', '.join(_KINDS)} have other types")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ExportError(f"The provenance in {source} is damaged ({error!r}).") from error
    if found != _hash(model, entry.buffer):
        raise ExportError(
            f"{source} is damaged or was changed since it was exported: its data doesn't have the "
            "hash that the file says. Copy it again from where it was made, or export it again."
        )
    return provenance


def _entry(model: Any) -> Any:
    names = {entry.name: entry for entry in model.metadata or []}
    return names.get(_NAME.encode(), names.get(_NAME))


def _hash(model: Any, left_out: int) -> str:
    sha = hashlib.sha256()
    for index, buffer in enumerate(model.buffers):
        data = b"" if buffer.data is None or index == left_out else bytes(buffer.data)
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()
