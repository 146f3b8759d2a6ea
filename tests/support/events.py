"""What TensorBoard would read in a folder of event files."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from tensorflow.core.util import event_pb2


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Run and name to (step, value), of all event files below the folder."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.rglob("events.out.tfevents*")):
        run = path.parent.relative_to(folder).as_posix()
        for record in tf.data.TFRecordDataset(str(path)):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                name = value.tag if run == "." else f"{run}/{value.tag}"
                number = float(tf.make_ndarray(value.tensor))
                assert value.metadata.plugin_data.plugin_name == "scalars" or name in found
                found.setdefault(name, []).append((event.step, number))
    return found
