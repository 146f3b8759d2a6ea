"""Which operators of a file take time or bytes for reasons that pruning doesn't touch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfticket.export.explanation import UNPACKING, Explanation, View
from tfticket.export.flatbuffer import dynamic_tensors, is_constant, operator_name, type_name
from tfticket.export.tensors import indices, read_by, written_by

_SIZES = ("SHAPE", "STRIDED_SLICE", "PACK")
_NORMALIZING = frozenset(
    {"MEAN", "SQUARED_DIFFERENCE", "SQUARE", "SUB", "NEG", "RSQRT", "SQRT", "DIV", "MUL", "ADD"}
)
_INTEGERS = frozenset({"INT8", "INT16", "UINT8"})


def explain_operators(view: View) -> Iterator[Explanation]:
    """What can be said of the operators."""
    yield from _foreign(view)
    yield from _sizes(view)
    yield from _unpacked_halves(view)
    yield from _islands(view)
    yield from _ends(view)
    yield from _normalizations(view)
    yield from _wide_activations(view)


def _foreign(view: View) -> Iterator[Explanation]:
    foreign = [name for name in _names(view) if name.startswith("custom:")]
    if foreign:
        yield Explanation(
            "operator",
            ", ".join(foreign),
            "custom",
            "No stock runtime has these operators. Those called Flex need all of TensorFlow beside "
            "the runtime, which is larger than most networks, and no delegate speeds them up.",
            "Build the layers that need them from others that Keras has, and convert without "
            "`SELECT_TF_OPS`.",
        )


def _sizes(view: View) -> Iterator[Explanation]:
    found = [name for name in _SIZES if name in _names(view)]
    unknown = dynamic_tensors(view.parsed)
    if "SHAPE" not in found and not unknown:
        return
    yield Explanation(
        "operator",
        ", ".join(found),
        "dynamic_shapes",
        "The batch or another side isn't known before the network runs, so operators compute sizes "
        "in each inference, delegates stay away from what depends on them, and microcontrollers "
        "can't run the file.",
        "Build the model with keras.Input(..., batch_size=1) and all sides given before it is "
        "converted; `export` does it for the batch.",
    )


def _unpacked_halves(view: View) -> Iterator[Explanation]:
    halves = sum(
        name == "DEQUANTIZE" and all(_is_half(view, t) for t in read_by(view.graph, operator))
        for name, operator in view.operators()
    )
    if halves:
        yield Explanation(
            "operator",
            "DEQUANTIZE",
            "half_unpacked",
            f"{halves} tensors are stored as float16 and unpacked to float32 when the file is "
            "loaded: half the bytes in the file, the same memory and the same time on a CPU.",
            "For time on a CPU choose int8; float16 is fast on GPUs.",
        )


def _is_half(view: View, tensor: Any) -> bool:
    return type_name(tensor) == "FLOAT16" and is_constant(view.parsed, tensor)


def _islands(view: View) -> Iterator[Explanation]:
    """Floats between integers: what is computed there, and what converts."""
    converting = [name for name, operator in view.operators() if _converts(view, operator)]
    floats = [
        name
        for name, operator in view.operators()
        if name not in UNPACKING | {"QUANTIZE"} and _writes_floats(view, operator)
    ]
    integers = any(_writes_integers(view, operator) for _, operator in view.operators())
    if not (floats and integers and converting):
        return
    yield Explanation(
        "operator",
        ", ".join(dict.fromkeys(floats)),
        "float_islands",
        f"{len(floats)} operators compute with floats in the middle of a quantized network, and "
        f"{len(converting)} QUANTIZE and DEQUANTIZE convert around them. int8 gains little or "
        "nothing there.",
        "Choose layers whose operators have int8 kernels: batch normalization for layer or group "
        "normalization, ReLU for functions that the converter leaves in floats.",
    )


def _ends(view: View) -> Iterator[Explanation]:
    graph = view.graph
    ends = {*indices(graph.inputs), *indices(graph.outputs)}
    converting = [
        operator
        for _, operator in view.operators()
        if _converts(view, operator)
        and ends & {*indices(operator.inputs), *indices(operator.outputs)}
    ]
    if converting:
        yield Explanation(
            "operator",
            "QUANTIZE, DEQUANTIZE",
            "float_ends",
            "The network computes with integers but takes or gives floats, and converts them in "
            "each inference.",
            "Convert with int8 in and out, as the format int8 does, and give it raw bytes.",
        )


def _converts(view: View, operator: Any) -> bool:
    """Whether it makes integers of floats that are computed, or floats of integers."""
    if operator_name(view.parsed, operator) not in ("QUANTIZE", "DEQUANTIZE"):
        return False
    read, written = read_by(view.graph, operator), written_by(view.graph, operator)
    types = {type_name(tensor) for tensor in (*read, *written)}
    computed = not all(is_constant(view.parsed, tensor) for tensor in read)
    return computed and "FLOAT32" in types and bool(types & _INTEGERS)


def _writes_floats(view: View, operator: Any) -> bool:
    return any(type_name(tensor) == "FLOAT32" for tensor in written_by(view.graph, operator))


def _writes_integers(view: View, operator: Any) -> bool:
    return any(type_name(tensor) in _INTEGERS for tensor in written_by(view.graph, operator))


def _normalizations(view: View) -> Iterator[Explanation]:
    names = [name for name, _ in view.operators()]
    roots = names.count("RSQRT") + names.count("SQRT")
    spreads = names.count("SQUARED_DIFFERENCE") + names.count("SQUARE")
    count = min(roots, spreads)
    if not count or "MEAN" not in names:
        return
    parts = [name for name in names if name in _NORMALIZING]
    yield Explanation(
        "operator",
        ", ".join(dict.fromkeys(parts)),
        "normalization",
        f"{count} normalizations take mean and variance of each input anew: {len(parts)} operators "
        "that pruning doesn't touch. Measured on one x86 machine, group and layer normalization "
        "took 1.2 to 1.7 times the time of the same network with batch normalization in fp32, and "
        "3.7 to 10 times in int8.",
        "Batch normalization is folded into the weights before it and costs nothing: "
        '`swap_norm(model, "batch")`, and train again.',
    )


def _wide_activations(view: View) -> Iterator[Explanation]:
    wide = [
        name
        for name, operator in view.operators()
        if any(layer.output in indices(operator.outputs) for layer in view.layers)
        and {type_name(t) for t in read_by(view.graph, operator)} >= {"INT16", "INT8"}
    ]
    if wide:
        yield Explanation(
            "operator",
            ", ".join(dict.fromkeys(wide)),
            "int16x8",
            "Activations are int16 and weights int8. No runtime here has fast kernels for that: "
            "measured on one x86 machine, such files ran at 0.05 to 0.22 times the speed of fp32.",
            "Choose int8; where it loses too much accuracy, calibrate with more data or choose "
            "fp16.",
        )


def _names(view: View) -> dict[str, None]:
    return dict.fromkeys(name for name, _ in view.operators())
