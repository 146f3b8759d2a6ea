"""A file in several runtimes: how far their answers are apart, and where they part.

The reference is LiteRT's own kernels without a delegate. Held against it are the default delegate
(XNNPACK), the reference kernels of LiteRT, and TensorFlow Lite Micro. Where answers differ, the
results of all operators are compared in their order, and the first that differ name the operator.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfticket.errors import ExportError
from tfticket.export import flatbuffer, foreign
from tfticket.export.flatbuffer import Graph, graphs, indices, name_of, shape_of, type_name
from tfticket.export.micro import has_micro, with_reasons
from tfticket.export.micro_rules import obstacles
from tfticket.quiet import quiet

DELEGATE, REFERENCE, MICRO = "default delegate", "reference kernels", "TensorFlow Lite Micro"

_MOST_BYTES = 2**29  # of all files that end behind one of the operators
_FEWEST_ARENA_BYTES = 2**16
_HANDLES = frozenset({"RESOURCE", "VARIANT"})
_ROUNDING = 1e-5  # of floats, relative to the range of a tensor

Feed = Sequence[np.ndarray]
"""One array an input as the file stores it, with the batch."""
Results = Mapping[int, np.ndarray]
"""Tensors as they are stored, by number."""
Run = Callable[[bytes, Any, Sequence[Feed]], list[Results]]
"""Runs a file, given as bytes and parsed, on feeds."""


@dataclass(frozen=True)
class Answers:
    """The answers of a runtime, held against LiteRT's own kernels without a delegate.

    Attributes:
        runtime: `default delegate`, `reference kernels` or `TensorFlow Lite Micro`.
        differences: The largest difference of each output: in units of its last place where it is
            quantized (1 is rounding), and relative to its range where it holds floats; empty where
            the file wasn't run.
        first: The first operator whose result differs, as `CONV_2D 3`, the fourth operator of the
            file; None where all answers are equal (floats: to 1e-5 of the range of a tensor), or no
            single operator is found.
        refusal: Why it wasn't run; None where it was.
        outputs: The names of the outputs.
    """

    runtime: str
    differences: tuple[float, ...] = ()
    first: str | None = None
    refusal: str | None = None
    outputs: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return the largest differences in a sentence, or why there are none."""
        if self.refusal is not None:
            return f"{self.runtime}: not run: {self.refusal}"
        if not any(self.differences):
            return f"{self.runtime}: the same answers"
        shown = ", ".join(map(_shown, self.differences))
        if len(self.outputs) > 1:
            pairs = zip(self.outputs, self.differences, strict=True)
            shown = ", ".join(f"{_shown(found)} at `{name}`" for name, found in pairs if found)
        where = f", first at {self.first}" if self.first else ""
        return f"{self.runtime}: answers differ by {shown}{where}"


def _shown(difference: float) -> str:
    """Units are whole numbers; what is relative to a range isn't."""
    if not difference:
        return "nothing"
    if not np.isfinite(difference):
        return "more than can be told"
    if difference.is_integer():
        return f"{difference:.0f} unit{'s' * (difference > 1)} of the last place"
    return f"{difference:.2g} of its range"


def compare_runtimes(
    content: bytes, feeds: Sequence[Feed], *, source: str, timeout: float | None = None
) -> tuple[Answers, ...]:
    """Run a file in all runtimes that are here.

    A state that it keeps begins anew in each, and the inputs follow one another.

    Args:
        content: The whole file, of any origin: each runtime gets a process of its own.
        feeds: Inputs as the file stores them, one at least.
        source: What to call the file in an error.
        timeout: Seconds that each may compute; by default 15, and 2 for each MiB.

    Raises:
        ExportError: when LiteRT's own kernels can't run it.
    """
    arrays = {
        f"{number}.{place}": array
        for number, feed in enumerate(feeds)
        for place, array in enumerate(feed)
    }

    def ask(runtime: str) -> Answers:
        request = foreign.Request([(source, content)], {"runtime": runtime}, arrays)
        try:
            told = foreign.ask(compare_in_child, request, where=runtime, timeout=timeout).value
        except ExportError as error:
            return Answers(runtime, refusal=str(error).splitlines()[0])
        return Answers(
            runtime, tuple(told["differences"]), told["first"], outputs=tuple(told["outputs"])
        )

    return tuple(map(ask, [DELEGATE, REFERENCE, *([MICRO] if has_micro() else [])]))


def compare_in_child(request: foreign.Request) -> foreign.Answer:
    """Compare a runtime with the plain kernels in a child."""
    fed: dict[str, list[np.ndarray]] = {}
    for name, array in request.arrays.items():
        fed.setdefault(name.partition(".")[0], []).append(array)
    feeds, content = list(fed.values()), request.content
    parsed = flatbuffer.parse(content, source=request.source)
    graph = graphs(parsed)[0]
    expected = _plain(content, parsed, feeds)
    runtime = _RUNTIMES[request.options["runtime"]]
    results = runtime.run(content, parsed, feeds)
    outputs = indices(graph.graph.outputs)
    differences = [_largest(number, expected, results) for number in outputs]
    first = None
    if any(differences):
        inside = results if runtime.inside is None else runtime.inside(content, parsed, feeds)
        first = _first(graph, expected, inside)
    names = [name_of(graph.tensor(number)) for number in outputs]
    return foreign.Answer({"differences": differences, "first": first, "outputs": names})


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return how far two results of a tensor are apart.

    Args:
        ours: As it is stored.
        theirs: The same from another runtime.

    Returns:
        Units of the last place for integers; for floats the largest difference, relative to the
        range of `ours`, 0 if that is mere rounding. Infinite where shapes differ or one isn't
        finite.
    """
    if ours.shape != theirs.shape:
        return float("inf")
    if not ours.size:
        return 0.0
    if ours.dtype.kind != "f":
        return float(np.abs(ours.astype(np.int64) - theirs.astype(np.int64)).max())
    if not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return float("inf")
    ours, theirs = np.nan_to_num(ours), np.nan_to_num(theirs)
    span = max(float(np.ptp(ours)), float(np.abs(ours).max()), float(np.finfo(np.float32).tiny))
    found = float(np.abs(ours.astype(np.float64) - theirs).max()) / span
    return found if found > _ROUNDING else 0.0


def _largest(number: int, expected: Sequence[Results], results: Sequence[Results]) -> float:
    pairs = zip(expected, results, strict=True)
    return max(difference(a[number], b[number]) for a, b in pairs)


def _first(graph: Graph, expected: Sequence[Results], results: Sequence[Results]) -> str | None:
    """Return the first operator whose results differ, among those that are known."""
    for place, operator in enumerate(graph.operators):
        known = [n for n in indices(operator.outputs) if results and n in results[0]]
        if any(_largest(number, expected, results) for number in known):
            return f"{graph.name(operator)} {place}"
    return None


def _kernels(resolver: OpResolverType, *, inside: bool = True) -> Run:
    """Runs with kernels of LiteRT; returns the results of all operators, or the outputs alone."""

    def run(content: bytes, parsed: Any, feeds: Sequence[Feed]) -> list[Results]:
        with quiet():
            interpreter = Interpreter(
                model_content=content,
                num_threads=1,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=inside,
            )
            given = [details["index"] for details in interpreter.get_input_details()]
            for place, array in zip(given, feeds[0], strict=True):
                interpreter.resize_tensor_input(place, array.shape)
            interpreter.allocate_tensors()
            numbers = _computed(parsed) if inside else indices(graphs(parsed)[0].graph.outputs)
            found: list[Results] = []
            for feed in feeds:
                for place, array in zip(given, feed, strict=True):
                    interpreter.set_tensor(place, array)
                interpreter.invoke()
                found.append({number: interpreter.get_tensor(number) for number in numbers})
        return found

    return run


def _inside_delegated(content: bytes, parsed: Any, feeds: Sequence[Feed]) -> list[Results]:
    """See what the delegate computes: all results are outputs of the file then.

    Where that changes what it computes, since nothing is fused any more, the file is cut behind
    each operator instead.
    """
    graph, seen = parsed.subgraphs[0], _delegated(content, parsed, feeds)
    before = graph.outputs
    try:
        graph.outputs = _computed(parsed)
        whole = _delegated(flatbuffer.pack(parsed), parsed, feeds)
    finally:
        graph.outputs = before
    if all(_largest(number, seen, whole) == 0 for number in indices(before)):
        return whole
    return _behind_each(content, parsed, feeds)


def _behind_each(content: bytes, parsed: Any, feeds: Sequence[Feed]) -> list[Results]:
    """Cut the file behind each operator, to see what the delegate computes up to there."""
    graph = parsed.subgraphs[0]
    operators, outputs = list(graph.operators), list(graph.outputs)
    unpacks = [*map(graphs(parsed)[0].unpacks, operators)]
    found: list[dict[int, np.ndarray]] = [{} for _ in feeds]
    if len(parsed.subgraphs) > 1 or len(operators) * len(content) > _MOST_BYTES:
        return []
    try:
        for place, operator in enumerate(operators):
            if unpacks[place]:
                continue
            graph.operators, graph.outputs = operators[: place + 1], indices(operator.outputs)
            made = _delegated(flatbuffer.pack(parsed), parsed, feeds)
            for all_results, results in zip(found, made, strict=True):
                all_results.update(results)
    finally:
        graph.operators, graph.outputs = operators, outputs
    return list(found)


def _on_micro(content: bytes, parsed: Any, feeds: Sequence[Feed]) -> list[Results]:
    from tflite_micro import runtime  # an optional extra

    computed = _computed(parsed)
    graph = parsed.subgraphs[0]
    stored = [shape_of(graph.tensors[number]) for number in indices(graph.inputs)]
    if [array.shape for array in feeds[0]] != stored:
        sys.exit(f"it takes no other shapes than the file stores, {', '.join(map(str, stored))}")
    activations = sum(flatbuffer.dense_bytes(graph.tensors[number]) for number in computed)
    try:
        interpreter = runtime.Interpreter.from_bytes(
            content,
            arena_size=_FEWEST_ARENA_BYTES + 10 * len(content) + 4 * activations,
            intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
        )
        found: list[Results] = []
        for feed in feeds:
            for place, array in enumerate(feed):
                interpreter.set_input(array, place)
            interpreter.invoke()
            found.append({n: interpreter.GetTensor(n, 0)["tensor_data"] for n in computed})
    except (RuntimeError, ValueError) as error:
        sys.exit(with_reasons(str(error), obstacles(parsed)[:1]))
    return found


def _computed(parsed: Any) -> list[int]:
    """Numbers of the tensors that operators of the first graph compute.

    Neither handles of states nor weights that are unpacked, which delegates do for themselves.
    """
    graph = graphs(parsed)[0]
    operators = (operator for operator in graph.operators if not graph.unpacks(operator))
    written = (number for operator in operators for number in indices(operator.outputs))
    return [number for number in written if type_name(graph.tensor(number)) not in _HANDLES]


@dataclass(frozen=True)
class _Runtime:
    """A way to run a file, and one to see inside if a run shows its outputs alone."""

    run: Run
    inside: Run | None = None


_plain = _kernels(OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
_delegated = _kernels(OpResolverType.AUTO, inside=False)
_RUNTIMES = {
    DELEGATE: _Runtime(_delegated, _inside_delegated),
    REFERENCE: _Runtime(_kernels(OpResolverType.BUILTIN_REF)),
    MICRO: _Runtime(_on_micro),
}
