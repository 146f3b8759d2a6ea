"""Predictions and features from elsewhere, features of images, and what features tell.

Duplicates make a model agree with a wrong label: one copy is trained on, the other predicted.
Outliers belong to no class, whatever their label is.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfticket.data.arrays import pieces
from tfticket.errors import DataError, ModelError
from tfticket.noise.labels.given import checked_features, checked_probabilities, read_npz
from tfticket.reading import read_npy
from tfticket.seeds import generator

if TYPE_CHECKING:
    import keras

PathLike = str | os.PathLike[str]

_PREDICTIONS = ("pred_probs", "probabilities", "probs", "p")
_FEATURES = ("features", "embeddings", "x", "x_train")


def read_pred_probs(path: PathLike, *, count: int | None = None) -> np.ndarray:
    """Read out-of-sample probabilities from a file.

    Formats: `.npy`; `.npz` with an array called pred_probs, probabilities, probs or p, or with one
    array only; `.csv` and `.parquet` with a column for each class.

    Args:
        path: The file.
        count: Number of examples that it must be about; None takes any.

    Returns:
        Probabilities, shape (n, k), each row summing to 1.

    Raises:
        DataError: when the file can't be read, or holds no probabilities.
    """
    return _with_path(path, lambda: checked_probabilities(_read(Path(path), _PREDICTIONS), count))


def read_features(path: PathLike, *, count: int | None = None) -> np.ndarray:
    """Read features from a file: rows of numbers, such as embeddings of any network.

    Formats: `.npy`; `.npz` with an array called features, embeddings, x or x_train, or with one
    array only; `.csv` and `.parquet` with a column for each feature.

    Args:
        path: The file.
        count: Number of examples that it must be about; None takes any.

    Returns:
        Features, shape (n, columns), float32 or float64, finite.

    Raises:
        DataError: when the file can't be read, or holds no such rows.
    """
    return _with_path(path, lambda: checked_features(_read(Path(path), _FEATURES), count))


def _with_path(path: PathLike, read: Callable[[], np.ndarray]) -> np.ndarray:
    try:
        return read()
    except DataError as error:
        raise DataError(f"`{path}`: {error}") from error
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise DataError(f"`{path}` can't be read as rows of numbers: {error!s:.200}.") from error


def _read(path: Path, names: tuple[str, ...]) -> np.ndarray:
    readers: dict[str, Callable[[], np.ndarray]] = {
        ".npy": lambda: read_npy(path),
        ".npz": lambda: read_npz(path, names, names[0]),
        ".csv": lambda: _read_csv(path),
        ".parquet": lambda: _read_parquet(path),
    }
    if path.suffix.lower() not in readers:
        raise DataError(
            f"Rows of numbers are read from {', '.join(readers)}. Received: {path.name}. Save "
            "other formats as an array with numpy.save."
        )
    return readers[path.suffix.lower()]()


def _read_csv(path: Path) -> np.ndarray:
    with path.open(encoding="utf-8-sig") as file:
        first = file.readline()
    try:
        np.array(first.split(","), float)
        named = 0
    except ValueError:
        named = 1
    return np.loadtxt(path, delimiter=",", ndmin=2, skiprows=named, encoding="utf-8-sig")


def _read_parquet(path: Path) -> np.ndarray:
    from pyarrow import parquet  # comes with TensorFlow Datasets

    table = parquet.read_table(path, use_threads=False)
    return np.column_stack([column.to_numpy().astype(np.float64) for column in table.columns])


def features_of(
    images: np.ndarray, backbone: PathLike | keras.Model, *, batch_size: int = 32
) -> np.ndarray:
    """Compute features of images by a pretrained network: its last output, pooled over places.

    Args:
        images: Shape (n, height, width, channels), in the range that the network takes; for one of
            `keras.applications`, 0 to 255. They are resized to its size, and gray ones made RGB.
        backbone: A `.keras` file, a network, or the name of one of `keras.applications` such as
            `MobileNetV2`, whose weights are downloaded when Keras hasn't got them yet.
        batch_size: Images at a time.

    Returns:
        Features, shape (n, columns), float32.

    Raises:
        ModelError: when there is no such network, or it takes no images.
        DataError: when these are no images.
    """
    import keras

    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DataError(
            "Features are of images, shape (n, height, width, 1 or 3). Received: "
            f"{images.shape}. Rows of numbers are features already."
        )
    model, prepare = _backbone(backbone)
    shape = model.input_shape if isinstance(model.input_shape, tuple) else ()
    if len(shape) != 4 or shape[3] not in (1, 3, None):
        raise ModelError(
            "A backbone must take images, shape (height, width, channels). Received: "
            f"{model.name!r}, which takes {model.input_shape}."
        )
    size = tuple(own or given for own, given in zip(shape[1:3], images.shape[1:3], strict=True))
    found = []
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size].astype(np.float32)
        if part.shape[1:3] != size:
            part = keras.ops.convert_to_numpy(keras.ops.image.resize(part, size))
        if shape[3] == 3 and part.shape[3] == 1:
            part = np.repeat(part, 3, axis=3)
        elif shape[3] == 1 and part.shape[3] == 3:
            part = part.mean(axis=3, keepdims=True)
        outputs = keras.ops.convert_to_numpy(model(prepare(part), training=False))
        places = tuple(range(1, outputs.ndim - 1))
        found.append(outputs.mean(axis=places) if places else outputs)
    return np.concatenate(found).astype(np.float32)


def _backbone(
    backbone: PathLike | keras.Model,
) -> tuple[keras.Model, Callable[[np.ndarray], np.ndarray]]:
    """The network, and what it does to images before."""
    import keras

    if isinstance(backbone, keras.Model):
        return backbone, lambda x: x
    name = os.fspath(backbone)
    if name.endswith(".keras"):
        from tfticket.models import load_file

        return load_file(name), lambda x: x
    build = getattr(keras.applications, name, None)
    if not callable(build) or not name[:1].isupper():
        raise ModelError(
            "A backbone must be a .keras file or the name of a network of keras.applications, "
            f"such as MobileNetV2. Received: {name!r}."
        )
    module = next(
        each
        for each in vars(keras.applications).values()
        if getattr(each, name, None) is build and hasattr(each, "preprocess_input")
    )
    try:
        return build(include_top=False, weights="imagenet"), module.preprocess_input
    except Exception as error:  # whatever a download raises
        raise ModelError(
            f"The weights of {name} can't be had: {error!s:.200}. Give a .keras file."
        ) from error


_SIDE = 8  # of a perceptual hash
_BANDS = 4
_MOST_DIFFERENT = 8  # of 64 bits
_LARGEST_BUCKET = 50
_LARGEST_DIFFERENCE = 0.05  # of thumbnails, as a share of the range
_NEAR = 0.02  # of the median distance to the nearest neighbor
_MOST_NAMED = 20


def find_duplicates(x: np.ndarray, *, features: np.ndarray | None = None) -> list[tuple[int, ...]]:
    """Find examples that are there more than once, exactly or nearly.

        >>> find_duplicates(np.array([[1.0, 2.0], [3.0, 1.0], [1.0, 2.0]]))
        [(2,), (), (0,)]

    Equal examples are found by their hash. Images are nearly equal where perceptual hashes share a
    quarter and differ by at most 8 of 64 bits, and thumbnails by at most 5 % of their range: the
    same image saved or sized anew. With features, examples are nearly equal whose distance is at
    most a fiftieth of what is usual between nearest neighbors.

    Args:
        x: Examples, shape (n, ...).
        features: Features of the examples, shape (n, columns).

    Returns:
        For each example the ids of the others that equal it, rising, at most 20.
    """
    pairs = set(_equal(_hashes(x)))
    if features is not None:
        pairs |= set(_near_features(checked_features(features, len(x))))
    elif x.ndim == 4 and x.shape[3] in (1, 3) and min(x.shape[1:3]) > _SIDE:
        pairs |= set(_near_images(x))
    group = np.arange(len(x))
    for one, other in sorted(pairs):
        first, second = sorted((group[one], group[other]))
        if first != second:
            group[group == second] = first
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    others: list[tuple[int, ...]] = [()] * len(x)
    for part in parts:
        if len(part) > 1:
            named = part[: _MOST_NAMED + 1].tolist()
            for each in part.tolist():
                others[each] = tuple(other for other in named if other != each)[:_MOST_NAMED]
    return others


def _hashes(x: np.ndarray) -> list[bytes]:
    return [hashlib.sha256(np.ascontiguousarray(each).tobytes()).digest() for each in x]


def _equal(keys: Iterable[bytes]) -> list[tuple[int, int]]:
    """Pairs of places with the same key; of many that are equal, each with the first."""
    first: dict[bytes, int] = {}
    pairs = []
    for place, key in enumerate(keys):
        if key in first:
            pairs.append((first[key], place))
        else:
            first[key] = place
    return pairs


def _near_images(x: np.ndarray) -> list[tuple[int, int]]:
    small = thumbnails(x, _SIDE, _SIDE + 1)
    bits = small[:, :, 1:] > small[:, :, :-1]
    packed = np.packbits(bits.reshape(len(x), -1), axis=1)
    bands = packed.reshape(len(x), _BANDS, -1)
    looks = small / (float(np.ptp(small)) or 1.0)
    pairs: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        buckets = defaultdict(list)
        for place, key in enumerate(bands[:, band]):
            buckets[key.tobytes()].append(place)
        for bucket in buckets.values():
            if len(bucket) <= _LARGEST_BUCKET:  # a larger one is a border that all have
                pairs.update(combinations(bucket, 2))
    return [
        (one, other)
        for one, other in pairs
        if np.bitwise_count(packed[one] ^ packed[other]).sum() <= _MOST_DIFFERENT
        and np.abs(looks[one] - looks[other]).max() <= _LARGEST_DIFFERENCE
    ]


def thumbnails(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrink images to gray ones of a few pixels, each the mean of its part.

    Args:
        x: Images, shape (n, h, w, channels).
        height: Rows of pixels, at most h.
        width: Columns of pixels, at most w.

    Returns:
        An array of shape (n, height, width), float32.
    """
    small = np.empty((len(x), height, width), np.float32)
    for piece in pieces(x):  # floats of all of them may not fit into memory
        small[piece] = _shrunk(x[piece], height, width)
    return small


def _shrunk(x: np.ndarray, height: int, width: int) -> np.ndarray:
    gray: np.ndarray = x.mean(axis=3, dtype=np.float32)
    for axis, size in ((1, height), (2, width)):
        edges = np.linspace(0, gray.shape[axis], size + 1).astype(int)
        starts = np.minimum(edges[:-1], gray.shape[axis] - 1)
        counts = np.maximum(np.diff(edges), 1).astype(np.float32)
        gray = np.add.reduceat(gray, starts, axis=axis)
        gray /= counts.reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
    return gray


def _near_features(features: np.ndarray) -> list[tuple[int, int]]:
    distances, ids = _nearest(features, 1)
    usual = float(np.median(distances))
    near = np.flatnonzero(distances[:, 0] <= _NEAR * usual)
    return [tuple(sorted((int(one), int(ids[one, 0])))) for one in near]  # type: ignore[misc]


_MOST_COLUMNS = 64
_MOST_ROWS = 5_000
_NEIGHBORS = 10
_DEVIATIONS = 6.0


def find_outliers(features: np.ndarray, *, neighbors: int = _NEIGHBORS) -> np.ndarray:
    """Find examples that are far from all others.

    The logarithm of the mean distance to the nearest neighbors is compared with that of all
    examples: outliers are more than 6 deviations above the median, by the median absolute one.

        >>> rows = np.random.default_rng(0).normal(size=(200, 5))
        >>> rows[7] += 40
        >>> np.flatnonzero(find_outliers(rows))
        array([7])

    Args:
        features: Rows of numbers, shape (n, columns).
        neighbors: How many, at least 1.

    Returns:
        Whether each is one, shape (n,), bool.
    """
    rows = checked_features(features)
    count = min(neighbors, len(rows) - 1)
    if count < 1:
        return np.zeros(len(rows), bool)
    distances, _ = _nearest(rows, count)
    far = np.log(np.maximum(distances.mean(axis=1), np.finfo(np.float32).tiny))
    middle = np.median(far)
    deviation = 1.4826 * np.median(np.abs(far - middle))
    outliers: np.ndarray = far > middle + _DEVIATIONS * max(float(deviation), 1e-3)
    return outliers


def _nearest(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and ids of the nearest others, shape (n, count), in scaled columns.

    Of many columns some random directions are looked at, and of many examples some.
    """
    from sklearn.neighbors import NearestNeighbors

    rows = features - features.mean(axis=0)
    deviation = rows.std(axis=0)
    rows = (rows / np.where(deviation > 0, deviation, 1)).astype(np.float32)
    if rows.shape[1] > _MOST_COLUMNS:
        rng = generator(0, "features", "directions")
        rows = rows @ rng.normal(size=(rows.shape[1], _MOST_COLUMNS)).astype(np.float32)
    part = np.sort(generator(0, "features", "part").permutation(len(rows))[:_MOST_ROWS])
    asked = min(count + 1, len(part))
    distances, places = NearestNeighbors(n_neighbors=asked).fit(rows[part]).kneighbors(rows)
    ids = part[places]
    # An example is its own nearest; one that isn't among its nearest has as many others.
    own = ids == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True
    kept = ~own
    shape = (len(rows), asked - 1)
    return distances[kept].reshape(shape), ids[kept].reshape(shape)
