"""The activations of a file that are alive at the same time."""

from __future__ import annotations

from typing import Any

from tfticket.export.flatbuffer import Graph, dense_bytes, indices

_ALIGNMENT = 16  # `MicroArenaBufferAlignment`


def arena_lower_bound(parsed: Any) -> int:
    """Return the bytes that activations need at least at one moment, with the batch in the file.

    The largest sum, over the operators in their order, of all tensors that were computed or given
    before and are still needed, each in multiples of 16 bytes. The arena of TensorFlow Lite Micro
    also holds scratch buffers and some hundred bytes an operator, and can't always be packed
    without gaps: give it more than this, and ask the runtime what it took (see `run_on_micro`).

    Args:
        parsed: A `ModelT` of one subgraph, from `flatbuffer.parse`.
    """
    return max((sum(live.values()) for live in live_tensors(parsed)), default=0)


def live_tensors(parsed: Any) -> list[dict[int, int]]:
    """Return what is alive while each operator of the first graph runs: number to bytes.

    That is what was given or computed before and is still needed, and what the operator writes,
    each in multiples of 16 bytes. What operators make of constants alone is made when the file is
    loaded, and is left out.

    Args:
        parsed: A `ModelT`, from `flatbuffer.parse`.
    """
    whole = Graph(parsed, parsed.subgraphs[0])
    graph = whole.graph
    first: dict[int, int] = dict.fromkeys(indices(graph.inputs), 0)
    last: dict[int, int] = {}
    for step, operator in enumerate(graph.operators):
        for number in indices(operator.outputs):
            first.setdefault(number, step)
        for number in (*indices(operator.inputs), *indices(operator.outputs)):
            last[number] = step
    end = len(graph.operators) - 1
    computed = {n: tensor for n, tensor in enumerate(graph.tensors) if n not in whole.ready}
    kept = [number for number, tensor in computed.items() if tensor.isVariable]
    for number in (*indices(graph.outputs), *kept):
        first.setdefault(number, 0)
        last[number] = end
    sizes = {n: -(-dense_bytes(t) // _ALIGNMENT) * _ALIGNMENT for n, t in computed.items()}
    return [
        {
            number: size
            for number, size in sizes.items()
            if size and number in first and first[number] <= step <= last.get(number, first[number])
        }
        for step in range(end + 1)
    ]
