"""Sparsely stored convolutions: an experiment, with what is known of it checked and said."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from tfticket.export import flatbuffer
from tfticket.export.convert import convert_sparsely
from tfticket.export.sparse_lint import Finding, lint_sparse_conv


@dataclass(frozen=True)
class SparseConversion:
    """A file with sparsely stored weights.

    Attributes:
        content: Its bytes, not yet run. They are smaller, and unpacked when the file is loaded.
        findings: Warnings.
    """

    content: bytes
    findings: tuple[Finding, ...]


def sparse_conv(static: keras.Model, *, source: str) -> SparseConversion:
    """Converts a model to float32 with all weights stored sparsely that have enough zeros.

    The file is smaller. It is faster only on processors without AVX, ARM for instance, and only
    where the network is of the narrow family that the runtime has sparse kernels for.

    Args:
        static: The model, from `static_copy`.
        source: What to call the file in an error.

    Raises:
        ExportError: when the file would crash or be silently wrong where these kernels run.
    """
    content = convert_sparsely(static)
    return SparseConversion(
        content, lint_sparse_conv(flatbuffer.parse(content, source=source), source)
    )
