import pytest

from tfticket.bench import memory
from tfticket.bench.catalog import BENCHMARKS
from tfticket.bench.memory import Use
from tfticket.bench.paired import Benchmark, Spread, compare, ratios
from tfticket.bench.tasks import Time, UnavailableError


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
        return Use(1000, 300 if contender == "ours" else 200, 24)

    monkeypatch.setattr(memory, "can_be_measured", lambda: True)
    monkeypatch.setattr(memory, "in_fresh_process", fresh)
    result = compare(benchmark(["ours", "other"], [], before_memory=lambda: lambda: None))
    assert set(measured) == {("x", "ours"), ("x", "other")}
    assert result.memory_ratios == {"other": Spread(1.5, 1.5, 1.5)}
    assert result.memory_bytes["ours"] == Spread(300, 300, 300)
    assert result.variable_bytes == {"ours": 24, "other": 24}


def test_where_the_system_tells_no_peak_only_time_is_measured(monkeypatch):
    monkeypatch.setattr(memory, "can_be_measured", lambda: False)
    result = compare(benchmark(["ours", "other"], [], before_memory=lambda: lambda: None))
    assert result.memory_bytes == {}
    assert "other" in result.cpu_ratios


def test_every_benchmark_holds_ours_against_another_under_its_name():
    for name, each in BENCHMARKS.items():
        assert each.name == name
        assert len(each.contenders) > 1
