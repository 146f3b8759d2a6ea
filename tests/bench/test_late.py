from tfticket import data
from tfticket.bench.late import BENCHMARKS, Searches


def test_the_first_and_the_last_levels_are_parts_of_one_search():
    searches = Searches(data.load("digits"), levels=9, steps=100, short=100)
    parts = [searches.part("last"), searches.part("first")]
    assert searches.told == {}  # both were taken
    assert all(part.cpu > 0 and part.wall > 0 for part in parts)
    assert {level for _, level in searches.found.tickets} == set(range(10))
    again = searches.found.without(range(5))
    assert {level for _, level in again.tickets} == set(range(5, 10))
    assert {level for _, level in searches.found.tickets} == set(range(10))


def test_ours_is_held_against_the_first_levels():
    (benchmark,) = BENCHMARKS
    assert next(iter(benchmark.contenders)) == "last five levels"
    assert benchmark.goals == {"first five levels": 0.7}
