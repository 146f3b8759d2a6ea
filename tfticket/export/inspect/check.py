"""`check_file`: is this `.tflite` file, whoever made it, safe to ship?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, foreign, latency
from tfticket.export.contents import check_hazards
from tfticket.export.flatbuffer import Sizes
from tfticket.export.inspect.delegates import Feed, Ways, custom_operators
from tfticket.export.inspect.runtimes import Answers, compare_runtimes
from tfticket.export.labels import Labels, check_numbers
from tfticket.export.metadata import beside, provenance_of
from tfticket.export.micro import Arena, arena_of
from tfticket.export.runtime import TensorSpec

_SECONDS = 6.0  # on random inputs
_SECONDS_AN_EXAMPLE = 0.25


@dataclass(frozen=True)
class TensorZeros:
    """Zeros of one constant tensor.

    Attributes:
        name: The tensor.
        size: How many numbers it has.
        zeros: How many are exactly zero.
    """

    name: str
    size: int
    zeros: int


@dataclass(frozen=True)
class FileCheck:
    """The findings of a file that passed.

    Attributes:
        path: The file.
        sizes: Its bytes, raw and compressed.
        takes: Its inputs, in the shapes that it was run with.
        gives: Its outputs.
        operators: How often each operator is in it.
        tensors: The zeros of each constant of two axes or more.
        inputs: Where the inputs were from: `given` or `random`.
        count: How many it was run on with the default delegate; at most 200 of them without, too.
        delegate_difference: Largest difference of an output between the two, relative to the range
            of the outputs.
        accuracy: Share of labels it gets right; None without labels, and for numbers.
        error: Root mean square error in the unit of the labels, where they are numbers.
        microseconds: Median time of an inference on `host`, with the default delegate.
        host: The processor.
        provenance: What tfticket wrote into the file; None for a foreign file.
        notes: What should be known of it, a sentence or two each.
        runtimes: How the answers of other runtimes compare with those of LiteRT's own kernels;
            empty unless asked for.
        arena: What TensorFlow Lite Micro took to run it; None unless asked for.
    """

    path: Path
    sizes: Sizes
    takes: tuple[TensorSpec, ...]
    gives: tuple[TensorSpec, ...]
    operators: Mapping[str, int]
    tensors: tuple[TensorZeros, ...]
    inputs: str
    count: int
    delegate_difference: float
    accuracy: float | None
    error: float | None
    microseconds: float
    host: str
    provenance: Mapping[str, Any] | None
    notes: tuple[str, ...] = ()
    runtimes: tuple[Answers, ...] = ()
    arena: Arena | None = None

    @property
    def input(self) -> TensorSpec | None:
        """The first input; None for a file that takes nothing."""
        return self.takes[0] if self.takes else None

    @property
    def output(self) -> TensorSpec | None:
        """The first output; None for a file that gives nothing."""
        return self.gives[0] if self.gives else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `input` and `output` are the first of each."""
        told = asdict(self)
        ends = {"input": told["takes"], "output": told["gives"]}
        first = {name: next(iter(specs), None) for name, specs in ends.items()}
        return {**told, **first, "path": str(self.path)}


def check_file(
    path: str | os.PathLike[str],
    *,
    raw: np.ndarray | None = None,
    y: np.ndarray | None = None,
    timeout: float | None = None,
    runtimes: bool = False,
    target: Literal["micro"] | None = None,
) -> FileCheck:
    """Run a file with and without the default delegate, and look for what is known to go wrong.

    It runs in a process of its own, so that a file that ends it ends nothing else. Inputs may be
    several, of any type and with any batch; a batch of unknown size is 1, and other sides of
    unknown length are those of several common ones that run.

    Args:
        path: The file; it may be of any origin.
        raw: Examples as the data set has them, shape (n, ...). They are brought to the file's input
            as its metadata says, or the report beside a slim file: it must be made by tfticket.
        y: Their labels: see `Labels.of`.
        timeout: Seconds that it may compute; by default 15, and 2 for each MiB of the file, and
            a quarter for each example.
        runtimes: Also compare the answers of the default delegate, of the reference kernels and of
            TensorFlow Lite Micro (where it is installed) on five of the inputs, and name the first
            operator whose results differ.
        target: `micro` also checks that TensorFlow Lite Micro runs it with int8 throughout, and
            tells the arena that it takes.

    Returns:
        What was found.

    Raises:
        ExportError: when the file can't be read, is damaged, doesn't run, gives no finite answers,
            answers differently with and without the delegate, or has a storage that is known to
            crash or to be silently wrong somewhere; when the target can't run it.

    Example:
        >>> import keras
        >>> from tfticket.export import to_tflite
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> report = to_tflite(model, "net.tflite")
        >>> check_file("net.tflite").operators
        {'FULLY_CONNECTED': 1}
    """
    path = Path(path)
    content = foreign.read_file(path)
    arrays = {}
    if raw is not None:
        arrays["raw"] = check_numbers(raw, "raw")
        if y is not None:
            arrays["y"] = check_numbers(y, "y")
    options = {"provenance": beside(path, content)}
    request = foreign.Request([(f"`{path}`", content)], options, arrays)
    if timeout is None:
        timeout = request.seconds + _SECONDS_AN_EXAMPLE * len(arrays.get("raw", ()))
    answer = foreign.ask(check_in_child, request, timeout=timeout)
    found, source = answer.value, request.source
    arena = arena_of(content, source=source) if target == "micro" else None
    return FileCheck(
        **{
            **found,
            "path": path,
            "sizes": Sizes.of(content),
            "takes": tuple(TensorSpec.of(each) for each in found["takes"]),
            "gives": tuple(TensorSpec.of(each) for each in found["gives"]),
            "tensors": tuple(TensorZeros(**each) for each in found["tensors"]),
            "notes": tuple(found["notes"]),
            "runtimes": compare_runtimes(content, _feeds(answer), source=source)
            if runtimes
            else (),
            "arena": arena,
        }
    )


def _feeds(answer: foreign.Answer) -> list[Feed]:
    """The first inputs that a file was checked on, as it stores them."""
    feeds: dict[str, Feed] = {}
    for name, array in answer.arrays.items():
        feeds.setdefault(name.partition(".")[0], []).append(array)
    return list(feeds.values())


def check_in_child(request: foreign.Request) -> foreign.Answer:
    """Check a file in a child: all that `check_file` finds but the sizes."""
    content, source = request.content, request.source
    parsed = flatbuffer.parse(content, source=source)
    provenance = provenance_of(parsed, source) or request.options.get("provenance")
    notes = [*check_hazards(parsed, source)]
    ways = Ways(content, parsed, source=source)
    notes += _notes(parsed, ways.side)
    raw, y = request.arrays.get("raw"), request.arrays.get("y")
    specs = ways.fast.inputs
    if raw is None:
        seen = ways.on_random(_SECONDS)
    else:
        feeds = _given(ways.fast.inputs, raw, provenance, source)
        seen = ways.on(feeds, keep=y is not None)
    quality = None
    if y is not None:
        outputs = np.concatenate(seen.outputs)
        labels = Labels.of(y, outputs, "y")
        quality = labels.quality(outputs)
        notes += filter(None, [labels.chance_note(quality, of="The file")])
    timed = latency.alone(ways.fast.invoke)
    return foreign.Answer(
        {
            "takes": [asdict(spec) for spec in ways.fast.inputs],
            "gives": [
                {**asdict(spec), "shape": shape}
                for spec, shape in zip(ways.fast.outputs, seen.shapes, strict=True)
            ],
            "operators": flatbuffer.operators(parsed),
            "tensors": [
                {"name": c.name, "size": c.values.size, "zeros": int(c.is_zero.sum())}
                for c in flatbuffer.constants(parsed)
                if c.values.ndim > 1
            ],
            "inputs": "random" if raw is None else "given",
            "count": seen.count,
            "delegate_difference": seen.difference,
            "accuracy": None if quality is None else quality.accuracy,
            "error": None if quality is None else quality.error,
            "microseconds": timed.microseconds,
            "host": timed.host,
            "provenance": provenance,
            "notes": notes,
        },
        {
            f"{number}.{place}": spec.quantize(array)
            for number, feed in enumerate(seen.feeds)
            for place, (spec, array) in enumerate(zip(specs, feed, strict=True))
        },
    )


def _notes(parsed: Any, side: int | None) -> Iterator[str]:
    """Say what limits the use of a file: custom operators, and sides of unknown length."""
    names = custom_operators(parsed)
    if names:
        yield (
            f"It has operators that not every runtime has: {', '.join(names)}. LiteRT for Python "
            "has them."
        )
    ends = list(map(id, flatbuffer.graphs(parsed)[0].ends))
    unknown = [t for t in flatbuffer.dynamic_tensors(parsed) if id(t) not in ends]
    if unknown:
        yield (
            f"{len(unknown)} tensors inside have sides of unknown length: delegates stay away from "
            "what makes them, and microcontrollers can't run the file."
        )
    if side is not None:
        yield (
            f"It takes sides of unknown length; beside the batch they were taken for {side}. "
            "Build the model with all sides given where they are known."
        )


def _given(
    specs: Sequence[TensorSpec], raw: np.ndarray, provenance: Mapping[str, Any] | None, source: str
) -> Iterator[Feed]:
    """The data as its own metadata says that the file takes it."""
    if provenance is None or len(specs) != 1:
        raise ExportError(
            f"{source} must say how raw data becomes its input to be tried on data. It holds no "
            "metadata of tfticket. Check it without data."
        )
    (given,) = specs
    if tuple(raw.shape[1:]) != given.shape[1:]:
        raise ExportError(
            f"The data must have examples of the shape that {source} takes, {given.shape[1:]}. "
            f"Received: {raw.shape[1:]}."
        )
    feeding = provenance["feeding"]
    scale, offset = np.asarray(feeding["scale"], np.float64), np.asarray(feeding["offset"])
    for example in raw:
        fed = example * scale + offset
        if given.scale is None or given.zero_point is None:
            yield [fed.astype(given.dtype)[None]]
        else:
            yield [((fed - given.zero_point) * given.scale)[None]]


def check_lines(seen: FileCheck) -> list[str]:
    """Return the findings as lines for a terminal."""
    sizes = seen.sizes
    lines = [
        f"{seen.path}: passed",
        f"bytes      {sizes.raw:,}, {sizes.gzip:,} after gzip, {sizes.zstd:,} after zstd",
        f"takes      {_specs(seen.takes)}, gives {_specs(seen.gives)}",
        f"operators  {', '.join(f'{count} {name}' for name, count in seen.operators.items())}",
        f"run on     {seen.count:,} {seen.inputs} inputs, with the default delegate and without; "
        f"their answers differ by {seen.delegate_difference:.2g} of their range at most",
        f"time       {seen.microseconds:,.1f} us on {seen.host}; says nothing of another device",
    ]
    if seen.accuracy is not None:
        lines.append(f"accuracy   {seen.accuracy:.2%}")
    if seen.error is not None:
        lines.append(f"error      {seen.error:.4g} (root mean square, in the unit of the labels)")
    lines += [f"runtime    {answers.summary()}" for answers in seen.runtimes]
    if seen.arena is not None:
        lines.append(f"arena      {seen.arena.summary()}")
    lines += [f"note       {note}" for note in seen.notes]
    lines += [
        f"zeros      {tensor.name}: {tensor.zeros:,} of {tensor.size:,}" for tensor in seen.tensors
    ]
    if seen.provenance is None:
        lines.append("origin     not made by tfticket, or rewritten since")
    else:
        about = seen.provenance
        made_by, format = (about.get(name, "unknown") for name in ("made_by", "format"))
        lines.append(f"origin     {made_by}, format {format}")
    return lines


def _specs(specs: Sequence[TensorSpec]) -> str:
    return " and ".join(f"{spec.dtype} {list(spec.shape)}" for spec in specs) or "nothing"
