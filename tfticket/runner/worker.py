"""The inside of a worker: a process that runs tasks of one study."""

from __future__ import annotations

import os
import pickle
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tfticket.data.storage import Layout
from tfticket.errors import RunError, TFTicketError
from tfticket.machine import import_keras
from tfticket.recipe.schema import Recipe
from tfticket.runner.workers import Hook
from tfticket.runs.plan import Task, Trial
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir

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
"""The environment of a worker, set before it imports anything."""


@dataclass(frozen=True)
class Setup:
    """The setup of a worker, sent once, before its first task.

    Attributes:
        recipe: The recipe.
        run: The run directory, an absolute path.
        data: What is where in `file`.
        file: The data set: a descriptor that the process inherits, or a path.
        data_dir: The directory of data sets, for those that take the place of examples.
        folder: The working directory, which paths in the recipe start from.
    """

    recipe: Recipe
    run: Path
    data: Layout
    file: int | Path
    data_dir: Path | None
    folder: Path

    @classmethod
    def of(cls, study: Study, run: Path, data: Layout, file: int | Path) -> Setup:
        """Return the setup of a study's workers, started by this process."""
        data_dir = None if study.data_dir is None else study.data_dir.resolve()
        return cls(study.recipe, run, data, file, data_dir, Path.cwd())


class TaskRunner:
    """Runs tasks with one thread; TensorFlow and the data stay in memory between them.

    Args:
        setup: The study and its run.
        hook: Sends a report to the process that handed out the task.
    """

    def __init__(self, setup: Setup, hook: Hook) -> None:
        self._setup = setup
        self._progress = RemoteProgress(hook)
        self._study: Study | None = None

    def run(self, task: Task) -> BaseException | None:
        """Run a task; returns the error that it raised, which can be pickled."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = self._report_warning
                if self._study is None:
                    self._study = self._begin()
                self._study.do(task, RunDir(self._setup.run), self._progress)
        except Exception as error:
            return _picklable(error, task)
        return None

    def _begin(self) -> Study:
        setup = self._setup
        os.chdir(setup.folder)
        import_keras()
        import tensorflow as tf

        # Before anything asks for a device: from then on the threads are there.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        from tfticket.data.storage import shared
        from tfticket.recipe.rates import be_deterministic
        from tfticket.studies.study import make_study

        be_deterministic()
        if isinstance(setup.file, Path):
            data = shared(setup.data, setup.file)
        else:
            with os.fdopen(setup.file, "rb", closefd=False) as opened:
                data = shared(setup.data, opened)
        return make_study(setup.recipe, data, setup.data_dir)

    def _report_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self._progress.message(f"{filename}:{lineno}: {category.__name__}: {message}")


def _picklable(error: Exception, task: Task) -> Exception:
    """The error with its traceback as a note, or its text where it can't be pickled."""
    if not isinstance(error, TFTicketError):
        trace = traceback.format_exc()
        error.add_note(f"In the task {task.name!r}, in another process:\n{trace}")
    try:
        sent: Exception = pickle.loads(pickle.dumps(error))
        return sent
    except Exception:
        return RunError(f"{type(error).__name__}: {error}")


class RemoteProgress(Silence):
    """A listener in a worker, which sends each event on; a task has no plan of its own.

    Args:
        hook: Sends the event to the process that shows it.
    """

    def __init__(self, hook: Hook) -> None:
        self._hook = hook

    def begin(self, trial: Trial, steps: int, density: float) -> None:
        """See `Progress`."""
        self._hook("begin", (trial, steps, density))

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._hook("update", (step, {key: float(value) for key, value in measured.items()}))

    def end(self, trial: Trial, summary: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._hook("end", (trial, dict(summary)))

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._hook("message", (text,))
