import numpy as np
import pytest

from tfticket import children, data
from tfticket.bench import searches, searching
from tfticket.bench.peers import keras_search
from tfticket.bench.tasks import UnavailableError
from tfticket.lottery import Ticket

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", validation=1, limit=240)


def test_ours_and_keras_alone_search_the_same_networks(digits, tmp_path):
    ours = searching.search(digits, 3)
    (tmp_path / "ours").mkdir()
    searching.save(ours.tickets, tmp_path / "ours")
    accuracies = keras_search.search(digits, 3, tmp_path)
    assert len(ours.results) == len(accuracies) == 3
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
    for benchmark in searches.BENCHMARKS:
        assert not benchmark.warm_up
        assert list(benchmark.contenders) == ["TicketSearch", *benchmark.goals]
    task = searches.program("ticket_search", 4, HOME="/nowhere")
    assert task.command == children.command("tfticket.bench.ticket_search", "4")
    assert task.environment == {"HOME": "/nowhere"}


def test_open_lth_takes_no_part_without_a_checkout(monkeypatch, digits):
    monkeypatch.delenv("OPEN_LTH", raising=False)
    with pytest.raises(UnavailableError):
        searches.OpenLthSearch(4, digits)
