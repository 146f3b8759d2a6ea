"""What is wrong with, or to be known of, sparsely stored convolutions in a file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.sparse_graph import Graph, follow


@dataclass(frozen=True)
class Finding:
    """What should be known before a file with sparsely stored convolutions is used.

    Attributes:
        rule: `x86`, `arm`, `kernel`, `entry`, `exit` or `zeros`.
        where: The output of the convolution it is about; empty when it's about the whole file.
        message: In words.
    """

    rule: str
    where: str
    message: str


_EVERYWHERE = (
    Finding(
        "x86",
        "",
        "No gain on x86 with AVX: XNNPACK has sparse kernels for SSE alone, and computes densely "
        "where there is AVX.",
    ),
    Finding(
        "arm",
        "",
        "Not verified on ARM: sparse kernels run there that this machine doesn't use. With "
        "qemu-user installed they can be tried on a processor without AVX.",
    ),
)


def lint_sparse_conv(model: Any, source: str) -> tuple[Finding, ...]:
    """Looks at sparsely stored convolutions of a file for what crashes or is wrong on ARM.

    Args:
        model: A `ModelT`, from `flatbuffer.parse`.
        source: What to call the file in an error.

    Returns:
        Warnings, none for a file without such convolutions: that it isn't faster on x86, isn't
        verified on ARM, and which convolutions aren't computed sparsely anywhere, and why.

    Raises:
        ExportError: when a part of the network that would be computed sparsely meets an operator
            that can't follow it.
    """
    found: list[Finding] = []
    for subgraph in model.subgraphs:
        graph = Graph(model, subgraph)
        # One weight that is unpacked makes the runtime try the sparse way for all convolutions.
        if any(graph.name(operator) == "DENSIFY" for operator in graph.operators):
            found += _lint(graph, source)
    return (*_EVERYWHERE, *found) if found else ()


def _lint(graph: Graph, source: str) -> list[Finding]:
    convolutions = [o for o in graph.operators if graph.name(o) == "CONV_2D"]
    sparse = [operator for operator in convolutions if graph.weights(operator)[1]]
    has_exit = any(graph.kind(operator) == "exit" for operator in graph.operators)
    inside, breaks = follow(graph) if has_exit else ([], [])
    if breaks:
        places = ", ".join(f"{pause.then} after `{pause.inside}`" for pause in breaks)
        raise ExportError(
            "Between the first convolution and the average over height and width, sparse 1x1 "
            "convolutions go together with nothing but each other, simple depthwise ones, sums, "
            "products and activations: anything else fails to load or is silently wrong on "
            f"processors without AVX, ARM for instance. Received: {source} with {places}. Choose "
            "a dense format, or build the network without it."
        )
    if not sparse:
        return []
    return [*_zeros(graph, inside), *_unused(graph, sparse, inside, has_exit), *_runs(inside)]


def _runs(inside: list[Any]) -> Iterator[Finding]:
    if inside:
        yield Finding(
            "arm", "", "Where there is no AVX, 1x1 convolutions of this file are computed sparsely."
        )


def _zeros(graph: Graph, inside: list[Any]) -> Iterator[Finding]:
    weights = [graph.weights(o)[0] for o in inside if graph.name(o) == "CONV_2D"]
    zeros = sum(int((flatbuffer.values(graph.model, w) == 0).sum()) for w in weights)
    size = sum(math.prod(w.shape) for w in weights)
    if weights and 3 * zeros <= 2 * size:
        yield Finding(
            "zeros",
            "",
            f"Never computed sparsely: the 1x1 convolutions have {zeros / size:.0%} zeros, and the "
            "runtime wants more than two thirds.",
        )


def _unused(
    graph: Graph, sparse: list[Any], inside: list[Any], has_exit: bool
) -> Iterator[Finding]:
    reached = {id(operator) for operator in inside}
    for operator in sparse:
        if id(operator) in reached or graph.kind(operator) == "entry":
            continue
        _, height, width, _ = graph.shape(int(operator.inputs[1]))
        if graph.kind(operator) != "inside":
            stride = max(operator.builtinOptions.strideH, operator.builtinOptions.strideW)
            rule = "kernel"
            why = f"of {height}x{width} with stride {stride}: only 1x1 with stride 1 can be"
        elif not has_exit:
            rule, why = "exit", "in a network that doesn't end in an average over height and width"
        else:
            rule, why = "entry", f"not behind a convolution that can begin it: {_first(graph)}"
        yield Finding(rule, graph.output(operator), f"Never computed sparsely: {why}.")


def _first(graph: Graph) -> str:
    """Why the first convolution of a network isn't one that begins the sparse way."""
    first = next(o for o in graph.operators if graph.name(o) == "CONV_2D")
    _, height, width, channels = graph.shape(int(first.inputs[1]))
    options, padding = first.builtinOptions, graph.padding(first)
    return (
        "that is 3x3 with stride 2 on 3 channels, with ZeroPadding2D(1) before it; the first one "
        f"here is {height}x{width} with stride {max(options.strideH, options.strideW)} on "
        f"{channels} channel{'s' * (channels != 1)}"
        + (", padded unevenly" if padding is None else f", padded by {padding}")
    )
