"""`check_file`: verify a `.tflite` file of any origin before it is shipped."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from tfticket.display.words import plural
from tfticket.export import flatbuffer, foreign, latency
from tfticket.export.contents import check_hazards
from tfticket.export.flatbuffer import Sizes, State
from tfticket.export.inspect.data import Given, arrays_of, given_to, labelled, named
from tfticket.export.inspect.delegates import Feed, Ways, custom_operators, run_signature
from tfticket.export.inspect.runtimes import Answers, compare_runtimes
from tfticket.export.labels import Labels, Quality
from tfticket.export.metadata import beside, provenance_of
from tfticket.export.micro import Arena, arena_of
from tfticket.export.runtime import TensorSpec

_SECONDS = 6.0  # on random inputs
_SECONDS_AN_EXAMPLE = 0.25
_SLOW = 5e4  # microseconds an inference, from which runtimes are compared on one input
_TIMES_SLOWER = 200
_NAMED = 5


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
        delegate_differences: The same for each output, in their order.
        accuracy: Share of labels it gets right; None without labels, and for numbers; the mean
            where several outputs have labels.
        error: Root mean square error in the unit of the labels, where they are numbers; None where
            several outputs have labels.
        qualities: Accuracy or error of each output that has labels, by name.
        states: What it keeps from one inference to the next, as `(name, bytes)`. Inputs were given
            as steps of one stream then, and it was loaded anew before the first.
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
    delegate_differences: tuple[float, ...]
    accuracy: float | None
    error: float | None
    microseconds: float
    host: str
    provenance: Mapping[str, Any] | None
    qualities: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    states: tuple[State, ...] = ()
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
    raw: Given | None = None,
    y: Given | None = None,
    timeout: float | None = None,
    runtimes: bool = False,
    target: Literal["micro"] | None = None,
) -> FileCheck:
    """Run a file with and without the default delegate, and look for what is known to go wrong.

    It runs in a process of its own, so that a file that ends it ends nothing else. Inputs may be
    several, of any type and with any batch; a batch of unknown size is 1, and other sides of
    unknown length are those of several common ones that run. A file that keeps a state is given
    its inputs as one stream.

    Args:
        path: The file; it may be of any origin.
        raw: Examples as the data set has them, shape (n, ...). They are brought to the file's input
            as its metadata says, or the report beside a slim file: it must be made by tfticket. Of
            a file of any origin an array for each input by its name, in the numbers that it takes;
            those by names of outputs are labels.
        y: Their labels: see `Labels.of`; of several outputs, as many as have labels, by name.
        timeout: Seconds that it may compute; by default 15, and 2 for each MiB of the file, and
            a quarter for each example.
        runtimes: Also compare the answers of the default delegate, of the reference kernels and of
            TensorFlow Lite Micro (where it is installed) on five of the inputs, and name the first
            operator whose results differ.
        target: `micro` also checks that TensorFlow Lite Micro runs it, tells the arena that it
            takes, and notes what isn't int8 in it.

    Returns:
        What was found.

    Raises:
        ExportError: when the file can't be read, is damaged, doesn't run, gives no finite answers,
            answers differently with and without the delegate, or has a storage that is known to
            crash or to be silently wrong somewhere; when the target can't run it, with why.

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
    arrays = {} if raw is None else arrays_of(raw, y)
    options = {"provenance": beside(path, content)}
    request = foreign.Request([(f"`{path}`", content)], options, arrays)
    if timeout is None:
        examples = max(map(len, arrays.values()), default=0)
        timeout = request.seconds + _SECONDS_AN_EXAMPLE * examples
    answer = foreign.ask(check_in_child, request, timeout=timeout)
    found, source = answer.value, request.source
    arena = arena_of(content, source=source) if target == "micro" else None
    slow = found["microseconds"] > _SLOW
    feeds = _feeds(answer)[: 1 if slow else None]
    # Reference kernels are slow, and results inside are looked up in other runs.
    limit = timeout + _TIMES_SLOWER * found["microseconds"] * 1e-6 * len(feeds)
    micro_notes = found.pop("micro_notes")
    return FileCheck(
        **{
            **found,
            "path": path,
            "sizes": Sizes.of(content),
            "takes": tuple(TensorSpec.of(each) for each in found["takes"]),
            "gives": tuple(TensorSpec.of(each) for each in found["gives"]),
            "tensors": tuple(TensorZeros(**each) for each in found["tensors"]),
            "delegate_differences": tuple(found["delegate_differences"]),
            "states": tuple(State(*each) for each in found["states"]),
            "notes": (*found["notes"], *(() if arena is None else micro_notes)),
            "runtimes": tuple(
                replace(each, outputs=tuple(spec["name"] for spec in found["gives"]))
                for each in compare_runtimes(content, feeds, source=source, timeout=limit)
            )
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
    notes += _signature_notes(content, parsed, source)
    notes += _archive_notes(content)
    given, labels = (named(request.arrays, what) for what in ("raw.", "y."))
    specs = ways.fast.inputs
    takes, gives = ({spec.name for spec in ends} for ends in (specs, ways.fast.outputs))
    labels |= {name: given.pop(name) for name in list(given) if name in gives - takes}
    if given:
        seen = ways.on(given_to(specs, given, provenance, source), keep=bool(labels))
    else:
        seen = ways.on_random(_SECONDS)
    notes += _state_notes(ways, seen.feeds)
    if seen.constant and not given:
        notes.append(
            "All random inputs got the same answer, so that a run on them says little: check it on "
            "data."
        )
    qualities: dict[str, Quality] = {}
    for name, outputs, right in labelled(ways.fast.outputs, seen.outputs, labels, source):
        known = Labels.of(right, outputs, f"y[{name!r}]" if len(labels) > 1 else "y")
        qualities[name] = known.quality(outputs)
        of = f"The file at `{name}`" if len(labels) > 1 else "The file"
        notes += filter(None, [known.chance_note(qualities[name], of=of)])
    accuracies = [
        quality.accuracy for quality in qualities.values() if quality.accuracy is not None
    ]
    errors = [quality.error for quality in qualities.values() if quality.error is not None]
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
            "inputs": "given" if given else "random",
            "count": seen.count,
            "delegate_difference": max(seen.differences, default=0.0),
            "delegate_differences": seen.differences,
            "accuracy": fmean(accuracies) if accuracies else None,
            "error": errors[0] if len(qualities) == len(errors) == 1 else None,
            "qualities": {name: asdict(quality) for name, quality in qualities.items()},
            "states": [[state.name, state.size_bytes] for state in ways.states],
            "microseconds": timed.microseconds,
            "host": timed.host,
            "provenance": provenance,
            "notes": notes,
            "micro_notes": _micro_notes(parsed),
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
            "what makes them, and a microcontroller takes them as long as the file says."
        )
    if side is not None:
        yield (
            f"It takes sides of unknown length; beside the batch they were taken for {side}. "
            "Build the model with all sides given where they are known."
        )


def _signature_notes(content: bytes, parsed: Any, source: str) -> Iterator[str]:
    """Run the graphs of other signatures too, and say which are which."""
    found = {s.signatureKey.decode(): s.subgraphIndex for s in parsed.signatureDefs or ()}
    if len(set(found.values())) < 2:
        return
    first = [key for key, graph in found.items() if graph == 0]
    apart = []
    for key, graph in found.items():
        if graph != 0:
            difference = run_signature(content, key, source=source)
            apart.append(f"`{key}` ({difference:.2g})")
    yield (
        f"It has {len(found)} signatures with graphs of their own. What is told is of "
        f"`{', '.join(first)}`. The others ran too; with the default delegate and without, their "
        f"answers differ by this share of their range: {', '.join(apart)}."
    )


def _archive_notes(content: bytes) -> Iterator[str]:
    """Name the files that are carried behind the model, such as labels."""
    names: list[str] = []
    broken = contextlib.suppress(zipfile.BadZipFile, OSError, ValueError)
    with broken, zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()[:_NAMED]
    if names:
        shown = ", ".join(name if name.isprintable() else repr(name) for name in names)
        yield f"It carries other files for programs, which no runtime reads: {shown}."


def _state_notes(ways: Ways, feeds: Sequence[Feed]) -> Iterator[str]:
    """Say what a file keeps between inferences, and how it was run for that."""
    if not ways.states or not feeds:
        return
    size = sum(state.size_bytes for state in ways.states)
    again = "otherwise" if ways.remembers(feeds[0]) else "alike"
    yield (
        f"It keeps a state between inferences: {plural(len(ways.states), 'variable')} of {size:,} "
        "bytes. Its inputs were given as steps of one stream, from a file loaded anew, which "
        "begins with the same answers each time. The same input is answered "
        f"{again} the second time."
    )


def _micro_notes(parsed: Any) -> list[str]:
    """List what runs in TensorFlow Lite Micro but is a poor fit for a microcontroller."""
    graph = flatbuffer.graphs(parsed)[0]
    written = [{flatbuffer.type_name(t) for t in graph.written(o)} for o in graph.operators]
    floats, notes = sum("FLOAT32" in types for types in written), []
    if floats:
        notes.append(
            f"TensorFlow Lite Micro runs it, but with floats, in {floats} of "
            f"{plural(len(written), 'operator')}: they take four times the memory of int8, and on "
            "many microcontrollers far more time."
        )
    dynamic = [t for t in graph.given if -1 in _sides(t)[1:] or _is_series(t)]
    if dynamic:
        shapes = ", ".join(str(list(flatbuffer.shape_of(tensor))) for tensor in dynamic)
        notes.append(
            f"TensorFlow Lite Micro has run it with the sides that the file stores, {shapes}; the "
            "arena is that of these."
        )
    return notes


def _is_series(tensor: Any) -> bool:
    """Tell whether a tensor is a series of unknown length, and no batch of anything."""
    return _sides(tensor) == [-1]


def _sides(tensor: Any) -> list[int]:
    """The sides of a tensor, -1 for those of unknown length; none where all are known."""
    return [] if tensor.shapeSignature is None else [int(side) for side in tensor.shapeSignature]


def check_lines(seen: FileCheck) -> list[str]:
    """Return the findings as lines for a terminal."""
    sizes = seen.sizes
    lines = [
        f"{seen.path}: passed",
        f"bytes      {sizes.raw:,}, {sizes.gzip:,} after gzip, {sizes.zstd:,} after zstd",
        f"takes      {_specs(seen.takes)}, gives {_specs(seen.gives)}",
        f"operators  {', '.join(f'{count} {name}' for name, count in seen.operators.items())}",
        f"run on     {seen.count:,} {seen.inputs} inputs, with the default delegate and without; "
        f"their answers differ by {_apart(seen)} of their range at most",
        f"time       {seen.microseconds:,.1f} us on {seen.host}; says nothing of another device",
    ]
    if seen.accuracy is not None:
        lines.append(f"accuracy   {seen.accuracy:.2%}")
    if len(seen.qualities) > 1:
        lines += [f"           {line}" for line in _by_output(seen)]
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
    names = [f" `{spec.name}`" if len(specs) > 1 and spec.name else "" for spec in specs]
    each = (f"{s.dtype} {list(s.shape)}{name}" for s, name in zip(specs, names, strict=True))
    return " and ".join(each) or "nothing"


def _apart(seen: FileCheck) -> str:
    """The largest difference, and for several outputs where it is."""
    largest = f"{seen.delegate_difference:.2g}"
    if len(seen.gives) < 2 or not seen.delegate_difference:
        return largest
    place = seen.delegate_differences.index(seen.delegate_difference)
    return f"{largest} (`{seen.gives[place].name}`)"


def _by_output(seen: FileCheck) -> Iterator[str]:
    for name, quality in seen.qualities.items():
        if quality["accuracy"] is not None:
            yield f"`{name}`: {quality['accuracy']:.2%}"
        else:
            yield f"`{name}`: error {quality['error']:.4g}"
