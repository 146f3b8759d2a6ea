"""Data that needs no download: digits, a linear map, and arrays in an `.npz` file."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from tfticket.data.dataset import Source, Split
from tfticket.errors import DataError
from tfticket.seeds import generator

_LINEAR_SIZE = 10


def read_digits() -> Source:
    """Reads 1,797 handwritten digits of 8x8 pixels, values 0 to 16, that scikit-learn carries.

    They are the test part of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak
    1998).
    """
    from sklearn.datasets import load_digits  # half a second that others don't need

    bunch = load_digits()
    return Source(
        train=Split(bunch.images.astype(np.uint8), bunch.target),
        test=None,
        description="UCI optical digits, 8x8 pixels, from scikit-learn.",
        class_names=tuple(str(digit) for digit in range(10)),
        max_value=16.0,
    )


def read_linear() -> Source:
    """Makes the regression of a deep linear network: x and A x, both x and A Gaussian.

    Ten inputs and ten targets, unit variance each of x and of A; 2,000 examples to train on, half
    of which are meant to be held out (`validation=1_000`), and 1,000 to test. The numbers are
    always the same ones. Santurkar et al. (arXiv:1805.11604), appendix A.1.2, have n = 1,000.
    """
    rng = generator(0, "linear")
    matrix = rng.standard_normal((_LINEAR_SIZE, _LINEAR_SIZE))

    def split(count: int) -> Split:
        x = rng.standard_normal((count, _LINEAR_SIZE))
        return Split(x.astype(np.float32), (x @ matrix.T).astype(np.float32))

    return Source(
        train=split(2000),
        test=split(1000),
        description="Gaussian x in 10 dimensions and y = A x with one Gaussian matrix A.",
        max_value=1.0,  # taken as they are
        regression=True,
    )


def resolved(path: str, data_dir: str | os.PathLike[str] | None) -> Path:
    """What PATH means in `folder:` and `npz:`: `~` is expanded, `data_dir` is where it starts."""
    return Path(data_dir or ".").expanduser() / Path(path).expanduser()


def read_npz(path: str, data_dir: str | os.PathLike[str] | None) -> Source:
    """Reads arrays from an `.npz` file, never by pickle.

    The file holds `x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y` (a fifth becomes test
    data); `class_names` may be there too. Inputs have shape (n, features), (n, height, width) or
    (n, height, width, channels), labels are integers from 0.

    Args:
        path: The file.
        data_dir: Where a relative path starts.

    Raises:
        DataError: when the file is missing, damaged, or lacks arrays.
    """
    file = resolved(path, data_dir)
    if not file.is_file():
        raise DataError(
            f"`npz:PATH` must name a file that exists. Received: {file.absolute()}, no such file."
        )
    try:
        with file.open("rb") as opened:  # np.load forgets to close a path that it can't read
            archive = np.load(opened, allow_pickle=False)
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"`{file}` can't be read as an .npz file without pickle: {error} Write it with "
            "`np.savez` from arrays of numbers."
        ) from error
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        train = Split(arrays["x_train"], arrays["y_train"])
        test: Split | None = Split(arrays["x_test"], arrays["y_test"])
    elif {"x", "y"} <= arrays.keys():
        train, test = Split(arrays["x"], arrays["y"]), None
    else:
        raise DataError(
            "An .npz file must hold x_train, y_train, x_test and y_test, or x and y. Received: "
            f"`{file}` with {', '.join(sorted(arrays)) or 'nothing'}."
        )
    return Source(
        train,
        test,
        description=f"Arrays of {file.name}.",
        class_names=tuple(str(name) for name in arrays.get("class_names", ())),
    )
