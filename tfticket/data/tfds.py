"""Image classification sets of TensorFlow Datasets, from disk or downloaded once."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tfticket.data import storage
from tfticket.data.dataset import Source, Split
from tfticket.errors import DataError

_NAME = re.compile(r"(?P<name>\w+)(?:/(?P<config>[\w.\-]+))?(?::(?P<version>\d+\.\d+\.\d+))?")
_BATCH = 1000
_ANY_HOST = ("www.tensorflow.org", 443)
_WITHOUT_DATA = "tfticket recipe run lth_mnist1d"


def read(name: str, data_dir: str | os.PathLike[str] | None) -> Source:
    """Read the splits `train` and `test` (or else `validation`) of a data set.

    Args:
        name: `NAME`, `NAME/CONFIG`, each with an optional `:VERSION`.
        data_dir: The folder to look in first; `$TFDS_DATA_DIR` and `~/tensorflow_datasets` follow.

    Raises:
        DataError: when it isn't on disk and can't be downloaded, or isn't a set of images of one
            size with one label each.
    """
    prepared = _prepared(name, data_dir) or _download(name, data_dir)
    files = sorted(file for file in prepared.iterdir() if file.is_file())
    return storage.remember(
        "-".join(["tfds", *_parts(name).values(), prepared.name]),
        storage.stamp(prepared, files),
        lambda: _decode(name, prepared),
    )


def _parts(name: str) -> dict[str, str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise DataError(
            f"{name!r} isn't a name of TensorFlow Datasets. It must be written NAME, "
            "NAME/CONFIG or NAME/CONFIG:VERSION."
        )
    return {key: value for key, value in match.groupdict().items() if value}


def _places(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    places = [data_dir, os.environ.get("TFDS_DATA_DIR"), "~/tensorflow_datasets"]
    return [Path(place).expanduser() for place in places if place]


def _prepared(name: str, data_dir: str | os.PathLike[str] | None) -> Path | None:
    """Find NAME/CONFIG/VERSION: the newest version in the first folder that has one."""
    parts = _parts(name)
    for place in _places(data_dir):
        versions = place / parts["name"] / parts.get("config", "")
        infos = versions.glob(f"{parts.get('version', '*.*.*')}/dataset_info.json")
        if found := sorted((info.parent for info in infos), key=_version_order):
            return found[-1]
    return None


def _version_order(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _download(name: str, data_dir: str | os.PathLike[str] | None) -> Path:
    import tensorflow_datasets  # two seconds that other data doesn't need

    place = next((place for place in _places(data_dir) if _is_writable(place)), None)
    try:
        builder = tensorflow_datasets.builder(name, data_dir=place or _places(data_dir)[0])
    except tensorflow_datasets.core.registered.DatasetNotFoundError as error:
        known = tensorflow_datasets.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(_parts(name)["name"], known, n=3)
        raise DataError(
            f"TensorFlow Datasets has no data set named {name!r}."
            + (f" Did you mean {' or '.join(close)}?" if close else "")
        ) from error
    except (ValueError, AssertionError) as error:  # an unknown configuration or version
        raise DataError(f"TensorFlow Datasets can't make {name!r}: {error}") from error
    if place is None:
        raise _unavailable(name, data_dir, "none of these folders can be written to")
    if not _is_online():
        raise _unavailable(name, data_dir, "there is no network to download it")
    try:
        # Its messages go to stderr: stdout is for results.
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare()
    except Exception as error:  # whatever the network, the disk or a parser raises
        raise _unavailable(name, data_dir, f"the download failed ({error})") from error
    return Path(builder.data_path)


def _is_writable(place: Path) -> bool:
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK)


def _is_online() -> bool:
    """Return whether a download can be tried; without this check it retries for minutes."""
    if any(os.environ.get(key) for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    try:
        return bool(socket.getaddrinfo(*_ANY_HOST))
    except OSError:
        return False


def _unavailable(name: str, data_dir: str | os.PathLike[str] | None, reason: str) -> DataError:
    parts = _parts(name)
    looked_for = "/".join([parts["name"], *filter(None, [parts.get("config")])])
    version = parts.get("version", "VERSION")
    places = ", ".join(str(place.absolute()) for place in _places(data_dir))
    return DataError(
        f"The data set {name!r} isn't on disk, and {reason}. Looked for {looked_for}/{version}/"
        f"dataset_info.json in {places}. Run once with a network, or name the folder that has it "
        f"(--data-dir DIR, or $TFDS_DATA_DIR). What runs right now, without either: "
        f"{_WITHOUT_DATA}"
    )


def _decode(name: str, prepared: Path) -> Source:
    import tensorflow as tf  # late, for a cached data set doesn't get here
    import tensorflow_datasets

    try:
        builder = tensorflow_datasets.builder_from_directory(prepared)
        image_key, label_key = _supervised_keys(name, builder.info)
        test = next((split for split in ("test", "validation") if split in builder.info.splits), "")
        if "train" not in builder.info.splits or not test:
            raise DataError(
                f"{name!r} must have the splits train and test (or validation). Received: "
                f"{', '.join(builder.info.splits)}."
            )
        keys = (image_key, label_key)
        train_split = _arrays(builder, "train", keys)
        test_split = _arrays(builder, test, keys)
    except DataError:
        raise
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise DataError(
            f"The data set {name!r} in {prepared} can't be read: {error}. Copy it there again, or "
            "delete it and run once with a network."
        ) from error
    return Source(
        train_split,
        test_split,
        description=f"{builder.info.full_name} of TensorFlow Datasets, test data: {test}.",
        class_names=tuple(builder.info.features[label_key].names),
    )


def _supervised_keys(name: str, info: Any) -> tuple[str, str]:
    """Return the keys of image and label; refuse other than images of one size."""
    import tensorflow_datasets

    kinds = tensorflow_datasets.features
    image, label = info.supervised_keys or ("", "")
    features = dict(info.features.items())
    fits = (
        isinstance(features.get(image), kinds.Image)
        and isinstance(features.get(label), kinds.ClassLabel)
        and None not in features[image].shape
        and features[image].np_dtype == np.uint8
    )
    if not fits:
        raise DataError(
            f"{name!r} must be images of one size, in bytes, with one label each. Received: "
            f"{info.features}. Write it as folders of images (`folder:PATH` resizes) or as arrays "
            "(`npz:PATH`)."
        )
    return image, label


def _arrays(builder: Any, split: str, keys: tuple[str, str]) -> Split:
    import tensorflow as tf
    import tensorflow_datasets

    options = tf.data.Options()
    options.autotune.enabled = False  # its thread can stall the end of an iteration for seconds
    config = tensorflow_datasets.ReadConfig(
        options=options, try_autocache=False, interleave_cycle_length=1
    )
    examples = builder.as_dataset(split=split, read_config=config, shuffle_files=False)
    examples = examples.map(lambda example: (example[keys[0]], example[keys[1]])).batch(_BATCH)
    count = builder.info.splits[split].num_examples
    x = np.empty((count, *builder.info.features[keys[0]].shape), np.uint8)
    y = np.empty(count, np.int32)
    start = 0
    for images, labels in examples.as_numpy_iterator():
        x[start : start + len(labels)], y[start : start + len(labels)] = images, labels
        start += len(labels)
    if start != count:
        raise ValueError(f"{split} has {start:,} examples, but {count:,} are announced")
    return Split(x, y)
