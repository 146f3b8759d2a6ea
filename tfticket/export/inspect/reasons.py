"""Why the zeros among weights don't make a file smaller or faster, and which operators cost."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfticket.export.flatbuffer import (
    UNPACKING,
    dynamic_tensors,
    elements,
    indices,
    is_constant,
    type_name,
)
from tfticket.export.inspect.layers import Explanation, Layer, View, dead_units
from tfticket.export.sparse.tensor import encode, encoded_bytes

PRUNED = 0.2  # share of zeros from which weights are taken for pruned; rounding alone makes few
BREAK_EVEN = 0.94  # measured: where the sparse dense-layer kernel becomes the faster one
_SMALL = 0.02
_PATTERNS = ((1, 2), (1, 4), (2, 4), (1, 8), (2, 8), (4, 8))
_NEARLY_FULL = 0.9
_GROUPS = 16  # fewer could look so by chance
_CHANNELS = (
    'Prune whole units instead (`structure = "channel"`): shrink cuts them out, which makes any '
    "file smaller and faster on any runtime."
)
IN_LITERT = frozenset({"TFLite_Detection_PostProcess", "NumericVerify", "Mfcc", "AudioSpectrogram"})
"""Custom operators that the stock resolver of LiteRT has, as `register.cc` lists them."""
_SIZES = ("SHAPE", "STRIDED_SLICE", "PACK")
_NORMALIZING = frozenset(
    {"MEAN", "SQUARED_DIFFERENCE", "SQUARE", "SUB", "NEG", "RSQRT", "SQRT", "DIV", "MUL", "ADD"}
)
_INTEGERS = frozenset({"INT8", "INT16", "UINT8"})


def explain_weights(view: View) -> Iterator[Explanation]:
    """Explain what the weights of each layer cost, tensor by tensor."""
    small = small_layers(view)
    seen: set[str] = set()
    for layer in view.layers:
        if layer.name not in seen:
            seen.add(layer.name)
            if layer not in small:
                yield from _storage(view, layer)
            yield from _units(view, layer)
            yield from _pattern(layer)
    pruned = [layer for layer in small if layer.sparsity >= PRUNED]
    if pruned:
        yield _too_small(view, pruned)


def small_layers(view: View) -> list[Layer]:
    """Return layers that together have next to nothing of the bytes and multiply-adds."""
    by_size = sorted(view.layers, key=lambda layer: _shares(view, [layer]))
    for count in range(len(by_size), 0, -1):
        if max(_shares(view, by_size[:count])) < _SMALL:
            return [layer for layer in view.layers if layer in by_size[:count]]
    return []


def _shares(view: View, layers: list[Layer]) -> tuple[float, float]:
    """Of all bytes that are stored, and of all multiply-adds, what layers have."""
    stored = sum({id(layer.tensor): layer.stored_bytes for layer in layers}.values())
    computed = sum(layer.multiply_adds for layer in layers)
    return (stored / max(view.stored_bytes, 1), computed / max(view.cost.multiply_adds, 1))


def _storage(view: View, layer: Layer) -> Iterator[Explanation]:
    if layer.sparsity < PRUNED:
        return
    if layer.unpacked_by == "DENSIFY":
        yield Explanation(
            "tensor",
            layer.name,
            "unpacked",
            f"It is stored sparsely, in {layer.stored_bytes:,} bytes, but DENSIFY unpacks it when "
            f"the file is loaded, and {layer.operator} runs a dense kernel. On x86 processors with "
            "AVX no kernel skips zeros of unpacked weights, so the file is smaller but no faster.",
            _sparse_fc(layer) or _CHANNELS,
        )
    elif layer.tensor.sparsity is not None:
        if layer.sparsity < BREAK_EVEN:
            yield Explanation(
                "tensor",
                layer.name,
                "below_break_even",
                f"It is stored sparsely and its zeros are skipped, but only {layer.sparsity:.1%} "
                "of the weights are zero. Looking up where the others belong takes longer than "
                f"multiplying by zeros, up to about {BREAK_EVEN:.0%} (measured on one x86 "
                "machine).",
                "Prune further, store it densely if time counts more than bytes, or choose int8.",
            )
    else:
        yield Explanation(
            "tensor",
            layer.name,
            "dense_zeros",
            f"{layer.sparsity:.1%} of its {layer.zero.size:,} weights are zero, but it is stored "
            f"densely: {layer.stored_bytes:,} bytes either way, of which gzip makes "
            f"{_gzip(view, layer):,}. {layer.operator} runs a dense kernel, which multiplies zeros "
            "as fast as anything else.",
            _sparse_fc(layer) or _where_nothing_skips(layer),
        )


def _sparse_fc(layer: Layer) -> str | None:
    """Say what sparse storage would bring; None where no kernel reads it, or it's no gain."""
    if layer.operator != "FULLY_CONNECTED" or type_name(layer.tensor) not in ("FLOAT32", "FLOAT16"):
        return None
    kept = (~layer.zero).astype(np.float32)
    size = encoded_bytes(*encode(kept))
    if size >= 4 * elements(layer.tensor):
        return None
    store = f"The format sparse_fc would store it in {size:,} bytes (CSR, float32)"
    if layer.sparsity >= BREAK_EVEN:
        return (
            f"{store} and skip its zeros, which is faster from about {BREAK_EVEN:.0%} zeros on "
            "(measured on one x86 machine). int8 is smaller and faster with or without zeros."
        )
    return (
        f"{store}, but its kernel gains time only from about {BREAK_EVEN:.0%} zeros on (measured "
        f"on one x86 machine). For time choose int8. {_CHANNELS}"
    )


def _where_nothing_skips(layer: Layer) -> str:
    integer = type_name(layer.tensor) in ("INT8", "INT4", "UINT8")
    said = (
        f"No format skips zeros of {type_name(layer.tensor)} weights reliably: send the file "
        "compressed, which does find them."
        if integer
        else f"No runtime skips zeros of {layer.operator} here; int8 is smaller and faster."
    )
    return f"{said} {_CHANNELS}"


def _gzip(view: View, layer: Layer) -> int:
    return len(zlib.compress(bytes(view.model.buffers[layer.tensor.buffer].data), 9))


def _units(view: View, layer: Layer) -> Iterator[Explanation]:
    found = dead_units(view, layer)
    if found is None or not found.removable.any():
        return
    cut, silent = int(found.removable.sum()), int(found.silent.sum())
    yield Explanation(
        "tensor",
        layer.name,
        "dead_units",
        f"{cut} of its {layer.units} units could be cut out but are stored and computed: {silent} "
        f"have no weight coming in that isn't zero, {cut - silent} more none going out.",
        f"shrink takes out these {cut}, perhaps more, where it knows all layers of the Keras "
        "model, and leaves the answers as they are; `export` does it by itself.",
    )


def _pattern(layer: Layer) -> Iterator[Explanation]:
    if layer.operator == "DEPTHWISE_CONV_2D" or layer.sparsity < PRUNED:
        return
    kept = ~layer.zero
    for n, m in _PATTERNS:
        groups = kept[..., : kept.shape[-1] // m * m].reshape(-1, m).sum(axis=1)
        if groups.size >= _GROUPS and groups.max() == n and groups.mean() >= _NEARLY_FULL * n:
            yield Explanation(
                "tensor",
                layer.name,
                "n_of_m",
                f"At most {n} of each {m} neighbors along its inputs aren't zero. No kernel of "
                "LiteRT uses such a pattern: it is stored and multiplied as a dense tensor.",
                "It pays only on hardware that has instructions for it. Here, zeros pay in blocks "
                'of four neighbors (`structure = "block_1x4"`, then sparse_fc) or as whole units.',
            )
            return


def _too_small(view: View, layers: list[Layer]) -> Explanation:
    stored, computed = _shares(view, layers)
    return Explanation(
        "tensor",
        ", ".join(layer.name for layer in layers),
        "too_small",
        f"Too small to matter: {stored:.1%} of the bytes and {computed:.1%} of the multiply-adds "
        "are theirs, so their zeros could save no more than that.",
        "Leave them out of the pruning (`skip`): it risks accuracy there and saves nothing.",
    )


def explain_operators(view: View) -> Iterator[Explanation]:
    """Explain which operators take time or bytes for reasons that pruning doesn't touch."""
    yield from _foreign(view)
    yield from _sizes(view)
    yield from _unpacked_halves(view)
    yield from _islands(view)
    yield from _ends(view)
    yield from _normalizations(view)
    yield from _wide_activations(view)
    yield from _hybrid(view)
    yield from _old_integers(view)


def _foreign(view: View) -> Iterator[Explanation]:
    custom = [name for name in _names(view) if name.startswith("custom:")]
    known = [name for name in custom if name.removeprefix("custom:") in IN_LITERT]
    if known:
        yield Explanation.of_operators(
            known,
            "custom_in_litert",
            "They are no operators of the format itself. LiteRT and TensorFlow Lite have kernels "
            "for them; other runtimes and compilers for accelerators may not, and no delegate "
            "speeds them up.",
            "Let the program compute this from the outputs before it, where a runtime lacks them.",
        )
    foreign = [name for name in custom if name not in known]
    if foreign:
        yield Explanation.of_operators(
            foreign,
            "custom",
            "No stock runtime has these operators. Those called Flex need all of TensorFlow beside "
            "the runtime, which is larger than most networks, and no delegate speeds them up.",
            "Build the layers that need them from others that Keras has, and convert without "
            "`SELECT_TF_OPS`.",
        )


def _sizes(view: View) -> Iterator[Explanation]:
    found = [name for name in _SIZES if name in _names(view)]
    unknown = dynamic_tensors(view.model)
    if "SHAPE" not in found and not unknown:
        return
    yield Explanation.of_operators(
        found,
        "dynamic_shapes",
        "The batch or another side isn't known before the network runs, so "
        + ("operators compute sizes in each inference, and " if found else "")
        + "delegates stay away from what depends on them. A microcontroller takes all sides as "
        "long as the file says.",
        "Build the model with keras.Input(..., batch_size=1) and all sides given before it is "
        "converted; `export` does it for the batch.",
    )


def _unpacked_halves(view: View) -> Iterator[Explanation]:
    halves = sum(
        name == "DEQUANTIZE" and all(_is_half(view, t) for t in view.read(operator))
        for name, operator in view.named()
    )
    if halves:
        yield Explanation.of_operators(
            ("DEQUANTIZE",),
            "half_unpacked",
            f"{halves} tensors are stored as float16 and unpacked to float32 when the file is "
            "loaded: half the bytes in the file, the same memory and the same time on a CPU.",
            "For time on a CPU choose int8; float16 is fast on GPUs.",
        )


def _is_half(view: View, tensor: Any) -> bool:
    return type_name(tensor) == "FLOAT16" and is_constant(view.model, tensor)


def _islands(view: View) -> Iterator[Explanation]:
    """Floats between integers: what is computed there, and what converts."""
    converting = [name for name, operator in view.named() if _converts(view, operator)]
    floats = [
        name
        for name, operator in view.named()
        if name not in UNPACKING | {"QUANTIZE"} and "FLOAT32" in _types_written(view, operator)
    ]
    integers = any(_INTEGERS & _types_written(view, operator) for _, operator in view.named())
    if not (floats and integers and converting):
        return
    yield Explanation.of_operators(
        floats,
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
        for _, operator in view.named()
        if _converts(view, operator)
        and ends & {*indices(operator.inputs), *indices(operator.outputs)}
    ]
    if converting:
        yield Explanation.of_operators(
            ("QUANTIZE", "DEQUANTIZE"),
            "float_ends",
            "The network computes with integers but takes or gives floats, and converts them in "
            "each inference.",
            "Convert with int8 in and out, as the format int8 does, and give it raw bytes.",
        )


def _converts(view: View, operator: Any) -> bool:
    """Tell whether it makes integers of floats that are computed, or floats of integers."""
    if view.name(operator) not in ("QUANTIZE", "DEQUANTIZE"):
        return False
    read, written = view.read(operator), view.written(operator)
    types = {type_name(tensor) for tensor in (*read, *written)}
    computed = not all(is_constant(view.model, tensor) for tensor in read)
    return computed and "FLOAT32" in types and bool(types & _INTEGERS)


def _types_written(view: View, operator: Any) -> set[str]:
    return {type_name(tensor) for tensor in view.written(operator)}


def _normalizations(view: View) -> Iterator[Explanation]:
    names = [name for name, _ in view.named()]
    roots = names.count("RSQRT") + names.count("SQRT")
    spreads = names.count("SQUARED_DIFFERENCE") + names.count("SQUARE")
    count = min(roots, spreads)
    if not count or "MEAN" not in names:
        return
    parts = [name for name in names if name in _NORMALIZING]
    yield Explanation.of_operators(
        parts,
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
        for name, operator in view.named()
        if any(layer.output in indices(operator.outputs) for layer in view.layers)
        and {type_name(t) for t in view.read(operator)} >= {"INT16", "INT8"}
    ]
    if wide:
        yield Explanation.of_operators(
            wide,
            "int16x8",
            "Activations are int16 and weights int8. No runtime here has fast kernels for that: "
            "measured on one x86 machine, such files ran at 0.05 to 0.22 times the speed of fp32.",
            "Choose int8; where it loses too much accuracy, calibrate with more data or choose "
            "fp16.",
        )


def _hybrid(view: View) -> Iterator[Explanation]:
    hybrid = [
        name
        for name, operator in view.named()
        if any(layer.source is operator and layer.unpacked_by is None for layer in view.layers)
        and {type_name(t) for t in view.read(operator)} >= {"FLOAT32", "INT8"}
    ]
    if hybrid:
        yield Explanation.of_operators(
            hybrid,
            "hybrid",
            f"{len(hybrid)} layers have weights of int8 and take floats, which they round in each "
            "inference: the bytes of int8, and less than its speed. TensorFlow Lite Micro has no "
            "such kernels.",
            "Calibrate it (the format int8) for speed, and for microcontrollers.",
        )


def _old_integers(view: View) -> Iterator[Explanation]:
    old = [layer for layer in view.layers if type_name(layer.tensor) == "UINT8"]
    if old:
        yield Explanation.of_operators(
            (layer.operator for layer in old),
            "old_uint8",
            f"{len(old)} layers are quantized in the older way: uint8, with one scale for all of a "
            "layer's weights. TensorFlow Lite Micro has no such kernels.",
            "Convert the network again as int8, which has a scale for each output channel: more "
            "exact, and taken everywhere.",
        )


def _names(view: View) -> dict[str, None]:
    return dict.fromkeys(name for name, _ in view.named())
