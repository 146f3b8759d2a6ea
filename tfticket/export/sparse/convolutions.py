"""Where the sparse convolutions of XNNPACK would be used in a file, and where they go wrong.

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
from functools import cached_property
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer

Kind = Literal["entry", "inside", "exit", "outside"]

_UNARY = ("RELU", "RELU6", "LOGISTIC", "HARD_SWISH", "ABS", "TANH")
_EXITS = ("MEAN", "SUM", "DEPTH_TO_SPACE")
_AFTER_EXIT = ("RESHAPE", "SQUEEZE", "FULLY_CONNECTED")
_VALID = schema.Padding.VALID


@dataclass(frozen=True)
class Break:
    """Two neighboring operators between which the layout would have to change back, and can't.

    Attributes:
        inside: The last operator that works channels first, named by what it gives.
        then: What comes after it: an operator, or `the output`.
    """

    inside: str
    then: str


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph of a file.

    Attributes:
        model: The `ModelT`, from `flatbuffer.parse`.
        graph: One of its subgraphs.
    """

    model: Any
    graph: Any

    @property
    def operators(self) -> list[Any]:
        """All operators, in the order they are computed."""
        return list(self.graph.operators)

    @cached_property
    def _consumers(self) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for operator in self.operators:
            for index in dict.fromkeys(int(i) for i in operator.inputs):
                found.setdefault(index, []).append(operator)
        return found

    @cached_property
    def _producers(self) -> dict[int, Any]:
        return {int(index): o for o in self.operators for index in o.outputs}

    def name(self, operator: Any) -> str:
        """What kind of operator it is."""
        return flatbuffer.operator_name(self.model, operator)

    def output(self, operator: Any) -> str:
        """The name of what an operator gives."""
        return flatbuffer.name_of(self.graph.tensors[int(operator.outputs[0])])

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        shape = self.graph.tensors[index].shape
        return () if shape is None else tuple(int(side) for side in shape)

    def readers(self, operator: Any) -> list[Any]:
        """Who reads what an operator gives; padding that a convolution absorbs is passed over."""
        found = self._consumers.get(int(operator.outputs[0]), [])
        return [self._absorbing(reader) or reader for reader in found]

    def is_output(self, operator: Any) -> bool:
        """Whether the file gives what the operator gives."""
        return int(operator.outputs[0]) in [int(i) for i in self.graph.outputs]

    def weights(self, operator: Any) -> tuple[Any, bool]:
        """The constant that an operator's kernel comes from, and whether it is unpacked."""
        index, unpacked = int(operator.inputs[1]), False
        while (maker := self._producers.get(index)) is not None:
            if self.name(maker) not in ("DENSIFY", "DEQUANTIZE"):
                break
            index, unpacked = int(maker.inputs[0]), unpacked or self.name(maker) == "DENSIFY"
        return self.graph.tensors[index], unpacked

    def kind(self, operator: Any) -> Kind:
        """What an operator is to the sparse way of computing."""
        name = self.name(operator)
        if name == "CONV_2D":
            return self._convolution(operator)
        if name == "DEPTHWISE_CONV_2D":
            return "inside" if self._is_simple_depthwise(operator) else "outside"
        four = len(operator.inputs) > 0 and len(self.shape(int(operator.inputs[0]))) == 4
        if name in _EXITS and four:
            return "exit"
        if name in _UNARY and four:
            return "inside"
        if name == "RESIZE_BILINEAR" and min(self.shape(int(operator.inputs[0]))[1:3]) > 1:
            return "inside"
        if name in ("ADD", "MUL") and all(self._fits(int(index)) for index in operator.inputs):
            return "inside"
        return "outside"

    def _fits(self, index: int) -> bool:
        """Whether an operand has four axes, and if it is constant, at most one that isn't 1."""
        shape = self.shape(index)
        constant = flatbuffer.is_constant(self.model, self.graph.tensors[index])
        return len(shape) == 4 and not (constant and sum(side != 1 for side in shape) > 1)

    def _convolution(self, operator: Any) -> Kind:
        options = operator.builtinOptions
        _, height, width, channels = self.shape(int(operator.inputs[1]))
        strides = (options.strideH, options.strideW)
        if max(options.dilationHFactor, options.dilationWFactor) > 1:
            return "outside"
        if channels != self.shape(int(operator.inputs[0]))[3]:
            return "outside"
        if (height, width, strides) == (1, 1, (1, 1)):
            return "inside" if self.padding(operator) == 0 else "outside"
        entry = (height, width, channels, strides) == (3, 3, 3, (2, 2))
        return "entry" if entry and self.padding(operator) == 1 else "outside"

    def _is_simple_depthwise(self, operator: Any) -> bool:
        options = operator.builtinOptions
        _, height, width, channels = self.shape(int(operator.inputs[1]))
        return (
            height == width in (3, 5)
            and options.strideH == options.strideW in (1, 2)
            and max(options.dilationHFactor, options.dilationWFactor) == 1
            and channels == self.shape(int(operator.inputs[0]))[3]
            and self.padding(operator) == height // 2
        )

    def padding(self, operator: Any) -> int | None:
        """How far a convolution sees over each border; None where that isn't the same for all."""
        options, maker = operator.builtinOptions, self._producers.get(int(operator.inputs[0]))
        if options.padding != _VALID:
            side = self.shape(int(operator.inputs[1]))[1]
            return side // 2 if options.strideH == options.strideW == 1 and side % 2 else None
        if maker is None or self._absorbing(maker) is not operator:
            return 0
        values = flatbuffer.values(self.model, self.graph.tensors[int(maker.inputs[1])])
        return int(values[1, 0]) if len(set(values[1:3].ravel().tolist())) == 1 else None

    def _absorbing(self, operator: Any) -> Any:
        """The one convolution whose padding a PAD is; None for any other operator."""
        if self.name(operator) != "PAD":
            return None
        readers = self._consumers.get(int(operator.outputs[0]), [])
        if len(readers) != 1 or self.is_output(operator):
            return None
        (reader,) = readers
        convolves = self.name(reader) in ("CONV_2D", "DEPTHWISE_CONV_2D")
        amounts = self.graph.tensors[int(operator.inputs[1])]
        if not convolves or reader.builtinOptions.padding != _VALID:
            return None
        if int(reader.inputs[0]) != int(operator.outputs[0]):
            return None
        if not flatbuffer.is_constant(self.model, amounts):
            return None
        values = flatbuffer.values(self.model, amounts)
        return reader if values.shape == (4, 2) and not np.any(values[[0, 3]]) else None


def follow(graph: Graph) -> tuple[list[Any], list[Break]]:
    """Follows the network from each entry.

    Returns:
        The operators that would work channels first, and where they meet others that don't.
    """
    inside: dict[int, Any] = {}
    breaks: dict[Break, None] = {}
    todo = [operator for operator in graph.operators if graph.kind(operator) == "entry"]
    seen = {id(operator) for operator in todo}
    while todo:
        operator = todo.pop()
        is_inside = id(operator) in inside
        if is_inside and graph.is_output(operator):
            breaks[Break(graph.output(operator), "the output")] = None
        for reader in graph.readers(operator):
            kind = graph.kind(reader)
            if kind == "inside" or (kind == "exit" and not _leaves(graph, reader)):
                if id(reader) not in inside:
                    inside[id(reader)] = reader
                    todo.append(reader)
            elif kind == "outside" and is_inside:
                breaks[Break(graph.output(operator), graph.name(reader))] = None
            elif kind == "outside" and id(reader) not in seen and _keeps_shape(graph, reader):
                seen.add(id(reader))
                todo.append(reader)
    return [o for o in graph.operators if id(o) in inside], list(breaks)


def _leaves(graph: Graph, operator: Any) -> bool:
    """Whether an exit is one: nothing that reads it could work channels first too."""
    if len(graph.shape(int(operator.outputs[0]))) < 4:
        return True
    return all(
        graph.name(reader) in _AFTER_EXIT
        or (graph.kind(reader) == "outside" and not _keeps_shape(graph, reader))
        for reader in graph.readers(operator)
    )


def _keeps_shape(graph: Graph, operator: Any) -> bool:
    """Whether an unknown operator may be one of elements, that other versions take in."""
    return graph.shape(int(operator.inputs[0])) == graph.shape(int(operator.outputs[0]))


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
