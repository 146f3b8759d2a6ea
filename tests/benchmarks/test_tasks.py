import sys

import pytest

from benchmarks.tasks import ChildTask, FreshChildTask, Program, Time, UnavailableError, need
from tfticket.errors import TFTicketError

pytestmark = pytest.mark.slow

BUSY = """
import os
from benchmarks.tasks import serve

def task():
    sum(range(2_000_000))
    print("said on the way")

serve(task)
"""


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Starts a module with some text in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = []

    def start(text):
        (tmp_path / "peer.py").write_text(text)
        started.append(ChildTask("peer"))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_a_child_does_its_task_as_often_as_it_is_told_to(child):
    task = child(BUSY)
    times = [task() for _ in range(3)]
    assert all(isinstance(time, Time) for time in times)
    assert all(time.cpu > 0 and time.wall > 0 for time in times)


def test_a_fresh_child_is_another_process_each_time(tmp_path, child):
    note = f"open({str(tmp_path / 'ids')!r}, 'a').write(f'{{os.getpid()}} '), print("
    child(BUSY.replace("print(", note))
    task = FreshChildTask("peer")
    assert all(task().cpu > 0 for _ in range(2))
    task.close()
    first, second, *others = (tmp_path / "ids").read_text().split()[1:]  # after the fixture's
    assert first == second  # it warms up, and does it
    assert others[0] == others[1] != first


def test_a_child_that_can_not_begin_says_why(child):
    with pytest.raises(UnavailableError, match=r"process of peer ended, after\n.*no such thing"):
        child("raise SystemExit('no such thing')")


def test_what_is_not_installed_is_told_with_the_way_to_get_it():
    need("numpy", "pip install numpy")
    with pytest.raises(UnavailableError, match=r"nothing_here isn't installed \(pip install x\)"):
        need("nothing_here", "pip install x")


def test_a_program_is_timed_from_its_start_to_its_end():
    spent = Program([sys.executable, "-c", "sum(range(3_000_000))"], {})()
    assert 0 < spent.cpu < 60
    assert spent.wall > 0


def test_a_program_that_fails_says_why():
    code = "import os; raise SystemExit(os.environ['REASON'])"
    with pytest.raises(TFTicketError, match=r"failed with status 1, after\nbad luck"):
        Program([sys.executable, "-c", code], {"REASON": "bad luck"})()
