import keras
import pytest

from tfticket.bench import __main__ as child
from tfticket.bench import memory
from tfticket.bench.memory import Use, can_be_measured, in_fresh_process, in_this_process
from tfticket.bench.paired import Benchmark
from tfticket.errors import TFTicketError

pytestmark = pytest.mark.skipif(not can_be_measured(), reason="the system tells no peak")


class Task:
    """Holds variables of so many float32 numbers, and takes more memory for a moment."""

    def __init__(self, numbers, moment=0):
        self.variables = [keras.Variable(keras.ops.zeros(numbers))]
        self.moment = moment

    def __call__(self):
        block = bytearray(self.moment)
        block[:: 2**12] = b"x" * len(block[:: 2**12])  # memory counts when it is written to


def test_variables_are_counted_to_the_byte_and_those_before_are_not():
    use = in_this_process(lambda: Task(10), lambda: Task(1000))
    assert use.variable_bytes == 4000
    assert use.baseline_bytes > 0


def test_the_peak_counts_what_is_held_for_a_moment():
    peak = memory._peak_bytes()
    status = memory._STATUS.read_text().split()
    resident = int(status[status.index("VmRSS:") + 1]) * 1024
    moment = peak - resident + 2**26
    use = in_this_process(lambda: Task(1), lambda: Task(1, moment))
    assert 2**25 < use.added_bytes < 2**27


def test_a_process_of_its_own_measures_a_contender_of_the_catalog():
    # Its task is a fit of LeNet-300-100 twice: weights, two moments each, a few counters.
    use = in_fresh_process("coteaching_dense", "two plain fits")
    assert 3 * 2 * 4 * 266_610 < use.variable_bytes < 3 * 2 * 4 * 266_610 + 1000
    assert use.added_bytes > use.variable_bytes


def test_a_process_that_fails_says_why():
    with pytest.raises(TFTicketError, match="KeyError: 'speed'"):
        in_fresh_process("speed", "ours")


def test_what_the_process_prints_is_a_use(monkeypatch, capsys):
    tiny = Benchmark("tiny", "", {"ours": lambda: Task(5)}, 1, before_memory=lambda: Task(1))
    monkeypatch.setitem(child.BENCHMARKS, "tiny", tiny)
    child.main("tiny", "ours")
    printed = capsys.readouterr().out
    assert '"variable_bytes": 20' in printed
    assert all(field in printed for field in Use.__dataclass_fields__)
