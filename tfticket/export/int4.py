"""Weights of 4 bits, made of the dense fp32 file by ai-edge-quantizer."""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.quiet import quiet


def quantize_weights_int4(content: bytes, *, source: str = "The file") -> bytes:
    """Round the weights of a file to 4 bits; activations are computed in floats.

    Each output channel has a scale of its own and no zero point, so weights that are zero stay
    zero. The layers are computed as those of the format `dynamic` are. Made by ai-edge-quantizer.

    Args:
        content: A `.tflite` file with float32 weights, stored densely.
        source: What to call it in an error.

    Returns:
        The new file; equal files give equal bytes.

    Raises:
        ExportError: when the file has weights that are stored sparsely or quantized already, when
            the package ai-edge-quantizer isn't there, or when it fails.
    """
    _check_plain(flatbuffer.parse(content, source=source), source)
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise ExportError(
            "Weights in 4 bits are made by the package ai-edge-quantizer. Received: an environment "
            f"without it ({error}). Install it: pip install 'tfticket[int4]'"
        ) from error
    try:
        with quiet():
            work = quantizer.Quantizer(content, recipe.dynamic_wi4_afp32())
            done = work.quantize(enable_progress_bar=False, enable_progress_report=False)
    except Exception as error:  # it lets through whatever its parts raise
        raise ExportError(
            f"ai-edge-quantizer could not round the weights of {source} to 4 bits: {error}"
        ) from error
    if done.quantized_model is None:
        raise ExportError(f"ai-edge-quantizer made nothing of {source}.")
    # Written again, so that the data is aligned as in all other files.
    made = flatbuffer.parse(bytes(done.quantized_model), source=f"{source}, in 4 bits,")
    if not any(tensor.type == schema.TensorType.INT4 for tensor in flatbuffer.tensors(made)):
        raise ExportError(
            f"A file needs weights of layers that can be computed in 4 bits. Received: {source}, "
            "where none was rounded. Choose another format."
        )
    return flatbuffer.pack(made)


def _check_plain(model: Any, source: str) -> None:
    if flatbuffer.has_sparse_tensors(model):
        raise ExportError(
            "Weights are rounded to 4 bits where they are stored densely: of sparsely stored ones "
            f"the quantizer makes nothing, or a file that fails. Received: {source} with sparsely "
            "stored weights. Round the dense fp32 file."
        )
    rounded = [
        f"`{flatbuffer.name_of(tensor)}` ({flatbuffer.type_name(tensor)})"
        for tensor in flatbuffer.tensors(model)
        if tensor.type == schema.TensorType.FLOAT16
        or (tensor.quantization is not None and tensor.quantization.scale is not None)
    ]
    if rounded:
        raise ExportError(
            "Weights must be float32 before they are rounded to 4 bits. Received: "
            f"{source} with {', '.join(rounded[:3])}{' and more' * (len(rounded) > 3)}. Round the "
            "fp32 file."
        )
