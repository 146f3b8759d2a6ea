"""Tasks on a Ray cluster, by actors of one thread each."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from tfticket.data.storage import share
from tfticket.errors import RunError
from tfticket.files import TEMPORARY_SUFFIX
from tfticket.machine import usable_cores
from tfticket.runner.worker import SINGLE_THREADED, Setup, TaskRunner
from tfticket.runner.workers import Hook, WorkerLostError, WorkerPool, unfinished
from tfticket.runs.plan import Task
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import Study

_LOCAL = "local"


class RayCluster:
    """Runs tasks on a Ray cluster, with the same results as `Processes`.

    All machines of the cluster must see the run directory under the same path, have tfticket
    installed, and find what the recipe names by a path. A process that is lost, alone or with its
    machine, is replaced once for each task.

    Args:
        jobs: Number of actors; as many as the cluster has processors if None.
        address: The cluster; one on this machine if None, which ends with the run. A cluster that
            this process is connected to already is used as it is.

    Raises:
        RunError: when `jobs` is less than 1, or Ray isn't installed.
    """

    timed = False  # how long it takes is known after the first evaluations

    def __init__(self, jobs: int | None = None, *, address: str | None = None) -> None:
        if jobs is not None and jobs < 1:
            raise RunError(f"`jobs` must be at least 1. Received: {jobs}.")
        if importlib.util.find_spec("ray") is None:
            raise RunError(
                "Ray must be installed to hand tasks to a cluster. It isn't: install it with "
                "pip install 'tfticket[ray]', or use processes of this machine by --jobs alone."
            )
        self.jobs = jobs
        self.address = address

    def facts(self) -> dict[str, Any]:
        """See `Executor`."""
        return {"executor": "ray", "jobs": self.jobs, "threads": 1}

    def run(self, study: Study, tasks: Sequence[Task], run: RunDir, progress: Progress) -> None:
        """See `Executor`."""
        tasks = unfinished(study, tasks, run)
        folder = run.path.resolve()
        data_file = folder / f"data.{os.getpid()}{TEMPORARY_SUFFIX}"
        try:
            with data_file.open("wb") as file:
                layout = share(study.data, file)
            setup = Setup.of(study, folder, layout, data_file)
            with _connected(self.address, self.jobs) as processors:
                size = min(self.jobs or processors, len(tasks))
                progress.message(f"Ray: {processors} processors, {size} of them for this run.")
                with WorkerPool(lambda: RayWorker(setup), size, run, progress) as pool:
                    pool.run(tasks)
        except OSError as error:
            raise RunError(
                f"The data could not be put into `{folder}`, where the cluster looks for it: "
                f"{error.strerror or error}. Make room, and run the command again."
            ) from error
        finally:
            data_file.unlink(missing_ok=True)


class RayWorker:
    """A `Worker` as an actor of the cluster that this process is connected to.

    Args:
        setup: The study and its run.

    Attributes:
        actor: The actor.
    """

    def __init__(self, setup: Setup) -> None:
        self.actor = _actor_class().remote(setup)

    def run(self, task: Task, hook: Hook) -> None:
        """See `Worker`."""
        import ray

        error = None
        try:
            for reference in self.actor.run.remote(task):
                message = ray.get(reference)
                if isinstance(message, tuple):
                    hook(*message)
                else:
                    error = message
        except ray.exceptions.RayError as lost:
            self.kill()
            reason = str(lost).strip().splitlines()[0]
            raise WorkerLostError(f"on the cluster: {reason}") from lost
        if error is not None:
            raise error

    def kill(self) -> None:
        """See `Worker`."""
        import ray

        ray.kill(self.actor)

    def close(self) -> None:
        """See `Worker`; the cluster keeps nothing of a dead actor."""


class _Actor:
    """Runs tasks alone in its process, which has imported nothing slow yet.

    Args:
        setup: The study and its run.
    """

    def __init__(self, setup: Setup) -> None:
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._runner = TaskRunner(setup, lambda *message: self._messages.put(message))

    def run(self, task: Task) -> Iterator[tuple[str, tuple[Any, ...]] | BaseException | None]:
        """Yield what a task reports, and at its end the error that it raised or None."""

        def work() -> None:
            self._messages.put(self._runner.run(task))

        threading.Thread(target=work, daemon=True).start()
        while isinstance(message := self._messages.get(), tuple):
            yield message
        yield message


@functools.cache
def _actor_class() -> Any:
    import ray

    environment = {"env_vars": dict(SINGLE_THREADED)}
    return ray.remote(num_cpus=1, max_restarts=0, runtime_env=environment)(_Actor)


@contextlib.contextmanager
def _connected(address: str | None, jobs: int | None) -> Iterator[int]:
    """Connects to a cluster, or starts one; yields the number of its processors."""
    import ray

    if ray.is_initialized():
        yield _processors()
        return
    here = {"num_cpus": jobs or usable_cores(), "include_dashboard": False}
    given = here if address in (None, _LOCAL) else {}
    # Ray lets its workers import from the folder that this process is in: it has to be empty.
    with tempfile.TemporaryDirectory(prefix="tfticket-") as empty:
        try:
            with contextlib.chdir(empty):
                ray.init(
                    address=address or _LOCAL, log_to_driver=False, logging_level="error", **given
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RunError(
                f"The Ray cluster at {address or 'this machine'!r} can't be reached: {error}"
            ) from error
        try:
            yield _processors()
        finally:
            ray.shutdown()


def _processors() -> int:
    import ray

    return int(ray.cluster_resources().get("CPU", 0)) or 1
