import json

import keras
import pytest

from benchmarks import catalog as child
from benchmarks import paired
from benchmarks.catalog import BENCHMARKS
from benchmarks.paired import (
    Benchmark,
    Comparison,
    Memory,
    Spread,
    can_measure_memory,
    changes,
    compare,
    load_earlier,
    memory_in_fresh_process,
    memory_of,
    ratios,
)
from benchmarks.tasks import Time, UnavailableError
from tfticket.errors import TFTicketError

pytestmark = pytest.mark.slow


def benchmark(names, runs, **settings):
    contenders = {name: lambda name=name: lambda: runs.append(name) for name in names}
    return Benchmark("x", "a title", contenders, rounds=2, **settings)


def test_contenders_take_turns_after_a_warm_up():
    runs = []
    result = compare(benchmark(["b", "a"], runs))
    assert runs == ["b", "a", "a", "b", "b", "a"]
    assert list(result.wall_seconds) == ["b", "a"]
    assert (result.benchmark, result.rounds) == ("x", 2)
    assert result.memory_bytes == result.memory_ratios == result.variable_bytes == {}


class Elsewhere:
    """A task that tells what another process measured, and is closed in the end."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.closed = False

    def __call__(self):
        return Time(self.seconds, 2 * self.seconds)

    def close(self):
        self.closed = True


def missing():
    raise UnavailableError("torch isn't installed (pip install torch).")


def test_times_that_are_told_count_and_goals_are_of_those_who_take_part():
    tasks = [Elsewhere(1.0), Elsewhere(4.0)]
    contenders = {"ours": lambda: tasks[0], "other": lambda: tasks[1], "torch": missing}
    goals = {"other": 0.5, "torch": 0.1}
    result = compare(Benchmark("x", "a title", contenders, rounds=3, goals=goals))
    assert result.cpu_ratios == {"other": Spread(0.25, 0.25, 0.25)}
    assert result.wall_seconds["other"].median == 8.0
    assert result.goals == {"other": 0.5}
    assert result.absent == {"torch": "torch isn't installed (pip install torch)."}
    assert all(task.closed for task in tasks)


def test_without_ours_there_is_nothing_to_compare():
    with pytest.raises(UnavailableError, match="torch"):
        compare(Benchmark("x", "", {"ours": missing, "other": lambda: lambda: None}, rounds=1))


def test_a_whole_process_needs_no_warm_up():
    runs = []
    names = ["ours", "other"]
    contenders = {name: lambda name=name: lambda: runs.append(name) for name in names}
    compare(Benchmark("x", "", contenders, rounds=1, warm_up=False))
    assert sorted(runs) == ["other", "ours"]


def test_ratios_are_of_ours_over_each_other_round_by_round():
    found = ratios({"ours": [2.0, 9.0, 1.0], "a": [1.0, 3.0, 1.0], "b": [2.0, 9.0, 1.0]})
    assert found == {"a": Spread(2.0, 1.0, 3.0), "b": Spread(1.0, 1.0, 1.0)}


def test_a_spread_has_its_ends():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_memory_is_measured_in_processes_of_their_own_where_it_is_asked_for(monkeypatch):
    measured = []

    def fresh(name, contender):
        measured.append((name, contender))
        return Memory(1000, 300 if contender == "ours" else 200, 24)

    monkeypatch.setattr(paired, "can_measure_memory", lambda: True)
    monkeypatch.setattr(paired, "memory_in_fresh_process", fresh)
    result = compare(benchmark(["ours", "other"], [], before_memory=lambda: lambda: None))
    assert set(measured) == {("x", "ours"), ("x", "other")}
    assert result.memory_ratios == {"other": Spread(1.5, 1.5, 1.5)}
    assert result.memory_bytes["ours"] == Spread(300, 300, 300)
    assert result.variable_bytes == {"ours": 24, "other": 24}


def test_where_the_system_tells_no_peak_only_time_is_measured(monkeypatch):
    monkeypatch.setattr(paired, "can_measure_memory", lambda: False)
    result = compare(benchmark(["ours", "other"], [], before_memory=lambda: lambda: None))
    assert result.memory_bytes == {}
    assert "other" in result.cpu_ratios


def test_every_benchmark_holds_ours_against_another_under_its_name():
    for name, each in BENCHMARKS.items():
        assert each.name == name
        assert len(each.contenders) > 1


def result(**ratios):
    empty = {}
    return Comparison("x", "", 3, empty, empty, ratios, empty, empty, empty, empty)


def earlier(median, low, high):
    return {"cpu_ratios": {"other": {"median": median, "low": low, "high": high}}}


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (Spread(0.5, 0.45, 0.55), "no difference seen"),
        (Spread(0.8, 0.7, 0.9), "slower"),
        (Spread(0.2, 0.1, 0.3), "faster"),
    ],
)
def test_a_change_is_one_only_beyond_the_spread_of_both(now, verdict):
    (line,) = changes(result(other=now), earlier(0.52, 0.4, 0.6))
    assert line == f"other: CPU ratio 0.520 then, {now.median:.3f} now, {verdict}"


def test_who_was_not_there_then_is_told():
    (line,) = changes(result(torch=Spread(1, 1, 1)), earlier(0.5, 0.4, 0.6))
    assert line == "torch: not measured then"


def test_results_are_found_by_name(tmp_path):
    file = tmp_path / "then.json"
    file.write_text(json.dumps({"results": [{"benchmark": "x", **earlier(1, 1, 1)}]}))
    assert load_earlier(file)["x"]["cpu_ratios"]["other"]["median"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 9000,
        '{"results": 3}',
        '{"results": [{}]}',
        '{"results": [{"benchmark": "x", "cpu_ratios": {"a": {"median": "1"}}}]}',
        '{"results": [{"benchmark": "x", "cpu_ratios": 3}]}',
    ],
)
def test_another_file_is_refused(tmp_path, text):
    file = tmp_path / "then.json"
    file.write_text(text)
    with pytest.raises(
        TFTicketError, match=r"then\.json isn't a file of results.*benchmarks -o FILE"
    ):
        load_earlier(file)


measures_memory = pytest.mark.skipif(not can_measure_memory(), reason="the system tells no peak")


class Task:
    """Holds variables of so many float32 numbers, and takes more memory for a moment."""

    def __init__(self, numbers, moment=0):
        self.variables = [keras.Variable(keras.ops.zeros(numbers))]
        self.moment = moment

    def __call__(self):
        block = bytearray(self.moment)
        block[:: 2**12] = b"x" * len(block[:: 2**12])  # memory counts when it is written to


@measures_memory
def test_variables_are_counted_to_the_byte_and_those_before_are_not():
    use = memory_of(lambda: Task(1000), before=lambda: Task(10))
    assert use.variable_bytes == 4000
    assert use.baseline_bytes > 0


@measures_memory
def test_the_peak_counts_what_is_held_for_a_moment():
    peak = paired._peak_bytes()
    status = paired._STATUS.read_text().split()
    resident = int(status[status.index("VmRSS:") + 1]) * 1024
    moment = peak - resident + 2**26
    use = memory_of(lambda: Task(1, moment), before=lambda: Task(1))
    assert 2**25 < use.added_bytes < 2**27


@measures_memory
def test_a_process_of_its_own_measures_a_contender_of_the_catalog():
    # Its task is a fit of LeNet-300-100 twice: weights, two moments each, a few counters.
    use = memory_in_fresh_process("coteaching_dense", "two plain fits")
    assert 3 * 2 * 4 * 266_610 < use.variable_bytes < 3 * 2 * 4 * 266_610 + 1000
    assert use.added_bytes > use.variable_bytes


@measures_memory
def test_a_process_that_fails_says_why():
    with pytest.raises(TFTicketError, match="KeyError: 'speed'"):
        memory_in_fresh_process("speed", "ours")


@measures_memory
def test_what_the_process_prints_is_a_use(monkeypatch, capsys):
    tiny = Benchmark("tiny", "", {"ours": lambda: Task(5)}, 1, before_memory=lambda: Task(1))
    monkeypatch.setitem(child.BENCHMARKS, "tiny", tiny)
    child.main("tiny", "ours")
    printed = capsys.readouterr().out
    assert '"variable_bytes": 20' in printed
    assert all(field in printed for field in Memory.__dataclass_fields__)
