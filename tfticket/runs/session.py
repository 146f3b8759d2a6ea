"""Open a run for writing: one process at a time, and only with the recipe it was begun with."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfticket.errors import RunError, TFTicketError
from tfticket.files import TEMPORARY_SUFFIX, remove_leftovers, understood, write_json, write_text
from tfticket.recipe import parsing
from tfticket.recipe.schema import Recipe
from tfticket.runs.rundir import RunDir
from tfticket.studies.registry import KINDS

# Keys of a recipe that say what it is about and change no number of a run.
DESCRIPTIVE = frozenset({"title", "paper", "deviations", "expect"})
_REMEDY = "Restore `recipe.json` of the run, or begin anew with --fresh."

# A listing that looks whether a run is being written holds its lock for a moment.
_PATIENCE_SECONDS = 0.2
_LOOKS, _BETWEEN_SECONDS = 300, 0.1  # of a process that joins, while another one prepares the run


@contextlib.contextmanager
def writing(run: RunDir, recipe: Recipe, *, toml: bytes, fresh: bool = False) -> Iterator[RunDir]:
    """Create or resume a run, and hold its lock meanwhile.

    A new run is removed again when an error that tfticket raises ends the block before anything
    was finished, and a run that was moved aside for it gets its name back.

    More seeds than before, and more levels of an iterative search, extend a run: what is
    finished is kept. A change that moves no number (title, deviations, expectations) is taken over.
    Any other change of the recipe is refused.

    Args:
        run: The run; its directory is made when it is missing.
        recipe: The recipe.
        toml: The bytes of its file.
        fresh: Whether to begin anew: an older run is moved to `<run>.old-<time>`, not deleted.

    Raises:
        RunError: when another process writes the run, its recipe differs, the directory holds
            something else, or it can't be written.
    """
    aside = None
    if fresh and run.recipe_json.is_file():
        with locked(run):
            aside = _move_aside(run)
    made = [folder for folder in (run.path, *run.path.parents) if not folder.exists()]
    with locked(run):
        begun = run.recipe_json.is_file()
        prepare(run, recipe, toml)
        try:
            yield run
        except TFTicketError:
            if not begun:
                _remove_unused(run, made)
                if aside is not None and not run.path.exists():
                    aside.rename(run.path)
            raise


@contextlib.contextmanager
def joining(run: RunDir, recipe: Recipe, *, toml: bytes) -> Iterator[RunDir]:
    """Create, resume or join a run that several processes write together, on any machines.

    The first one prepares it as `writing` does. As long as one is at work, no other process opens
    the run by `writing`.

    Args:
        run: The run; its directory is made when it is missing.
        recipe: The recipe, the same for all.
        toml: The bytes of its file.

    Yields:
        The run, as one that is joined.

    Raises:
        RunError: when a process writes the run alone, its recipe differs, the directory holds
            something else, or it can't be used.
    """
    run = RunDir(run.path, joined=True)
    with _explained(run):
        run.path.mkdir(parents=True, exist_ok=True)
        lock = run.lock_file.open("a")
    with lock:
        for _ in range(_LOOKS):
            if _flock(lock.fileno(), fcntl.LOCK_EX):  # no other is at work
                prepare(RunDir(run.path), recipe, toml)
                lock.truncate(0)
                fcntl.flock(lock, fcntl.LOCK_SH)
                break
            if _flock(lock.fileno(), fcntl.LOCK_SH):
                if extends(run, recipe):
                    raise RunError(
                        f"Other processes write {run.path}, and fewer seeds or levels than this "
                        "recipe has. Wait until they end, or give all of them the same recipe."
                    )
                break
            time.sleep(_BETWEEN_SECONDS)
        else:
            raise _busy(run)
        yield run


def _flock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_unused(run: RunDir, made: Iterable[Path]) -> None:
    """Removes a run that holds nothing but how it was to begin.

    Args:
        run: Locked; its recipe was written by the process that asks.
        made: The folders to remove with it, if nothing else is in them, from the run upwards.
    """
    unused = (run.environment, run.recipe_toml, run.recipe_json, run.lock_file)
    with contextlib.suppress(OSError):  # somebody else uses the folders meanwhile
        if {path.name for path in run.path.iterdir()} <= {path.name for path in unused}:
            for path in unused:
                path.unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()


def is_written(run: RunDir) -> bool:
    """Return whether a living process holds the lock of a run, without making a file."""
    try:
        descriptor = os.open(run.lock_file, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(run: RunDir) -> Iterator[None]:
    """Hold the lock of a run.

    Raises:
        RunError: when another process holds it, or the directory can't be used.
    """
    if run.joined:  # as a part of a run whose lock all hold
        run.path.mkdir(parents=True, exist_ok=True)
        yield
        return
    lock = FileLock(run.lock_file)
    with _explained(run):
        run.path.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout as error:
            raise _busy(run) from error
        # Left in place when the lock is released, so it is cut to the new length.
        run.lock_file.write_text(f"{os.getpid()}\n", encoding="utf-8")
    try:
        yield
    finally:
        lock.release()


def _busy(run: RunDir) -> RunError:
    text = run.lock_file.read_text(encoding="ascii", errors="replace").strip()
    holder = f"another process (pid {text})" if text else "other processes"
    return RunError(
        f"{run.path} is being written by {holder}. Wait until it ends, stop it, or give this run "
        "another --name."
    )


@contextlib.contextmanager
def _explained(run: RunDir) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"The run directory {run.path} can't be used: {error.strerror or error}. Nothing was "
            "changed; choose another place with --runs."
        ) from error


def _move_aside(run: RunDir) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = run.path.with_name(f"{run.path.name}.old-{stamp}")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}+")
    with _explained(run):
        return run.path.rename(aside)


def prepare(run: RunDir, recipe: Recipe, toml: bytes) -> None:
    """Make a locked directory a run of the recipe, new or resumed; see `writing`."""
    new = parsing.resolve(recipe)
    if run.recipe_json.is_file():
        old = run.resolved()
        with understood(f"The recipe that {run.path} was begun with and this one", _REMEDY):
            extends = _extends(run, old, new)
        if extends:
            run.complete_file.unlink(missing_ok=True)
    else:
        old = {}
    if not run.joined:  # else others are at work: what they haven't finished isn't left over
        if not old:
            _refuse_foreign(run)
        remove_leftovers(run.path)
        shutil.rmtree(run.claims, ignore_errors=True)
        run.drop_unfinished_rows()
    if old != new or not run.recipe_toml.is_file():
        write_json(run.recipe_json, new)
        write_text(run.recipe_toml, toml.decode())


def extends(run: RunDir, recipe: Recipe) -> bool:
    """Return whether a recipe asks for more than the one that the run was begun with.

    Raises:
        RunError: when the recipes differ in another way.
    """
    return _extends(run, run.resolved(), parsing.resolve(recipe))


def _extends(run: RunDir, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return whether there is only more to do than before; raise `RunError` otherwise."""
    before = {key: value for key, value in old.items() if key not in DESCRIPTIVE}
    after = {key: value for key, value in new.items() if key not in DESCRIPTIVE}
    if not parsing.diff(before, after):
        return False
    same_kind = before["kind"] == after["kind"]
    grown = KINDS[after["kind"]].grow(before, after) if same_kind else before
    changes = parsing.diff(grown, after)
    if changes:
        lines = "\n".join(f"  {line}" for line in changes)
        raise RunError(
            f"{run.path} was begun with another recipe; old -> new:\n{lines}\n"
            "Undo the change, or begin anew: --fresh moves the old run aside, --name or --runs "
            "puts the new one elsewhere. (Only more seeds or more levels extend a run.)"
        )
    return True


def _refuse_foreign(run: RunDir) -> None:
    ours = {run.lock_file.name, run.recipe_toml.name}
    others = sorted(
        p.name
        for p in run.path.iterdir()
        if p.name not in ours and not p.name.endswith(TEMPORARY_SUFFIX)
    )
    if others:
        raise RunError(
            f"{run.path} must be empty or hold a run, with its recipe.json. It holds: "
            f"{', '.join(others[:5])}. Choose another place with --runs or --name."
        )
