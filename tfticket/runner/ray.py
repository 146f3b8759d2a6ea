"""Tasks on a Ray cluster, by actors of one thread each."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfticket.data.sharing import share
from tfticket.errors import RunError
from tfticket.files import TEMPORARY_SUFFIX
from tfticket.machine import usable_cores
from tfticket.runner.crew import Crew, Died, Event, Foreman
from tfticket.runner.executor import divided
from tfticket.runner.worker import SINGLE_THREADED, Setup, TaskDoer
from tfticket.runs.progress import Progress
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task
from tfticket.studies.study import Study

_SECONDS_BETWEEN_LOOKS = 0.2
_HERE = "local"


class RayCluster:
    """Does tasks on a Ray cluster: those of `Processes`, with the same results.

    All machines of the cluster must see the run directory under the same path, have tfticket
    installed, and find what the recipe names by a path. A process that is lost, alone or with its
    machine, is replaced once for each task.

    Args:
        jobs: How many actors; as many as the cluster has processors if None.
        address: The cluster; one on this machine if None, which ends with the run. A cluster that
            this process is connected to already is used as it is.

    Raises:
        RunError: when there are to be none, or Ray isn't installed.
    """

    timed = False  # how long it takes is told after the first evaluations

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
        tasks = divided(study, tasks, run)
        folder = run.path.resolve()
        data_file = folder / f"data.{os.getpid()}{TEMPORARY_SUFFIX}"
        try:
            with data_file.open("wb") as file:
                layout = share(study.data, file)
            setup = Setup(
                recipe=study.recipe,
                run=folder,
                data=layout,
                file=data_file,
                data_dir=None if study.data_dir is None else study.data_dir.resolve(),
                folder=Path.cwd(),
                cpu=None,
            )
            with _connected(self.address, self.jobs) as processors:
                size = min(self.jobs or processors, len(tasks))
                progress.message(f"Ray: {processors} processors, {size} of them for this run.")
                with RayCrew(setup) as crew:
                    Foreman(crew, size, run, progress).have_done(tasks)
        except OSError as error:
            raise RunError(
                f"The data could not be put into `{folder}`, where the cluster looks for it: "
                f"{error.strerror or error}. Make room, and run the command again."
            ) from error
        finally:
            data_file.unlink(missing_ok=True)


class RayCrew(Crew):
    """Actors; this process is connected to their cluster.

    Args:
        setup: What each must know.
    """

    def __init__(self, setup: Setup) -> None:
        from ray.util.queue import Queue

        self._setup = setup
        self._told = Queue(actor_options={"num_cpus": 0})
        self._actors: dict[int, Any] = {}
        self._working: dict[Any, int] = {}

    def hire(self, number: int) -> None:
        """See `Crew`."""
        actor = _remote_doer().remote(self._setup, self._told, number)
        self._actors[number] = actor

    def give(self, number: int, task: Task) -> None:
        """See `Crew`."""
        self._working[self._actors[number].do.remote(task)] = number

    def wait(self) -> list[tuple[int, Event]]:
        """See `Crew`."""
        import ray

        events: list[tuple[int, Event]] = []
        while not events:
            ready, _ = ray.wait(list(self._working), timeout=_SECONDS_BETWEEN_LOOKS)
            # What an actor told before its task ended is in the queue by now.
            events += self._told.get_nowait_batch(self._told.qsize())
            events += [self._result(each) for each in ready]
        return events

    def end(self) -> None:
        """See `Crew`."""
        import ray

        for actor in self._actors.values():
            ray.kill(actor)
        self._told.shutdown(force=True)
        self._actors, self._working = {}, {}

    def _result(self, reference: Any) -> tuple[int, Event]:
        import ray

        number = self._working.pop(reference)
        try:
            return number, ray.get(reference)
        except ray.exceptions.RayError as error:
            ray.kill(self._actors.pop(number))
            return number, Died(f"on the cluster: {str(error).strip().splitlines()[0]}")


class _Doer:
    """An actor: the process that it is alone in has imported nothing slow yet.

    Args:
        setup: What to know.
        told: Takes what is told.
        number: Of the worker.
    """

    def __init__(self, setup: Setup, told: Any, number: int) -> None:
        self._doer = TaskDoer(setup, lambda event: told.put((number, event)))

    def do(self, task: Task) -> Event:
        """See `TaskDoer`."""
        return self._doer.do(task)


@functools.cache
def _remote_doer() -> Any:
    import ray

    environment = {"env_vars": dict(SINGLE_THREADED)}
    return ray.remote(num_cpus=1, max_restarts=0, runtime_env=environment)(_Doer)


@contextlib.contextmanager
def _connected(address: str | None, jobs: int | None) -> Iterator[int]:
    """Connects to a cluster, or starts one; yields the number of its processors."""
    import ray

    if ray.is_initialized():
        yield _processors()
        return
    here = {"num_cpus": jobs or usable_cores(), "include_dashboard": False}
    given = here if address in (None, _HERE) else {}
    # Ray lets its workers import from the folder that this process is in: it has to be empty.
    with tempfile.TemporaryDirectory(prefix="tfticket-") as empty:
        try:
            with contextlib.chdir(empty):
                ray.init(
                    address=address or _HERE, log_to_driver=False, logging_level="error", **given
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
