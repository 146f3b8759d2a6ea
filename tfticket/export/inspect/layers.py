"""The layers of a file, and the units of them that could be cut out as `shrink` does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfticket.export import flatbuffer
from tfticket.export.flatbuffer import (
    Constant,
    Graph,
    constant_of,
    indices,
    is_constant,
    name_of,
    values,
)
from tfticket.export.inspect.cost import Cost, count

Kind = Literal["file", "tensor", "operator"]

WEIGHTED = {
    "FULLY_CONNECTED": (0, 1, 0),
    "CONV_2D": (0, 1, 0),
    "DEPTHWISE_CONV_2D": (0, 1, 3),
    "TRANSPOSE_CONV": (2, 1, 0),
}
"""Operators with weights: which input is the data, which the weights, and the axis of the units."""

_BIAS = 2
_SAME = schema.Padding.SAME
_Function = Callable[[np.ndarray], np.ndarray]

# What becomes of a number that is the same everywhere; the names of operators, and the kinds of
# functions that others have built in.
_FUNCTIONS: Mapping[str, _Function] = {
    "NONE": lambda x: x,
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
    "RELU_N1_TO_1": lambda x: np.clip(x, -1, 1),
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
    "TANH": np.tanh,
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "HARD_SWISH": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}
_SAME_NUMBER = frozenset({"MAX_POOL_2D", "AVERAGE_POOL_2D", "QUANTIZE", "DEQUANTIZE"})
_VIEWS = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_BUILT_IN = {number: name for name, number in vars(schema.ActivationFunctionType).items()}


@dataclass(frozen=True)
class Explanation:
    """One reason why a file isn't smaller or faster.

    Attributes:
        kind: Whether it is about the `file`, a `tensor` or an `operator`.
        name: Of the tensor; or of the operator or operators; or empty.
        rule: A short name of the reason, the same for all it applies to, such as `dense_zeros`.
        fact: What is so, and what follows from it, in sentences.
        remedy: What would help, in sentences.
    """

    kind: Kind
    name: str
    rule: str
    fact: str
    remedy: str

    @classmethod
    def of_file(cls, rule: str, fact: str, remedy: str) -> Explanation:
        """Explain the whole file."""
        return cls("file", "", rule, fact, remedy)

    @classmethod
    def of_operators(cls, names: Iterable[str], rule: str, fact: str, remedy: str) -> Explanation:
        """Explain operators, each name of which is told once."""
        return cls("operator", ", ".join(dict.fromkeys(names)), rule, fact, remedy)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Layer:
    """An operator with constant weights.

    Attributes:
        operator: `FULLY_CONNECTED`, `CONV_2D`, `DEPTHWISE_CONV_2D` or `TRANSPOSE_CONV`.
        name: Of its weights.
        tensor: Its weights as they are stored.
        zero: Where they are zero: shape (units, inputs), (units, height, width, inputs), or for
            depthwise kernels (1, height, width, units).
        stored_bytes: What the file spends on them.
        unpacked_by: `DENSIFY` or `DEQUANTIZE` where they are unpacked when the file is loaded.
        multiply_adds: Of the operator in one inference.
        output: The number of the tensor that it writes.
        data: The number of the tensor that it reads.
        source: The operator.
    """

    operator: str
    name: str
    tensor: Any
    zero: np.ndarray
    stored_bytes: int
    unpacked_by: str | None
    multiply_adds: int
    output: int
    data: int
    source: Any

    @property
    def sparsity(self) -> float:
        """Share of zeros among the weights."""
        return float(self.zero.mean())

    @property
    def units(self) -> int:
        """Number of channels that it makes."""
        return int(self.zero.shape[WEIGHTED[self.operator][2]])

    @property
    def silent(self) -> np.ndarray:
        """Units without any weight that isn't zero, shape (units,), boolean."""
        axis = WEIGHTED[self.operator][2]
        others = tuple(other for other in range(self.zero.ndim) if other != axis)
        return np.asarray(self.zero.all(axis=others))


class View(Graph):
    """The graph of a file that runs, with its layers and its cost."""

    @classmethod
    def of(cls, parsed: Any) -> View:
        """Look at the first graph of a `ModelT`."""
        return cls(parsed, parsed.subgraphs[0])

    @functools.cached_property
    def cost(self) -> Cost:
        """Multiply-adds and bytes of an inference."""
        return count(self.model)

    @functools.cached_property
    def stored_bytes(self) -> int:
        """All that its buffers hold."""
        return sum(
            flatbuffer.stored_bytes(self.model, tensor)
            for tensor in flatbuffer.tensors(self.model)
            if is_constant(self.model, tensor)
        )

    @functools.cached_property
    def constants(self) -> Mapping[int, Constant]:
        """The constants with numbers, by the `id` of their tensor."""
        return {
            id(tensor): constant_of(self.model, tensor)
            for tensor in flatbuffer.tensors(self.model)
            if is_constant(self.model, tensor) and flatbuffer.has_values(tensor)
        }

    @functools.cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The operators with constant weights, in order."""
        return tuple(self._layers())

    def _layers(self) -> Iterator[Layer]:
        products = {cost.output: cost.multiply_adds for cost in self.cost.operators}
        for name, operator in self.named():
            if name not in WEIGHTED:
                continue
            data, weights, _ = WEIGHTED[name]
            number, unpacked_by = self.origin(int(operator.inputs[weights]))
            tensor, output = self.tensor(number), int(operator.outputs[0])
            if id(tensor) in self.constants:
                yield Layer(
                    operator=name,
                    name=name_of(tensor),
                    tensor=tensor,
                    zero=self.constants[id(tensor)].is_zero,
                    stored_bytes=flatbuffer.stored_bytes(self.model, tensor),
                    unpacked_by=unpacked_by,
                    multiply_adds=products.get(name_of(self.tensor(output)), 0),
                    output=output,
                    data=int(operator.inputs[data]),
                    source=operator,
                )


@dataclass(frozen=True, eq=False)
class DeadUnits:
    """Units of a layer that can be removed, as boolean arrays of shape (units,).

    Attributes:
        removable: Those that could.
        silent: Of these, those without a weight coming in that isn't zero.
    """

    removable: np.ndarray
    silent: np.ndarray


def dead_units(view: View, layer: Layer) -> DeadUnits | None:
    """Find the units of a layer that could be cut out.

    A unit that nothing reads can go. One that gives the same number whatever comes in can go where
    what it adds fits into the next bias: not where it meets a border that is padded with zeros,
    since it isn't the same there, unless it is zero. One unit stays.

    Returns:
        The units; None where it isn't known what reads them, and for depthwise layers, whose
        channels are those of the layer before.
    """
    if layer.operator == "DEPTHWISE_CONV_2D" or _is_shared(view, layer):
        return None
    constant = np.where(layer.silent, _made(view, layer, np.zeros(layer.units)), np.nan)
    removable = _follow(view, layer.output, constant)
    if removable is None:
        return None
    if removable.all():
        removable = removable & (np.arange(layer.units) > 0)
    return DeadUnits(removable, removable & layer.silent)


def _follow(view: View, number: int, constant: np.ndarray) -> np.ndarray | None:
    """Find the channels of a tensor that all its readers can do without, shape (channels,).

    `constant` is what each channel is everywhere, NaN where it varies. The answer is None where a
    reader isn't understood.
    """
    reading = view.readers.get(number, [])
    if not reading or number in indices(view.graph.outputs):
        return None
    layers = {layer.output: layer for layer in view.layers}
    needless = np.ones(len(constant), bool)
    for operator in reading:
        reader = layers.get(indices(operator.outputs)[0])
        if reader is not None:
            found = _read_by(view, reader, number, constant)
        else:
            found = _passed(view, operator, constant)
        if found is None:
            return None
        needless &= found
    return needless


def _read_by(view: View, reader: Layer, number: int, constant: np.ndarray) -> np.ndarray | None:
    channels = len(constant)
    if reader.data != number or _is_shared(view, reader):
        return None
    known = ~np.isnan(constant)
    fits = known & (constant == 0) if _feels_border(view, reader) else known
    if reader.operator == "DEPTHWISE_CONV_2D":
        return _read_depthwise(view, reader, constant, fits)
    sources = reader.zero.shape[-1]
    if sources % channels:  # it is split among groups of channels
        return None
    if reader.operator != "FULLY_CONNECTED" and sources != channels:
        return None
    columns = reader.zero.all(axis=tuple(range(reader.zero.ndim - 1)))
    return np.asarray(fits | columns.reshape(-1, channels).all(axis=0))


def _read_depthwise(
    view: View, reader: Layer, constant: np.ndarray, fits: np.ndarray
) -> np.ndarray | None:
    """Behind a depthwise layer; all channels that it makes of one go together."""
    if reader.units % len(constant):
        return None
    times = reader.units // len(constant)
    kernel = _numbers(view, reader.tensor)
    if kernel is None:
        return None
    taken = np.repeat(np.where(fits, constant, 0.0), times)
    sums = kernel.reshape(-1, reader.units).sum(axis=0) * taken
    known = np.repeat(fits, times) | reader.silent
    made = np.where(known, _made(view, reader, np.where(reader.silent, 0.0, sums)), np.nan)
    behind = _follow(view, reader.output, made)
    return None if behind is None else np.asarray(behind.reshape(-1, times).all(axis=1))


def _passed(view: View, operator: Any, constant: np.ndarray) -> np.ndarray | None:
    """Behind an operator that works on each channel for itself."""
    name, output = view.name(operator), indices(operator.outputs)[0]
    given, made = view.shape(operator.inputs[0]), view.shape(operator.outputs[0])
    if name in _FUNCTIONS:
        return _follow(view, output, _FUNCTIONS[name](constant))
    if name in _SAME_NUMBER:
        function = _built_in(operator)
        return None if function is None else _follow(view, output, function(constant))
    if name == "LEAKY_RELU":
        slope = operator.builtinOptions.alpha
        return _follow(view, output, np.where(constant > 0, constant, slope * constant))
    if name == "MEAN":
        axes = values(view.model, view.tensor(operator.inputs[1]))
        last = {-1, len(given) - 1} & {int(axis) for axis in axes.ravel()}
        return None if last else _follow(view, output, constant)
    if name == "PAD" and given[-1] == made[-1]:
        return _follow(view, output, np.where(constant == 0, constant, np.nan))
    if name in _VIEWS and made[-1] == given[-1]:
        return _follow(view, output, constant)
    if name in _VIEWS and made[-1] == int(np.prod(given)):  # flattened: channels count fastest
        times = made[-1] // len(constant)
        behind = _follow(view, output, np.tile(constant, times))
        return None if behind is None else np.asarray(behind.reshape(times, -1).all(axis=0))
    return None


def _made(view: View, layer: Layer, sums: np.ndarray) -> np.ndarray:
    """Return what a layer gives for sums that are the same everywhere; NaN where not known."""
    function = _built_in(layer.source)
    numbers = [int(number) for number in layer.source.inputs]
    place = _BIAS if layer.operator != "TRANSPOSE_CONV" else _BIAS + 1
    bias: np.ndarray | None = np.zeros(layer.units)
    if len(numbers) > place and numbers[place] >= 0:
        bias = _numbers(view, view.tensor(view.origin(numbers[place])[0]))
    if bias is None or function is None or bias.size != layer.units:
        return np.full(layer.units, np.nan)
    return function(sums + bias.ravel())


def _built_in(operator: Any) -> _Function | None:
    """The function that an operator ends with; None for one that isn't known."""
    number = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    return _FUNCTIONS.get(_BUILT_IN.get(number, ""))


def _numbers(view: View, tensor: Any) -> np.ndarray | None:
    """The real numbers of a constant tensor; None where they aren't in the file."""
    constant = view.constants.get(id(tensor))
    if constant is None:
        return None
    numbers = constant.values.astype(np.float64)
    scales = None if tensor.quantization is None else tensor.quantization.scale
    if scales is None or not len(scales):
        return numbers
    points, scale = (
        constant.along_axis(each) for each in (constant.zero_point, np.asarray(scales, np.float64))
    )
    return np.asarray((numbers - points) * scale)


def _feels_border(view: View, layer: Layer) -> bool:
    """Tell whether a layer sees zeros around its input."""
    if layer.operator == "FULLY_CONNECTED":
        return False
    if layer.operator == "TRANSPOSE_CONV":
        return True
    _, height, width, _ = layer.zero.shape
    return bool(layer.source.builtinOptions.padding == _SAME and max(height, width) > 1)


def _is_shared(view: View, layer: Layer) -> bool:
    """Tell whether several operators compute with the same weights."""
    places = [
        view.origin(int(operator.inputs[WEIGHTED[name][1]]))[0]
        for name, operator in view.named()
        if name in WEIGHTED
    ]
    return sum(view.tensor(place) is layer.tensor for place in places) > 1
