from tfticket.bench.norms import BENCHMARKS, group_norm
from tfticket.bench.paired import Benchmark, Spread, compare


def test_contenders_take_turns_after_a_warm_up():
    runs = []
    tasks = {"b ours": lambda: runs.append("b"), "a other": lambda: runs.append("a")}
    result = compare(Benchmark("x", "a title", lambda: tasks, rounds=2))
    assert runs == ["b", "a", "a", "b", "b", "a"]
    assert list(result.wall_seconds) == ["b ours", "a other"]
    assert (result.benchmark, result.rounds) == ("x", 2)


def test_the_ratio_is_ours_over_the_other_round_by_round():
    times = {"ours": [2.0, 9.0, 1.0], "other": [1.0, 3.0, 1.0]}
    assert Spread.of_ratio(times) == Spread(2.0, 1.0, 3.0)


def test_a_spread_has_its_ends():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_every_benchmark_holds_ours_against_one_other():
    assert len({benchmark.name for benchmark in BENCHMARKS}) == len(BENCHMARKS)
    ours, other = group_norm().items()
    assert (ours[0], other[0]) == ("tfticket GroupNorm", "keras GroupNormalization")
    ours[1]()
    other[1]()
