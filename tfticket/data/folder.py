"""Images in folders, one folder a class."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from tfticket.data import storage
from tfticket.data.dataset import Source, Split, Unreadable
from tfticket.data.sources import resolved
from tfticket.errors import DataError

UNREADABLE = ("refuse", "skip")
"""Treatments of unreadable images."""

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".webp"})
_TEST_FOLDERS = ("test", "validation", "valid", "val")
_GRAY_MODES = frozenset({"1", "L", "LA"})
_TO_16_BITS = 257  # 65535 / 255: white stays white
_MOST_NAMED = 100
_MOST_LISTED = 10
_T = TypeVar("_T")


def read(
    path: str, data_dir: str | os.PathLike[str] | None, *, unreadable: str = "refuse"
) -> Source:
    """Read a folder of images.

    `PATH/CLASS/*.png` is training data; `PATH/train/CLASS/*` and `PATH/test/CLASS/*` (or
    `validation`, `valid`, `val`) are training and test data. Classes are the names of the folders
    with images in them, in alphabetical order. Images are resized to the most common size, or to
    that of `PATH@HEIGHTxWIDTH`; they stay gray if all of them are, and are RGB otherwise. Gray
    images of 16 or 32 bits keep their values. Files that aren't read (other suffixes, names that
    begin with a dot) are counted in the description.

    Args:
        path: The folder, with an optional `@HEIGHTxWIDTH`.
        data_dir: Folder that a relative path starts from.
        unreadable: `refuse` raises an error when images can't be read, `skip` leaves them out and
            lists them in the source.

    Raises:
        DataError: when the folder is missing, has no class folders or no images, or images can't
            be read; the message lists them.
    """
    if unreadable not in UNREADABLE:
        raise DataError(
            f"`unreadable` must be {' or '.join(UNREADABLE)}. Received: {unreadable!r}."
        )
    match = re.fullmatch(r"(?P<path>.+?)(?:@(?P<height>[1-9]\d*)x(?P<width>[1-9]\d*))?", path)
    assert match is not None  # the pattern fits any text
    root = resolved(match["path"], data_dir)
    if not root.is_dir():
        raise DataError(
            f"`folder:PATH` must name a folder that exists. Received: {root.absolute()}."
        )
    parts = parts_of(root)
    found = [_Listing.of(part) for part in parts]
    classes = _classes(parts, found)
    size = (int(match["width"]), int(match["height"])) if match["height"] else None
    unread = _unread(root, parts, found)
    stamps = [storage.stamp(root, listing.files) for listing in found]
    source = storage.remember(
        f"folder-{root.name}",
        [str(root.absolute()), classes, size, unread, stamps],
        lambda: _source(root, classes, found, size, unread, skip=unreadable == "skip"),
    )
    if source.unreadable and unreadable == "refuse":
        raise _refusal(root, source.unreadable)
    return source


@dataclass(frozen=True)
class _Listing:
    """Content of a folder of class folders.

    Attributes:
        images: Class to its images, in alphabetical order; empty for a folder without images.
        others: Number of files that aren't read, by kind.
        folders: Names of folders that are skipped.
    """

    images: dict[str, list[Path]]
    others: Counter[str]
    folders: list[str]

    @classmethod
    def of(cls, root: Path) -> _Listing:
        images, others, folders = {}, Counter[str](), []
        for entry in sorted(root.iterdir()):
            if not entry.is_dir():
                others[_kind(entry, root)] += 1
            elif entry.name.startswith((".", "_")):
                folders.append(entry.name)
            else:
                files = [file for file in sorted(entry.rglob("*")) if not file.is_dir()]
                images[entry.name] = [file for file in files if _is_image(file, entry)]
                others.update(_kind(f, entry) for f in files if not _is_image(f, entry))
        return cls(images, others, folders)

    @property
    def files(self) -> list[Path]:
        """All images, class by class."""
        return [file for files in self.images.values() for file in files]


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _is_image(file: Path, root: Path) -> bool:
    return file.suffix.lower() in _SUFFIXES and not _is_hidden(file, root) and file.is_file()


def _kind(file: Path, root: Path) -> str:
    """Return the kind of a file that isn't read, in the plural."""
    if _is_hidden(file, root):
        return "dot files"
    if not file.is_file():
        return "broken links"
    if _is_image(file, root):
        return "images outside of class folders"
    return file.suffix.lower() or "without a suffix"


def parts_of(root: Path) -> list[Path]:
    """Return the folder of training data, and that of test data if there is one."""
    train = root / "train"
    tests = [root / name for name in _TEST_FOLDERS if (root / name).is_dir()]
    return [train, tests[0]] if train.is_dir() and tests else [root]


def _classes(parts: list[Path], found: list[_Listing]) -> list[str]:
    train = found[0]
    classes = [name for name, files in train.images.items() if files]
    for part, listing in zip(parts, found, strict=True):
        if not listing.images:
            raise DataError(
                "`folder:PATH` must hold one folder of images a class (or `train` and `test` with "
                f"such folders in them). Received: {part.absolute()} without folders."
            )
        if not listing.files:
            raise DataError(
                f"`folder:PATH` must hold images ({', '.join(sorted(_SUFFIXES))}). Received: "
                f"{part.absolute()} with class folders but no image in them"
                f"{_not_read(_counted(listing.others))}."
            )
        unknown = [name for name, files in listing.images.items() if files and name not in classes]
        if unknown:
            raise DataError(
                "Test data must have no classes that the training data lacks. Received: "
                f"{', '.join(unknown)} in {part.absolute()}."
            )
    return classes


def _unread(root: Path, parts: list[Path], found: list[_Listing]) -> str:
    """Describe what isn't read; empty if everything is."""
    others: Counter[str] = sum((listing.others for listing in found), Counter())
    folders = [name for listing in found for name in listing.folders]
    if parts != [root]:
        outside = [entry for entry in sorted(root.iterdir()) if entry not in parts]
        others.update(_kind(entry, root) for entry in outside if not entry.is_dir())
        folders += [entry.name for entry in outside if entry.is_dir()]
    empty = [name for listing in found for name, files in listing.images.items() if not files]
    told = [_counted(others), _listed("folders", folders), _listed("folders without images", empty)]
    return "; ".join(filter(None, told))


def _counted(others: Counter[str]) -> str:
    if not others:
        return ""
    kinds = [f"{kind}: {count:,}" for kind, count in sorted(others.items())]
    return _listed(f"{others.total():,} file{'s' if others.total() > 1 else ''}", kinds)


def _listed(what: str, names: list[str]) -> str:
    more = [f"{len(names) - _MOST_LISTED:,} more"] if len(names) > _MOST_LISTED else []
    return f"{what} ({', '.join([*names[:_MOST_LISTED], *more])})" if names else ""


def _not_read(unread: str) -> str:
    return f"; not read: {unread}" if unread else ""


def _source(
    root: Path,
    classes: list[str],
    found: list[_Listing],
    size: tuple[int, int] | None,
    unread: str,
    *,
    skip: bool,
) -> Source:
    bad: dict[Path, str] = {}
    survey = _Survey.of([file for listing in found for file in listing.files], bad)
    if survey.sizes:
        size = size or survey.sizes.most_common(1)[0][0]  # (width, height), as pillow has it
        splits = [_decode(root, listing, classes, size, survey, bad) for listing in found]
    unreadable = tuple(
        Unreadable(file.relative_to(root).as_posix(), bad[file].rstrip("."), name)
        for listing in found
        for name, files in listing.images.items()
        for file in files
        if file in bad
    )
    if unreadable and not (skip and survey.sizes and all(map(len, splits))):
        raise _refusal(root, unreadable)
    assert size is not None  # there are images
    resized = sum(count for other, count in survey.sizes.items() if other != size)
    told = f"; {len(unreadable):,} can't be read" if unreadable else ""
    return Source(
        splits[0],
        splits[1] if len(splits) > 1 else None,
        description=f"Images of the folder {root.name}, {size[1]}x{size[0]} pixels, "
        f"{resized:,} of {survey.sizes.total():,} resized{survey.words}{told}{_not_read(unread)}.",
        class_names=tuple(classes),
        max_value=_largest(splits) if survey.deep else None,
        unreadable=unreadable,
    )


@dataclass(frozen=True)
class _Survey:
    """Sizes and modes of all images.

    Attributes:
        sizes: Number of images by width and height.
        modes: Number of images by mode of Pillow.
        several: Number of images with several frames.
    """

    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    several: int

    @classmethod
    def of(cls, files: list[Path], bad: dict[Path, str]) -> _Survey:
        """Read headers only; add what can't be read to `bad`, with the reason."""
        sizes, modes, several = Counter[tuple[int, int]](), Counter[str](), 0
        for file in files:
            seen = _tried(file, bad, lambda i: (i.size, i.mode, getattr(i, "n_frames", 1)))
            if seen is not None:
                sizes[seen[0]] += 1
                modes[seen[1]] += 1
                several += seen[2] > 1
        return cls(sizes, modes, several)

    @property
    def gray(self) -> bool:
        """True if all images are gray."""
        return all(mode in _GRAY_MODES or _is_deep(mode) for mode in self.modes)

    @property
    def deep(self) -> bool:
        """True if they are gray, and some have more than 8 bits."""
        return self.gray and any(_is_deep(mode) for mode in self.modes)

    @property
    def brighter(self) -> int:
        """Factor of gray images of 8 bits among those of 16 bits."""
        return _TO_16_BITS if self.deep and "F" not in self.modes else 1

    @property
    def words(self) -> str:
        """Description of conversions, for the middle of a sentence."""
        deep = sum(count for mode, count in self.modes.items() if _is_deep(mode))
        told = ""
        if deep and not self.gray:
            told += f", {deep:,} gray ones of 16 bits brought to 8 bits"
        elif deep:
            told += f", {deep:,} of more than 8 bits"
            rest = self.modes.total() - deep
            told += f", {rest:,} of 8 bits brought to 16" if rest and self.brighter > 1 else ""
        if self.several:
            told += f", only the first frame of {self.several:,} with several"
        return told


def _is_deep(mode: str) -> bool:
    """Return whether a mode is gray with more than 8 bits: `I;16`, `I;16B`, `I`, `F`."""
    return mode.startswith("I") or mode == "F"


def _tried(file: Path, bad: dict[Path, str], look: Callable[[Image.Image], _T]) -> _T | None:
    """Return `look(image)`; None, with the reason in `bad`, if the image can't be read."""
    try:
        with Image.open(file) as image:
            return look(image)
    except UnidentifiedImageError:
        bad[file] = "it is damaged, or no image"
    except Exception as error:  # whatever a parser raises at damaged bytes
        bad[file] = str(error) or type(error).__name__
    return None


def _refusal(root: Path, unreadable: tuple[Unreadable, ...]) -> DataError:
    named = unreadable[:_MOST_NAMED]
    lines = [f"`{root / each.file}` can't be read as an image: {each.reason}." for each in named]
    if len(unreadable) > len(named):
        lines.append(f"{len(unreadable) - len(named):,} more can't be read.")
    them = "it" if len(unreadable) == 1 else "them"
    return DataError("\n".join([*lines, f"Repair or remove {them}."]))


def _decode(
    root: Path,
    listing: _Listing,
    classes: list[str],
    size: tuple[int, int],
    survey: _Survey,
    bad: dict[Path, str],
) -> Split:
    files = [
        (file, name) for name, files in listing.images.items() for file in files if file not in bad
    ]
    shape = (len(files), size[1], size[0], 1 if survey.gray else 3)
    x = np.empty(shape, np.float32 if survey.deep else np.uint8)
    for index, (file, _) in enumerate(files):
        pixels = _tried(file, bad, lambda i: _pixels(i, size, survey))
        if pixels is not None:
            x[index] = pixels.reshape(shape[1:])
    kept = [index for index, (file, _) in enumerate(files) if file not in bad]
    x = x if len(kept) == len(files) else x[kept]
    y = np.array([classes.index(files[index][1]) for index in kept], np.int32)
    names = [files[index][0].relative_to(root).as_posix() for index in kept]
    return Split(x, y, np.array(names, str))


def _pixels(image: Image.Image, size: tuple[int, int], survey: _Survey) -> np.ndarray:
    deep = _is_deep(image.mode)
    if survey.deep:
        pixels = image.convert("F") if deep else image.convert("L").convert("F")
    elif deep:
        values = np.asarray(image.convert("F"))
        values = values / _TO_16_BITS if values.max() > 255 else values
        pixels = Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8)).convert("RGB")
    else:
        pixels = image.convert("L" if survey.gray else "RGB")
    if pixels.size != size:
        pixels = pixels.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    values = np.asarray(pixels)
    if not survey.deep:
        return values
    values = values if image.mode == "F" else np.rint(values)
    return values if deep else values * survey.brighter


def _largest(splits: list[Split]) -> float | None:
    """Return the largest number of as many bits as the pixels need; None if not whole."""
    low, high = min(s.x.min() for s in splits), max(s.x.max() for s in splits)
    whole = all((split.x == np.rint(split.x)).all() for split in splits)
    return 2.0 ** max(1, int(high).bit_length()) - 1 if whole and low >= 0 else None
