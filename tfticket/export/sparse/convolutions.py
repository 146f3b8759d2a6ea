"""Sparsely stored convolutions: where XNNPACK computes them sparsely, and where that goes wrong.

XNNPACK computes 1x1 convolutions sparsely in another layout of memory (channels first). It changes
to it at a 3x3 convolution with stride 2 of three channels, and back where height and width are
averaged away or depth becomes space. In between only some operators can be. Nothing checks that: an
operator that reads the one layout and should write the other computes nonsense, or the file doesn't
load. So the rules are here, and stricter than need be. They follow `subgraph.c` of XNNPACK
(github.com/google/XNNPACK at 75db3c0) and were tried on an emulated processor without AVX.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.flatbuffer import Graph

Kind = Literal["entry", "inside", "exit", "outside"]

_UNARY = ("RELU", "RELU6", "LOGISTIC", "HARD_SWISH", "ABS", "TANH")
_EXITS = ("MEAN", "SUM", "DEPTH_TO_SPACE")
_AFTER_EXIT = ("RESHAPE", "SQUEEZE", "FULLY_CONNECTED")
_VALID = schema.Padding.VALID


@dataclass(frozen=True)
class Finding:
    """A warning to be known before a file with sparsely stored convolutions is used.

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
    """Look for sparsely stored convolutions that crash or are wrong on ARM.

    Returns:
        Warnings, none for a file without such convolutions: that it isn't faster on x86, isn't
        verified on ARM, and which convolutions aren't computed sparsely anywhere, and why.

    Raises:
        ExportError: when a part of the network that would be computed sparsely meets an operator
            that can't follow it.
    """
    found: list[Finding] = []
    for subgraph in model.subgraphs:
        graph = SparseGraph(model, subgraph)
        # One weight that is unpacked makes the runtime try the sparse way for all convolutions.
        if any(name == "DENSIFY" for name, _ in graph.named()):
            found += _lint(graph, source)
    return (*_EVERYWHERE, *found) if found else ()


def _lint(graph: SparseGraph, source: str) -> Iterator[Finding]:
    has_exit = any(graph.kind(operator) == "exit" for operator in graph.operators)
    inside, breaks = follow(graph) if has_exit else ([], [])
    if breaks:
        places = ", ".join(f"{then} after `{before}`" for before, then in breaks)
        raise ExportError(
            "Between the first convolution and the average over height and width, sparse 1x1 "
            "convolutions go together with nothing but each other, simple depthwise ones, sums, "
            "products and activations: anything else fails to load or is silently wrong on "
            f"processors without AVX, ARM for instance. Received: {source} with {places}. Choose "
            "a dense format, or build the network without it."
        )
    convolutions = [operator for name, operator in graph.named() if name == "CONV_2D"]
    sparse = [operator for operator in convolutions if graph.weights(operator)[1]]
    if not sparse:
        return
    yield from _too_few_zeros(graph, [o for o in convolutions if o in inside])
    for operator in sparse:
        if operator not in inside and graph.kind(operator) != "entry":
            yield _unused(graph, operator, convolutions[0], has_exit)
    if inside:
        yield Finding(
            "arm", "", "Where there is no AVX, 1x1 convolutions of this file are computed sparsely."
        )


def _too_few_zeros(graph: SparseGraph, convolutions: list[Any]) -> Iterator[Finding]:
    weights = [graph.weights(operator)[0] for operator in convolutions]
    zeros = sum(int((flatbuffer.values(graph.model, w) == 0).sum()) for w in weights)
    size = sum(math.prod(w.shape) for w in weights)
    if weights and 3 * zeros <= 2 * size:
        yield Finding(
            "zeros",
            "",
            f"Never computed sparsely: the 1x1 convolutions have {zeros / size:.0%} zeros, and the "
            "runtime wants more than two thirds.",
        )


def _unused(graph: SparseGraph, operator: Any, first: Any, has_exit: bool) -> Finding:
    _, height, width, _ = graph.shape(operator.inputs[1])
    if graph.kind(operator) != "inside":
        rule, stride = "kernel", _stride(operator)
        why = f"of {height}x{width} with stride {stride}: only 1x1 with stride 1 can be"
    elif not has_exit:
        rule, why = "exit", "in a network that doesn't end in an average over height and width"
    else:
        _, height, width, channels = graph.shape(first.inputs[1])
        padding = graph.padding(first)
        rule = "entry"
        why = (
            "not behind a convolution that can begin it: that is 3x3 with stride 2 on 3 channels, "
            f"with ZeroPadding2D(1) before it; the first one here is {height}x{width} with stride "
            f"{_stride(first)} on {channels} channel{'s' * (channels != 1)}, "
            + ("padded unevenly" if padding is None else f"padded by {padding}")
        )
    return Finding(rule, graph.output(operator), f"Never computed sparsely: {why}.")


def _stride(operator: Any) -> int:
    return int(max(operator.builtinOptions.strideH, operator.builtinOptions.strideW))


class SparseGraph(Graph):
    """A graph as the sparse way of computing sees it."""

    def output(self, operator: Any) -> str:
        """Return the name of what an operator gives."""
        return flatbuffer.name_of(self.tensor(operator.outputs[0]))

    def followers(self, operator: Any) -> list[Any]:
        """Return the readers of an operator; padding that a convolution absorbs is passed over."""
        found = self.readers.get(int(operator.outputs[0]), [])
        return [self._absorbing(reader) or reader for reader in found]

    def is_output(self, operator: Any) -> bool:
        """Tell whether the file gives what the operator gives."""
        return int(operator.outputs[0]) in [int(i) for i in self.graph.outputs]

    def weights(self, operator: Any) -> tuple[Any, bool]:
        """Return the constant that an operator's kernel comes from, and whether it is unpacked."""
        number, how = self.origin(int(operator.inputs[1]))
        return self.tensor(number), how == "DENSIFY"

    def keeps_shape(self, operator: Any) -> bool:
        """Tell whether an unknown operator may be one of elements, which other versions take in."""
        return self.shape(operator.inputs[0]) == self.shape(operator.outputs[0])

    def kind(self, operator: Any) -> Kind:
        """Classify an operator: where the sparse way begins, goes on, ends or can't be."""
        name = self.name(operator)
        if name == "CONV_2D":
            return self._convolution(operator)
        if name == "DEPTHWISE_CONV_2D":
            return "inside" if self._is_simple_depthwise(operator) else "outside"
        given = self.shape(operator.inputs[0]) if len(operator.inputs) > 0 else ()
        if name in _EXITS and len(given) == 4:
            return "exit"
        inside = (
            (name in _UNARY and len(given) == 4)
            or (name == "RESIZE_BILINEAR" and min(given[1:3]) > 1)
            or (name in ("ADD", "MUL") and all(map(self._fits, operator.inputs)))
        )
        return "inside" if inside else "outside"

    def _fits(self, number: int) -> bool:
        """Tell whether an operand has four axes, and if it's constant, at most one that isn't 1."""
        shape = self.shape(number)
        constant = flatbuffer.is_constant(self.model, self.tensor(number))
        return len(shape) == 4 and not (constant and sum(side != 1 for side in shape) > 1)

    def _convolution(self, operator: Any) -> Kind:
        options = operator.builtinOptions
        _, height, width, channels = self.shape(operator.inputs[1])
        kernel = (height, width, options.strideH, options.strideW)
        dilated = max(options.dilationHFactor, options.dilationWFactor) > 1
        if dilated or channels != self.shape(operator.inputs[0])[3]:
            return "outside"
        if kernel == (1, 1, 1, 1) and self.padding(operator) == 0:
            return "inside"
        entry = kernel == (3, 3, 2, 2) and channels == 3
        return "entry" if entry and self.padding(operator) == 1 else "outside"

    def _is_simple_depthwise(self, operator: Any) -> bool:
        options = operator.builtinOptions
        _, height, width, channels = self.shape(operator.inputs[1])
        return (
            height == width in (3, 5)
            and options.strideH == options.strideW in (1, 2)
            and max(options.dilationHFactor, options.dilationWFactor) == 1
            and channels == self.shape(operator.inputs[0])[3]
            and self.padding(operator) == height // 2
        )

    def padding(self, operator: Any) -> int | None:
        """Return how far a convolution sees over each border; None where it isn't even."""
        options, maker = operator.builtinOptions, self.makers.get(int(operator.inputs[0]))
        if options.padding != _VALID:
            side = self.shape(operator.inputs[1])[1]
            return side // 2 if options.strideH == options.strideW == 1 and side % 2 else None
        if maker is None or self._absorbing(maker) is not operator:
            return 0
        values = flatbuffer.values(self.model, self.tensor(maker.inputs[1]))
        return int(values[1, 0]) if len(set(values[1:3].ravel().tolist())) == 1 else None

    def _absorbing(self, operator: Any) -> Any:
        """The one convolution whose padding a PAD is; None for any other operator."""
        if self.name(operator) != "PAD" or self.is_output(operator):
            return None
        readers = self.readers.get(int(operator.outputs[0]), [])
        if len(readers) != 1 or self.name(readers[0]) not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            return None
        (reader,) = readers
        amounts = self.tensor(operator.inputs[1])
        if (
            reader.builtinOptions.padding != _VALID
            or int(reader.inputs[0]) != int(operator.outputs[0])
            or not flatbuffer.is_constant(self.model, amounts)
        ):
            return None
        values = flatbuffer.values(self.model, amounts)
        return reader if values.shape == (4, 2) and not np.any(values[[0, 3]]) else None


def follow(graph: SparseGraph) -> tuple[list[Any], list[tuple[str, str]]]:
    """Follow the network from each entry.

    Returns:
        The operators that would work channels first; and where the layout would have to change
        back and can't: the output of an operator, and what comes after it.
    """
    inside: list[Any] = []
    breaks: dict[tuple[str, str], None] = {}
    todo = [operator for operator in graph.operators if graph.kind(operator) == "entry"]
    seen = list(todo)
    while todo:
        operator = todo.pop()
        is_inside = operator in inside
        if is_inside and graph.is_output(operator):
            breaks[graph.output(operator), "the output"] = None
        for reader in graph.followers(operator):
            kind = graph.kind(reader)
            if kind == "inside" or (kind == "exit" and not _leaves(graph, reader)):
                if reader not in inside:
                    inside.append(reader)
                    todo.append(reader)
            elif kind == "outside" and is_inside:
                breaks[graph.output(operator), graph.name(reader)] = None
            elif kind == "outside" and reader not in seen and graph.keeps_shape(reader):
                seen.append(reader)
                todo.append(reader)
    return inside, list(breaks)


def _leaves(graph: SparseGraph, operator: Any) -> bool:
    """Tell whether an exit is one: nothing that reads it could work channels first too."""
    if len(graph.shape(operator.outputs[0])) < 4:
        return True
    return all(
        graph.name(reader) in _AFTER_EXIT
        or (graph.kind(reader) == "outside" and not graph.keeps_shape(reader))
        for reader in graph.followers(operator)
    )
