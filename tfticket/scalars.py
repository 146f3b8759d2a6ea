"""Measurements on their way to TensorBoard and to any other logger."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

import tensorflow as tf

_METADATA = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class="DATA_CLASS_SCALAR",
)


class Log(Protocol):
    """A logger's function, such as `wandb.log` and `mlflow.log_metrics`."""

    def __call__(self, metrics: dict[str, float], /, *, step: int) -> Any:
        """Take values by name, measured at a step."""


class ScalarLog:
    """Writer of scalars to a folder of TensorBoard and to a logger; to neither if both are None.

    Args:
        log_dir: Folder of TensorBoard, made when it is missing.
        log: Called with values by name and their step.
    """

    def __init__(self, log_dir: str | os.PathLike[str] | None, log: Log | None) -> None:
        self._log_dir = log_dir
        self._log = log
        self._writers: dict[str, Any] = {}

    def __bool__(self) -> bool:
        """Return whether anybody reads what is written."""
        return self._log_dir is not None or self._log is not None

    def write(
        self,
        values: Mapping[str, float],
        step: int,
        *,
        run: str = "",
        step_of_all: int | None = None,
    ) -> None:
        """Write values.

        Args:
            values: Name to value.
            step: Step of the training.
            run: Name of the training, where one log holds several: a run of TensorBoard, and the
                beginning of the names that a logger gets.
            step_of_all: Steps of all trainings until then, which loggers want to rise; by default
                `step`.
        """
        if self._log_dir is not None:
            writer = self._writers.get(run)
            if writer is None:
                folder = f"{os.fspath(self._log_dir)}/{run}"
                writer = self._writers[run] = tf.summary.create_file_writer(folder)
            with writer.as_default(step=step):
                for name, value in values.items():
                    # What `tf.summary.scalar` writes, which needs TensorBoard to be installed.
                    tf.summary.write(name, value, metadata=_METADATA)
        if self._log is not None and values:
            prefix = f"{run}/" if run else ""
            named = {f"{prefix}{name}": float(value) for name, value in values.items()}
            self._log(named, step=step if step_of_all is None else step_of_all)

    def close(self) -> None:
        """Close the files; a later `write` begins others."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
