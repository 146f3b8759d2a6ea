"""`to_tflite`: one model, one format, one file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfticket.export.dense_encoding import Encoding
from tfticket.export.draft import draft
from tfticket.export.reference import CheckData
from tfticket.export.result import ExportReport, Format, Preprocessing
from tfticket.sparsity.mask import Mask


def to_tflite(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    format: Format = "fp32",
    calibration: np.ndarray | None = None,
    check_on: CheckData | None = None,
    mask: Mask | None = None,
    preprocessing: Preprocessing | None = None,
    provenance: Mapping[str, Any] | None = None,
    min_agreement: float = 0.95,
    baseline: str | os.PathLike[str] | None = None,
    encodings: Mapping[str, Encoding] | None = None,
) -> ExportReport:
    """Writes a model as a `.tflite` file that was run and found right, and a `.json` beside it.

    The file takes one example at a time, of what the Keras model takes (already normalized; see
    `feeding` in the report for the way from raw data), and gives what the model gives. The bytes
    are run in LiteRT with and without its default delegate and compared with Keras before the file
    gets its name. The model is converted as it is, layer by layer: `export` takes dead units out
    and chooses a format. But for the sparse formats weights are stored densely: the zeros of a
    ticket don't make the file itself smaller, only what gzip makes of it. Exporting again gives the
    same bytes.

    Args:
        model: A built Sequential or Functional model, sparsified or plain, with one input and one
            output. It isn't changed.
        path: Where to write; must end in `.tflite`.
        format: `fp32`, exact; `fp16`, weights in half precision; `dynamic`, weights in 8 bits,
            computed in floats; `int8`, all in 8 bits, input and output too; `int4`, weights in 4
            bits, computed in floats (needs `tfticket[int4]`); `sparse_fc`, exact, the weights of
            dense layers stored without their zeros where that takes fewer bytes, and
            `sparse_fc_fast`, where it takes less time on this machine; `sparse_conv`, an
            experiment: all weights stored sparsely, in fp32, refused where it is known to crash or
            to be wrong on other processors, and otherwise with `warnings` in the report.
        calibration: For `int8`: some hundred training examples as the model takes them, shape
            (n, ...). From training data, so that the test data says nothing about the file.
        check_on: Real examples as the model takes them, shape (n, ...), at least 200 if there are
            as many, and their labels or None: classes, yes or no, one a pixel, one-hot, or numbers
            in the shape of the outputs. Without it the calibration
            data is used, and without that random numbers, which say little about quantized files.
        mask: The ticket's mask, for a plain model; a sparsified one has its own.
        preprocessing: How raw data becomes what the model takes; nothing to do when None.
        provenance: What the file is to tell about its origin: recipe, seed, level. Anything JSON
            can hold.
        min_agreement: For `dynamic`, `int8` and `int4`: smallest share, in [0, 1], of `check_on`
            on which the file must give the same class as Keras, unless its outputs are near anyway.
        baseline: A `.tflite` file to measure the latency against, in turns: the dense fp32 network.
        encodings: For the sparse formats: how to store each dense layer, from the metadata of an
            earlier file. Measured when None, unless an older file of this path and these weights
            has them.

    Returns:
        What was written, and what was seen when it was run.

    Raises:
        ExportError: when the model can't be converted, or the file fails a check; then no file is
            left behind, and an older one of that name is as it was.
        ModelError: for a subclassed model.
        RunError: when the file can't be written.
    """
    made = draft(
        model,
        Path(path),
        format=format,
        calibration=calibration,
        check_on=check_on,
        mask=mask,
        preprocessing=preprocessing,
        provenance=provenance,
        min_agreement=min_agreement,
        baseline=None if baseline is None else Path(baseline),
        encodings=encodings,
    )
    return made.save()
