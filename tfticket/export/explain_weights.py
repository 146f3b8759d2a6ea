"""Why the zeros among weights don't make a file smaller or faster, tensor by tensor."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from tfticket.export import sparse_tensor
from tfticket.export.dead_units import dead_units
from tfticket.export.explanation import Explanation, Layer, View
from tfticket.export.flatbuffer import type_name
from tfticket.export.tensors import elements

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


def explain_weights(view: View) -> Iterator[Explanation]:
    """What can be said of the weights of each layer."""
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
    """The layers that together have next to nothing of the file's bytes and multiply-adds."""
    by_size = sorted(view.layers, key=lambda layer: _shares(view, [layer]))
    for count in range(len(by_size), 0, -1):
        if max(_shares(view, by_size[:count])) < _SMALL:
            return [layer for layer in view.layers if layer in by_size[:count]]
    return []


def _shares(view: View, layers: list[Layer]) -> tuple[float, float]:
    """Of all bytes that are stored, and of all multiply-adds, what layers have."""
    stored = sum({id(layer.tensor): layer.stored_bytes for layer in layers}.values())
    computed = sum(layer.multiply_adds for layer in layers)
    return (
        stored / max(view.stored_bytes, 1),
        computed / max(view.cost.multiply_adds, 1),
    )


def _storage(view: View, layer: Layer) -> Iterator[Explanation]:
    if layer.sparsity < PRUNED:
        return
    if layer.unpacked_by == "DENSIFY":
        yield _explained(
            layer,
            "unpacked",
            f"It is stored sparsely, in {layer.stored_bytes:,} bytes, but DENSIFY unpacks it when "
            f"the file is loaded, and {layer.operator} runs a dense kernel. On x86 processors with "
            "AVX no kernel skips zeros of unpacked weights, so the file is smaller but no faster.",
            _sparse_fc(layer) or _CHANNELS,
        )
    elif layer.tensor.sparsity is not None:
        if layer.sparsity < BREAK_EVEN:
            yield _explained(
                layer,
                "below_break_even",
                f"It is stored sparsely and its zeros are skipped, but only {layer.sparsity:.1%} "
                "of the weights are zero. Looking up where the others belong takes longer than "
                f"multiplying by zeros, up to about {BREAK_EVEN:.0%} (measured on one x86 "
                "machine).",
                "Prune further, store it densely if time counts more than bytes, or choose int8.",
            )
    else:
        yield _explained(
            layer,
            "dense_zeros",
            f"{layer.sparsity:.1%} of its {layer.zero.size:,} weights are zero, but it is stored "
            f"densely: {layer.stored_bytes:,} bytes either way, of which gzip makes "
            f"{_gzip(view, layer):,}. {layer.operator} runs a dense kernel, which multiplies zeros "
            "as fast as anything else.",
            _sparse_fc(layer) or _where_nothing_skips(layer),
        )


def _sparse_fc(layer: Layer) -> str | None:
    """What storing it sparsely would bring; None where no kernel reads it so, or it's no gain."""
    if layer.operator != "FULLY_CONNECTED" or type_name(layer.tensor) not in ("FLOAT32", "FLOAT16"):
        return None
    kept = (~layer.zero).astype(np.float32)
    size = sparse_tensor.stored_bytes(*sparse_tensor.encode(kept))
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
    return len(zlib.compress(bytes(view.parsed.buffers[layer.tensor.buffer].data), 9))


def _units(view: View, layer: Layer) -> Iterator[Explanation]:
    found = dead_units(view, layer)
    if found is None or not found.removable.any():
        return
    cut, silent = int(found.removable.sum()), int(found.silent.sum())
    yield _explained(
        layer,
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
            yield _explained(
                layer,
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


def _explained(layer: Layer, rule: str, fact: str, remedy: str) -> Explanation:
    return Explanation("tensor", layer.name, rule, fact, remedy)
