from tfticket.bench.convs import BENCHMARKS as CONVS
from tfticket.bench.masks import BENCHMARKS, PLAIN


def test_each_is_held_against_two_copies_without_masks():
    names = ["masks_lenet", "masks_conv2", "masks_resnet20"]
    assert [benchmark.name for benchmark in BENCHMARKS] == names
    for benchmark in BENCHMARKS:
        assert list(benchmark.contenders) == ["80 % masked", *PLAIN]
        assert set(benchmark.goals) == set(PLAIN)


def test_convolutional_networks_have_the_peers_that_are_to_be_beaten():
    assert [benchmark.name for benchmark in CONVS] == ["conv2", "resnet20"]
    for benchmark in CONVS:
        ours, *others = benchmark.contenders
        assert ours == "fit with ChunkedFit, masks"
        assert set(benchmark.goals) == set(others)
