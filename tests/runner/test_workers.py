import threading

import pytest

from tfticket.errors import DataError, RunError
from tfticket.metrics import Row, read_metrics
from tfticket.runner.workers import WorkerLostError, WorkerPool, width
from tfticket.runs.plan import Task
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir

PATIENCE_SECONDS = 10


class Listens(Silence):
    def __init__(self, name=""):
        self.name, self.heard, self.parts, self.threads = name, [], [], set()

    def message(self, text):
        self.threads.add(threading.get_ident())
        self.heard.append(text)

    def part(self, name):
        self.parts.append(Listens(name))
        return self.parts[-1]


class Script:
    """Workers that do what is written: a list for each time that a task is run.

    In it are texts that a worker reports, and an error that ends the task.
    """

    def __init__(self, **planned):
        self.planned = planned
        self.started, self.run, self.killed, self.closed = 0, [], [], []
        self.together = {}

    def __call__(self):
        self.started += 1
        return _Worker(self, self.started - 1)


class _Worker:
    def __init__(self, script, number):
        self.script, self.number = script, number

    def run(self, task, hook):
        self.script.run.append((self.number, task.name))
        planned = self.script.planned.get(task.name)
        if task.name in self.script.together:
            self.script.together[task.name].wait(PATIENCE_SECONDS)
        for each in planned.pop(0) if planned else []:
            if isinstance(each, Exception):
                raise each
            hook("message", (each,))

    def kill(self):
        self.script.killed.append(self.number)

    def close(self):
        assert sorted(self.script.killed) == list(range(self.script.started))
        self.script.closed.append(self.number)


def run_tasks(script, tasks, tmp_path, size=2):
    listens = Listens()
    with WorkerPool(script, size, RunDir(tmp_path), listens) as pool:
        pool.run(tasks)
    return listens


def names(script):
    return [name for _, name in script.run]


def test_how_many_tasks_can_be_done_at_the_same_time():
    first, then = Task("a"), Task("b", after=("a",))
    assert width([]) == 0
    assert width([first, then]) == 1
    assert width([first, then, Task("c", after=("a",)), Task("d", after=("b",))]) == 2
    assert width([then, Task("c"), Task("d", after=("before",))]) == 3  # "a" is done


def test_a_task_waits_for_what_it_needs_and_the_first_that_can_begins(tmp_path):
    tasks = [Task("a"), Task("b", after=("a",)), Task("c", after=("before",)), Task("d")]
    script = Script()
    run_tasks(script, tasks, tmp_path, size=1)
    assert names(script) == ["a", "b", "c", "d"]
    script = Script()
    run_tasks(script, [tasks[1], tasks[3], tasks[0]], tmp_path, size=1)
    assert names(script) == ["d", "a", "b"]


def test_workers_are_kept_and_no_more_are_started_than_there_may_be(tmp_path):
    script = Script(a=[["half"]])
    script.together = dict.fromkeys("ab", threading.Barrier(2))  # at the same time
    listens = run_tasks(script, [Task(name) for name in "abcd"], tmp_path)
    assert script.started == 2
    assert sorted(names(script)) == ["a", "b", "c", "d"]
    assert {part.name: part.heard for part in listens.parts}["a"] == ["half"]
    assert sorted(script.killed) == sorted(script.closed) == [0, 1]


def test_reports_are_heard_by_the_thread_that_runs_the_pool(tmp_path):
    script = Script(a=[["begun", WorkerLostError("by chance")], ["again"]])
    listens = run_tasks(script, [Task("a")], tmp_path)
    assert listens.parts[0].heard == ["begun", "again"]
    assert listens.threads | listens.parts[0].threads == {threading.get_ident()}


def test_a_listener_that_is_interrupted_ends_all_workers(tmp_path):
    class Interrupted(Listens):
        def message(self, text):
            raise KeyboardInterrupt

        def part(self, name):
            return self

    script = Script(a=[["half"]])
    with (
        pytest.raises(KeyboardInterrupt),
        WorkerPool(script, 1, RunDir(tmp_path), Interrupted()) as pool,
    ):
        pool.run([Task("a"), Task("b")])
    assert script.killed == script.closed == [0]
    assert names(script) == ["a"]


def test_a_task_whose_worker_dies_is_given_to_a_new_one_without_its_rows(tmp_path):
    run = RunDir(tmp_path)
    rows = [Row(seed, "ticket", 0, 1, 0.5, "train", "loss", 0.5) for seed in (0, 1)]
    run.append_rows(rows)
    task = Task("a", trials=((0, "ticket", 0),))
    script = Script(a=[[WorkerLostError("by chance")], []])
    listens = run_tasks(script, [task], tmp_path)
    assert script.run == [(0, "a"), (1, "a")]
    assert listens.heard[0].startswith("The process of a ended by chance. Another one runs")
    assert read_metrics(run.metrics) == rows[1:]


def test_a_task_whose_workers_die_again_is_told_of_and_the_others_are_done(tmp_path):
    script = Script(a=[[WorkerLostError("by chance")], [WorkerLostError("by fate")]])
    tasks = [Task("a"), Task("b", after=("a",)), Task("c")]
    with pytest.raises(RunError) as caught:
        run_tasks(script, tasks, tmp_path)
    assert str(caught.value) == (
        "1 of 3 tasks of the run failed:\n"
        "  a: Its process ended 2 times, at last by fate.\n"
        "1 that waits for them wasn't begun. All that was finished is kept; run the command again "
        "to go on."
    )
    assert sorted(names(script)) == ["a", "a", "c"]


def test_a_task_that_fails_is_told_of_at_once_and_the_others_are_done(tmp_path):
    script = Script(b=[[DataError("no data")]])
    with pytest.raises(RunError, match=r"1 of 3 tasks of the run failed:\n  b: no data\nAll that"):
        run_tasks(script, [Task(name) for name in "abc"], tmp_path)
    assert sorted(names(script)) == ["a", "b", "c"]
    assert script.started <= 2


def test_a_mistake_of_ours_keeps_its_kind_and_says_where_it_was(tmp_path):
    mistake = KeyError("x")
    mistake.add_note("In the task 'b', in another process:\nline 7")
    script = Script(a=[[DataError("no data")]], b=[[mistake]])
    with pytest.raises(KeyError) as caught:
        run_tasks(script, [Task("a"), Task("b")], tmp_path)
    assert caught.value.__notes__ == ["In the task 'b', in another process:\nline 7"]
