"""Slim files for microcontrollers: without what no runtime reads.

Of a small network, most of the file isn't weights: names of tensors, versions of the converter,
signatures, entries for data that isn't there, and equal lists written once for each tensor (the
zero points of weights and biases, shapes). Each cut is kept only if the answers stay
bit-identical in LiteRT, with and without its default delegate, and in TensorFlow Lite Micro.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfticket.export import flatbuffer
from tfticket.export.flatbuffer import indices, is_constant, tensors
from tfticket.export.micro import has_micro, run_on_micro
from tfticket.export.runtime import Arrays, Examples, Loaded

_EXAMPLES = 10


@dataclass(frozen=True)
class Slimmed:
    """A file without what no runtime reads.

    Attributes:
        content: The whole file; never larger than it was.
        saved_bytes: How much smaller it is.
        dropped: What was left out, in words.
        runtimes: Where its answers were found bit-identical.
    """

    content: bytes
    saved_bytes: int
    dropped: tuple[str, ...]
    runtimes: tuple[str, ...]

    def summary(self) -> str:
        """Return what was saved, in a sentence."""
        if not self.saved_bytes:
            return "Nothing could be left out of the file."
        before = len(self.content) + self.saved_bytes
        where = " and ".join(self.runtimes)
        return (
            f"Slimmed from {before:,} to {len(self.content):,} bytes with bit-identical answers "
            f"in {where}."
        )


def slim(content: bytes, x: Arrays | Examples, *, source: str = "The file") -> Slimmed:
    """Leave out of a file what no runtime reads.

    Args:
        content: The whole file.
        x: Examples as the Keras model takes them, shape (n, ...), n at least 1; of several inputs
            in their order. The first ten are run.
        source: What to call the file in an error.

    Returns:
        The slim file. Names of tensors and provenance are gone: the report beside the file has
        them (see `read_provenance`).

    Raises:
        ExportError: when the file doesn't run as it is.
    """
    x = Examples.of(x).first(_EXAMPLES)
    expected = _answers(content, x, source)

    def agrees(cuts: Mapping[str, Cut]) -> bytes | None:
        made = cut_all(content, cuts, source=source)
        found = _answers(made, x, source)
        same = (map(np.array_equal, found[name], expected[name]) for name in found)
        return made if all(map(all, same)) else None

    kept = dict(_CUTS)
    made = agrees(kept)
    if made is None:  # one of them is read after all: keep those that aren't
        kept = {name: cut for name, cut in _CUTS.items() if agrees({name: cut}) is not None}
        made = agrees(kept)
    if made is None or len(made) >= len(content):
        return Slimmed(content, 0, (), tuple(expected))
    return Slimmed(made, len(content) - len(made), (*kept, "repeated lists"), tuple(expected))


def _answers(content: bytes, x: Examples, source: str) -> dict[str, list[np.ndarray]]:
    """Answers by runtime, bit by bit, output by output."""
    ways = [Loaded(content, source=source, delegate=d).run_all(x) for d in (True, False)]
    found = {"LiteRT": [output for way in ways for output in way]}
    if has_micro():
        answers = run_on_micro(content, x, source=source, floats=True).outputs
        found["TensorFlow Lite Micro"] = list(answers) if isinstance(answers, tuple) else [answers]
    return found


Cut = Callable[[Any], None]
"""Leaves something out of a `ModelT`, in place."""


def _without_metadata(model: Any) -> None:
    for entry in model.metadata or []:
        model.buffers[entry.buffer].data = None
    model.metadata = model.metadataBuffer = model.description = model.signatureDefs = None


def _without_names(model: Any) -> None:
    """Leave out all names but those that tell several inputs or outputs apart."""
    first = model.subgraphs[0]
    several = max(len(first.inputs), len(first.outputs)) > 1
    ends = {*indices(first.inputs), *indices(first.outputs)} if several else set()
    for graph in model.subgraphs:
        graph.name = None
        for number, tensor in enumerate(graph.tensors):
            if graph is not first or number not in ends:
                tensor.name = None


def _without_ranges(model: Any) -> None:
    for tensor in tensors(model):
        if tensor.quantization is not None:
            tensor.quantization.min = tensor.quantization.max = None
            if not _has(tensor.quantization.scale):
                tensor.quantization = None


def _without_empty_buffers(model: Any) -> None:
    """Let everything that is computed share the first buffer, which is empty by convention."""
    for tensor in tensors(model):
        if not is_constant(model, tensor):
            tensor.buffer = 0
    used = sorted({0, *(tensor.buffer for tensor in tensors(model))})
    places = {old: new for new, old in enumerate(used)}
    model.buffers = [model.buffers[old] for old in used]
    for tensor in tensors(model):
        tensor.buffer = places[tensor.buffer]


def _has(numbers: Any) -> bool:
    return numbers is not None and len(numbers) > 0


_CUTS: Mapping[str, Cut] = {
    "metadata and signatures": _without_metadata,
    "names of tensors": _without_names,
    "ranges of the calibration": _without_ranges,
    "entries for data that isn't there": _without_empty_buffers,
}


def cut_all(content: bytes, cuts: Mapping[str, Cut] = _CUTS, *, source: str = "The file") -> bytes:
    """Make cuts without looking at what the file answers then: what `slim` makes of most files.

    Args:
        content: The whole file.
        cuts: The cuts; all of them if not given.
        source: What to call the file in an error.
    """
    parsed = flatbuffer.parse(content, source=source)
    for cut in cuts.values():
        cut(parsed)
    return flatbuffer.pack(parsed, shared=True)
