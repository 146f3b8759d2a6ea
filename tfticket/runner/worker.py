"""A task in a process that was started for tasks."""

from __future__ import annotations

import os
import pickle
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tfticket.data.sharing import Layout
from tfticket.errors import RunError
from tfticket.lean import import_keras
from tfticket.recipe.schema import Recipe
from tfticket.runner.crew import Done, Event, Failed, Told
from tfticket.runs.progress import NormsPlan, Plan, Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task

if TYPE_CHECKING:
    from tfticket.studies.study import Study

SINGLE_THREADED: Mapping[str, str] = {
    "KERAS_BACKEND": "tensorflow",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}
"""The environment of such a process, set before it imports anything."""


@dataclass(frozen=True)
class Setup:
    """What a process must know once for all tasks.

    Attributes:
        recipe: The recipe.
        run: The run directory, an absolute path.
        data: What is where in `file`.
        file: The data set: a descriptor that the process inherits, or a path.
        data_dir: Where data sets lie, for those that take the place of examples.
        folder: The working directory, which paths in the recipe start from.
        cpu: The processor to stay on; None for any.
    """

    recipe: Recipe
    run: Path
    data: Layout
    file: int | Path
    data_dir: Path | None
    folder: Path
    cpu: int | None


class TaskDoer:
    """Does tasks of a run with one thread, with TensorFlow and the data kept between them.

    Args:
        setup: What to know.
        send: Sends to the process that gives the tasks.
    """

    def __init__(self, setup: Setup, send: Callable[[Told], None]) -> None:
        self._setup = setup
        self._progress = Teller(send)
        self._study: Study | None = None

    def do(self, task: Task) -> Event:
        """Does a task; returns `Done` or `Failed`."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = self._tell_warning
                if self._study is None:
                    self._study = self._begin()
                self._study.do(task, RunDir(self._setup.run), self._progress)
        except Exception as error:
            return Failed(_sendable(error), traceback.format_exc())
        return Done()

    def _begin(self) -> Study:
        setup = self._setup
        os.chdir(setup.folder)
        if setup.cpu is not None:
            os.sched_setaffinity(0, {setup.cpu})
        import_keras()
        import tensorflow as tf

        # Before anything asks for a device: from then on the threads are there.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        from tfticket.data.sharing import shared
        from tfticket.recipe.rates import be_deterministic
        from tfticket.studies.study import make_study

        be_deterministic()
        file = setup.file
        if isinstance(file, int):
            with os.fdopen(file, "rb", closefd=False) as opened:
                data = shared(setup.data, opened)
        else:
            data = shared(setup.data, file)
        return make_study(setup.recipe, data, setup.data_dir)

    def _tell_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self._progress.message(f"{filename}:{lineno}: {category.__name__}: {message}")


def _sendable(error: Exception) -> Exception:
    """The error, or its text where it can't be pickled."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RunError(f"{type(error).__name__}: {error}")


class Teller:
    """`Progress` that sends what it hears.

    Args:
        send: Sends a message to the process that shows it.
    """

    def __init__(self, send: Callable[[Told], None]) -> None:
        self._send = send

    def plan(self, plan: Plan | NormsPlan) -> None:
        """See `Progress`; a task has no plan of its own."""

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """See `Progress`."""
        self._send(Told("begin", (seed, branch, level, steps, density)))

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._send(Told("update", (step, {key: float(value) for key, value in measured.items()})))

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._send(Told("end", (seed, branch, level, dict(summary))))

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._send(Told("message", (text,)))

    def part(self, name: str) -> Progress:
        """See `Progress`."""
        return self
