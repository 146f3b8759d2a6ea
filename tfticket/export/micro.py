"""Would TensorFlow Lite Micro run this file? A linter, and how much memory it needs at least."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfticket.errors import ExportError
from tfticket.export import micro_operators as micro
from tfticket.export.flatbuffer import dynamic_tensors, name_of, operator_name, operators, type_name
from tfticket.export.tensors import (
    activations,
    dense_bytes,
    indices,
    read_by,
    shape_of,
    written_by,
)

_ALIGNMENT = 16  # `MicroArenaBufferAlignment` of TensorFlow Lite Micro
_SHOWN = 4
_WEIGHTS = {"TRANSPOSE_CONV": (2, 1)}  # which inputs are the data and the weights; others (0, 1)


def check_micro(parsed: Any, source: str) -> None:
    """Raises an error that lists everything that TensorFlow Lite Micro wouldn't run as int8.

    Args:
        parsed: A `ModelT`, from `flatbuffer.parse`.
        source: What to call the file in the error.

    Raises:
        ExportError: with each rule that the file breaks.
    """
    found = violations(parsed)
    if found:
        listed = "\n".join(f"- {violation}" for violation in found)
        raise ExportError(
            f"{source} must be a file that TensorFlow Lite Micro runs with int8 throughout. "
            f"Received:\n{listed}\n"
            "Export the network in the format int8 with calibration data, and take out the layers "
            "that need what is listed."
        )


def violations(parsed: Any) -> tuple[str, ...]:
    """What `check_micro` lists, a sentence each; empty for a file that it accepts.

    Of operators it knows which there are, which compute only with floats, how many inputs and
    sides they take, and how types of weights go with types of inputs. Weights with one scale a
    channel are fine, in dense layers too (but not on Hexagon).
    """
    return tuple(violation for rule in _RULES for violation in rule(parsed))


def arena_lower_bound(parsed: Any) -> int:
    """Bytes of memory that activations need at least at one moment, with the batch in the file.

    The largest sum, over the operators in their order, of all tensors that were computed or given
    before and are still needed, each in multiples of 16 bytes. The arena of TensorFlow Lite Micro
    also holds scratch buffers and some hundred bytes an operator, and can't always be packed
    without gaps: give it more than this, and ask the runtime what it took (see `run_on_micro`).

    Args:
        parsed: A `ModelT` of one subgraph, from `flatbuffer.parse`.
    """
    graph = parsed.subgraphs[0]
    computed = activations(parsed, graph)
    first: dict[int, int] = dict.fromkeys(indices(graph.inputs), 0)
    last: dict[int, int] = {}
    for step, operator in enumerate(graph.operators):
        for number in indices(operator.outputs):
            first.setdefault(number, step)
        for number in (*indices(operator.inputs), *indices(operator.outputs)):
            last[number] = step
    end = len(graph.operators) - 1
    kept = [number for number, tensor in computed.items() if tensor.isVariable]
    for number in (*indices(graph.outputs), *kept):
        first.setdefault(number, 0)
        last[number] = end
    live = [
        sum(
            _aligned(dense_bytes(tensor))
            for number, tensor in computed.items()
            if number in first and first[number] <= step <= last.get(number, first[number])
        )
        for step in range(end + 1)
    ]
    return max(live, default=0)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _subgraphs(parsed: Any) -> Iterator[str]:
    if len(parsed.subgraphs) != 1:
        yield f"{len(parsed.subgraphs)} subgraphs; there must be one."


def _missing_operators(parsed: Any) -> Iterator[str]:
    missing = [name for name in operators(parsed) if name not in micro.OPERATORS]
    if missing:
        yield f"operators that it doesn't have: {', '.join(missing)}."


def _float_operators(parsed: Any) -> Iterator[str]:
    found = [name for name in operators(parsed) if name in micro.FLOAT_ONLY]
    if found:
        yield f"operators that it has for floats only: {', '.join(found)}."


def _ends(parsed: Any) -> Iterator[str]:
    for graph in parsed.subgraphs:
        for what, numbers in (("input", graph.inputs), ("output", graph.outputs)):
            for tensor in (graph.tensors[number] for number in indices(numbers)):
                if type_name(tensor) != "INT8":
                    yield (
                        f"the {what} {_quoted([tensor])} of type {type_name(tensor)}; it must be "
                        "INT8."
                    )


def _types(parsed: Any) -> Iterator[str]:
    wrong: dict[str, list[Any]] = defaultdict(list)
    for graph in parsed.subgraphs:
        ends = {*indices(graph.inputs), *indices(graph.outputs)}
        for number, tensor in enumerate(graph.tensors):
            if type_name(tensor) not in micro.TYPES and number not in ends:
                wrong[type_name(tensor)].append(tensor)
    for name, tensors in wrong.items():
        yield (
            f"tensors of type {name}: {_quoted(tensors)}; there must be none but "
            f"{', '.join(sorted(micro.TYPES))}."
        )


def _hybrid(parsed: Any) -> Iterator[str]:
    for name, graph, operator in _each(parsed):
        places = _WEIGHTS.get(name, (0, 1))
        if name not in micro.WEIGHTED or len(operator.inputs) <= max(places):
            continue
        data, weights = (graph.tensors[int(operator.inputs[place])] for place in places)
        allowed = micro.WEIGHTED[name].get(type_name(data), frozenset())
        if type_name(weights) not in allowed:
            yield (
                f"{name} with {type_name(data)} data and {type_name(weights)} weights "
                f"{_quoted([weights])}; both must be INT8 (or INT16 data with INT8 weights)."
            )


def _sides(parsed: Any) -> Iterator[str]:
    dynamic = dynamic_tensors(parsed)
    if dynamic:
        yield f"sides of unknown length in {_quoted(dynamic)}; all must be static."
    tensors = [tensor for graph in parsed.subgraphs for tensor in graph.tensors]
    deep = [tensor for tensor in tensors if len(shape_of(tensor)) > micro.MAX_RANK]
    if deep:
        yield f"more than {micro.MAX_RANK} sides in {_quoted(deep)}."
    for name, graph, operator in _each(parsed):
        limit = micro.MAX_RANK_OF.get(name)
        read = [*read_by(graph, operator), *written_by(graph, operator)]
        deep = [tensor for tensor in read if limit is not None and len(shape_of(tensor)) > limit]
        if deep:
            yield f"{name} of {_quoted(deep)} with more than {limit} sides."
        most = micro.MAX_INPUTS_OF.get(name)
        if most is not None and len(operator.inputs) > most:
            yield f"{name} of {len(operator.inputs)} tensors; it takes {most} at most."


def _storage(parsed: Any) -> Iterator[str]:
    tensors = [tensor for graph in parsed.subgraphs for tensor in graph.tensors]
    sparse = [tensor for tensor in tensors if tensor.sparsity is not None]
    if sparse:
        yield f"sparsely stored {_quoted(sparse)}, which it would read as dense: wrong weights."
    outside = [t for t in tensors if t.externalBuffer or parsed.buffers[t.buffer].offset > 1]
    if outside:
        yield f"{_quoted(outside)} stored outside of the file's tables, where it doesn't look."


_RULES: tuple[Callable[[Any], Iterator[str]], ...] = (
    _subgraphs,
    _missing_operators,
    _float_operators,
    _ends,
    _types,
    _hybrid,
    _sides,
    _storage,
)


def _each(parsed: Any) -> Iterator[tuple[str, Any, Any]]:
    for graph in parsed.subgraphs:
        for operator in graph.operators:
            yield operator_name(parsed, operator), graph, operator


def _quoted(tensors: Sequence[Any]) -> str:
    return _names([name_of(tensor) for tensor in tensors])


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
