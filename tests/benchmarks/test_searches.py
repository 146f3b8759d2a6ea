import numpy as np
import pytest

from benchmarks import ours, searches
from benchmarks.peers import keras_search
from benchmarks.searches import BENCHMARKS, Searches, StudyTask, study
from benchmarks.tasks import UnavailableError, command
from tfticket import data
from tfticket.lottery import Ticket
from tfticket.runner import Processes

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", validation=1, limit=240)


def test_ours_and_keras_alone_search_the_same_networks(digits, tmp_path):
    found = ours.search(digits, 3)
    (tmp_path / "ours").mkdir()
    ours.save(found.tickets, tmp_path / "ours")
    accuracies = keras_search.search(digits, 3, tmp_path)
    assert len(found.results) == len(accuracies) == 3
    for level in range(3):
        ticket = Ticket.load(tmp_path / "ours" / f"level_{level:02}.npz")
        assert "output/kernel" not in ticket.mask
        with np.load(tmp_path / f"level_{level:02}.npz") as arrays:
            theirs = [arrays["arr_0"], arrays["arr_1"]]
        assert ticket.mask.kept == sum(int(mask.sum()) for mask in theirs)
        assert ticket.mask.density == pytest.approx(0.8**level, abs=1e-4)


def test_the_files_of_mnist_are_as_they_were_published(tmp_path):
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    searches.write_idx(x, tmp_path / "x")
    written = (tmp_path / "x").read_bytes()
    assert written[:8] == bytes((0, 0, 8, 3, 0, 0, 0, 2))
    assert written[16:] == x.tobytes()
    assert len(written) == 16 + 24


def test_all_take_part_in_a_process_of_their_own():
    for benchmark in searches.BENCHMARKS[:2]:
        assert not benchmark.warm_up
        assert list(benchmark.contenders) == ["TicketSearch", *benchmark.goals]
    keras_alone = searches.BENCHMARKS[0].contenders["Keras' defaults"]()
    assert keras_alone.command == command("benchmarks.peers.keras_search", "4")


def test_open_lth_takes_no_part_without_a_checkout(monkeypatch, digits):
    monkeypatch.delenv("OPEN_LTH", raising=False)
    with pytest.raises(UnavailableError):
        searches.OpenLthSearch(4, digits)


def test_a_study_takes_the_time_of_the_processes_that_do_it():
    task = StudyTask(study("digits", seeds=1, levels=1, steps=4), Processes(1))
    spent = task()
    assert spent.wall > 0
    assert spent.cpu > 1  # importing TensorFlow alone takes longer, in the other process


def test_the_first_and_the_last_levels_are_parts_of_one_search():
    searches = Searches(data.load("digits"), levels=9, steps=100, short=100)
    parts = [searches.part("last"), searches.part("first")]
    assert searches.times == {}  # both were taken
    assert all(part.cpu > 0 and part.wall > 0 for part in parts)
    assert {level for _, level in searches.found.tickets} == set(range(10))
    again = searches.found.without(range(5))
    assert {level for _, level in again.tickets} == set(range(5, 10))
    assert {level for _, level in searches.found.tickets} == set(range(10))


def test_ours_is_held_against_the_first_levels():
    (benchmark,) = (each for each in BENCHMARKS if each.name == "late_levels")
    assert next(iter(benchmark.contenders)) == "last five levels"
    assert benchmark.goals == {"first five levels": 0.7}
