import pytest

from tfticket.errors import DataError, RunError
from tfticket.metrics import Row, read_metrics
from tfticket.runner.crew import Crew, Died, Done, Failed, Foreman, Told
from tfticket.runner.executor import TaskQueue, width
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.runs.tasks import Task


class Listens(Silence):
    def __init__(self, name=""):
        self.name, self.heard, self.parts = name, [], []

    def message(self, text):
        self.heard.append(text)

    def part(self, name):
        self.parts.append(Listens(name))
        return self.parts[-1]


class Script(Crew):
    """Workers that do what is written: a list of events for each time a task is given.

    What was given first ends last.
    """

    def __init__(self, **events):
        self.events = events
        self.hired, self.given, self.at_work, self.ended = [], [], [], False

    def hire(self, number):
        self.hired.append(number)

    def give(self, number, task):
        self.given.append((number, task.name))
        self.at_work.append((number, task.name))

    def wait(self):
        number, name = self.at_work.pop()
        planned = self.events.get(name)
        return [(number, event) for event in (planned.pop(0) if planned else [Done()])]

    def end(self):
        self.ended = True


def have_done(crew, tasks, tmp_path, size=2):
    listens = Listens()
    with crew:
        Foreman(crew, size, RunDir(tmp_path), listens).have_done(tasks)
    return listens


def test_how_many_tasks_can_be_done_at_the_same_time():
    first, then = Task("a"), Task("b", after=("a",))
    assert width([]) == 0
    assert width([first, then]) == 1
    assert width([first, then, Task("c", after=("a",)), Task("d", after=("b",))]) == 2
    assert width([then, Task("c"), Task("d", after=("before",))]) == 3  # "a" is done


def test_a_queue_holds_tasks_back_until_what_they_wait_for_is_done():
    tasks = [Task("a"), Task("b", after=("a",)), Task("c", after=("before",))]
    queue = TaskQueue(tasks)
    assert [queue.take(), queue.take(), queue.take()] == [tasks[0], tasks[2], None]
    queue.put_back(tasks[0])
    assert queue.take() == tasks[0]
    queue.done(tasks[0])
    assert queue.take() == tasks[1]
    assert queue.left == ()


def test_workers_are_kept_and_no_more_are_hired_than_there_may_be(tmp_path):
    crew = Script(a=[[Told("message", ("half",)), Done()]])
    listens = have_done(crew, [Task(name) for name in "abcd"], tmp_path)
    assert crew.hired == [0, 1]
    assert crew.given == [(0, "a"), (1, "b"), (1, "c"), (1, "d")]
    assert {part.name: part.heard for part in listens.parts}["a"] == ["half"]
    assert crew.ended


def test_a_task_whose_worker_dies_is_given_to_a_new_one_without_its_rows(tmp_path):
    run = RunDir(tmp_path)
    rows = [Row(seed, "ticket", 0, 1, 0.5, "train", "loss", 0.5) for seed in (0, 1)]
    run.append_rows(rows)
    task = Task("a", places=((0, "ticket", 0),))
    crew = Script(a=[[Died("by chance")], [Done()]])
    listens = have_done(crew, [task], tmp_path)
    assert crew.hired == [0, 0]
    assert crew.given == [(0, "a"), (0, "a")]
    assert listens.heard[0].startswith("The process of a ended by chance. Another one begins")
    assert read_metrics(run.metrics) == rows[1:]


def test_a_task_whose_workers_die_again_is_told_of_and_the_others_are_done(tmp_path):
    crew = Script(a=[[Died("by chance")], [Died("by fate")]])
    tasks = [Task("a"), Task("b", after=("a",)), Task("c")]
    with pytest.raises(RunError) as caught:
        have_done(crew, tasks, tmp_path)
    assert str(caught.value) == (
        "1 of 3 tasks of the run failed:\n"
        "  a: Its process ended 2 times, at last by fate.\n"
        "1 that waits for them wasn't begun. All that was finished is kept; run the command again "
        "to go on."
    )
    assert [name for _, name in crew.given] == ["a", "c", "a"]


def test_a_task_that_fails_is_told_of_at_once_and_the_others_are_done(tmp_path):
    crew = Script(b=[[Failed(DataError("no data"), "")]])
    with pytest.raises(RunError, match=r"1 of 3 tasks of the run failed:\n  b: no data\nAll that"):
        have_done(crew, [Task(name) for name in "abc"], tmp_path)
    assert [name for _, name in crew.given] == ["a", "b", "c"]
    assert crew.hired == [0, 1]


def test_a_mistake_of_ours_keeps_its_kind_and_says_where_it_was(tmp_path):
    failed = {"a": [[Failed(DataError("no data"), "")]], "b": [[Failed(KeyError("x"), "line 7")]]}
    with pytest.raises(KeyError) as caught:
        have_done(Script(**failed), [Task("a"), Task("b")], tmp_path)
    assert caught.value.__notes__ == ["In the task 'b', in another process:\nline 7"]
