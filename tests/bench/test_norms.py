from tfticket.bench.norms import BENCHMARKS


def test_group_norm_is_held_against_that_of_keras():
    found = next(each for each in BENCHMARKS if each.name == "group_norm")
    assert list(found.contenders) == ["tfticket GroupNorm", "keras GroupNormalization"]
    for make in found.contenders.values():
        make()()
