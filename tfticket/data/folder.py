"""Images in folders, one folder a class."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from tfticket.data import cache
from tfticket.data.dataset import Source, Split
from tfticket.data.sources import resolved
from tfticket.errors import DataError

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".webp"})
_GRAY_MODES = frozenset({"1", "L", "I", "I;16", "LA"})


def read(path: str, data_dir: str | os.PathLike[str] | None) -> Source:
    """Reads a folder of images.

    `PATH/CLASS/*.png` gives training data; with `PATH/train/CLASS/*` and `PATH/test/CLASS/*` there
    is test data too. Classes are the folder names in alphabetical order. All images are resized to
    the size that most of them have, or to the one in `PATH@HEIGHTxWIDTH`; they stay gray when all
    of them are gray, and are RGB otherwise.

    Args:
        path: The folder, with an optional `@HEIGHTxWIDTH`.
        data_dir: Where a relative path starts.

    Raises:
        DataError: when the folder is missing, has no class folders or no images, or an image can't
            be read.
    """
    match = re.fullmatch(r"(?P<path>.+?)(?:@(?P<height>[1-9]\d*)x(?P<width>[1-9]\d*))?", path)
    assert match is not None  # the pattern fits any text
    root = resolved(match["path"], data_dir)
    if not root.is_dir():
        raise DataError(
            f"`folder:PATH` must name a folder that exists. Received: {root.absolute()}."
        )
    parts = [root / "train", root / "test"]
    if not all(part.is_dir() for part in parts):
        parts = [root]
    classes = _class_names(parts[0])
    files = [_files(part, classes) for part in parts]
    size = (int(match["width"]), int(match["height"])) if match["height"] else None
    stamps = [cache.stamp(root, [file for file, _ in part]) for part in files]
    return cache.remember(
        f"folder-{root.name}",
        [str(root.absolute()), classes, size, stamps],
        lambda: _source(root, classes, files, size),
    )


def _source(
    root: Path,
    classes: list[str],
    files: list[list[tuple[Path, int]]],
    size: tuple[int, int] | None,
) -> Source:
    sizes, gray = _survey([file for part in files for file, _ in part])
    size = size or sizes.most_common(1)[0][0]  # (width, height), as pillow has it
    resized = sum(count for found, count in sizes.items() if found != size)
    train, *test = [_decode(part, size, "L" if gray else "RGB") for part in files]
    return Source(
        train,
        test[0] if test else None,
        description=f"Images of the folder {root.name}, {size[1]}x{size[0]} pixels, "
        f"{resized:,} of {sizes.total():,} resized.",
        class_names=tuple(classes),
    )  # fmt: skip


def _class_names(root: Path) -> list[str]:
    classes = sorted(entry.name for entry in root.iterdir() if _is_class(entry))
    if not classes:
        raise DataError(
            "`folder:PATH` must hold one folder of images a class (or `train` and `test` with such "
            f"folders in them). Received: {root.absolute()} without folders."
        )
    return classes


def _is_class(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith((".", "_"))


def _files(root: Path, classes: list[str]) -> list[tuple[Path, int]]:
    unknown = [e.name for e in root.iterdir() if _is_class(e) and e.name not in classes]
    if unknown:
        raise DataError(
            "Test data must have no classes that the training data lacks. Received: "
            f"{', '.join(sorted(unknown))} in {root.absolute()}."
        )
    files = [
        (file, label)
        for label, name in enumerate(classes)
        if (root / name).is_dir()
        for file in sorted((root / name).rglob("*"))
        if file.suffix.lower() in _SUFFIXES
    ]
    if not files:
        raise DataError(
            f"`folder:PATH` must hold images ({', '.join(sorted(_SUFFIXES))}). Received: "
            f"{root.absolute()} with class folders but no image in them."
        )
    return files


def _survey(files: list[Path]) -> tuple[Counter[tuple[int, int]], bool]:
    """Sizes of all images, and whether all are gray; reads their headers only."""
    sizes: Counter[tuple[int, int]] = Counter()
    gray = True
    for file in files:
        with _opened(file) as image:
            sizes[image.size] += 1
            gray = gray and image.mode in _GRAY_MODES
    return sizes, gray


def _opened(file: Path) -> Image.Image:
    try:
        return Image.open(file)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"`{file}` can't be read as an image: {error}. Mend it or take it out.")


def _decode(files: list[tuple[Path, int]], size: tuple[int, int], mode: str) -> Split:
    channels = 1 if mode == "L" else 3
    x = np.empty((len(files), size[1], size[0], channels), np.uint8)
    for index, (file, _) in enumerate(files):
        with _opened(file) as image:
            try:
                pixels = image.convert(mode)
            except (OSError, SyntaxError, ValueError) as error:
                raise _unreadable(file, error) from error
            if pixels.size != size:
                pixels = pixels.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
            x[index] = np.asarray(pixels).reshape(size[1], size[0], channels)
    return Split(x, np.array([label for _, label in files], np.int32))
