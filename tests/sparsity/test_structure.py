import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfticket.errors import MaskError
from tfticket.sparsity.channel_group import ChannelGroup, Slot
from tfticket.sparsity.channels import Channels
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import prune_count
from tfticket.sparsity.pruners import ERKPruner, GlobalPruner, LayerwisePruner, erk_counts
from tfticket.sparsity.structure import Blocks, NOfM, Unstructured

KERNELS = {"conv/kernel": (3, 3, 6, 5), "dense/kernel": (10, 7), "output/kernel": (7, 3)}
# A stem, a block whose end is added to the stem's output, and a dense layer behind a flattening.
RESIDUAL = {
    "stem/kernel": (3, 3, 1, 4),
    "inner/kernel": (3, 3, 4, 6),
    "outer/kernel": (3, 3, 6, 4),
    "output/kernel": (2 * 2 * 4, 3),
}


def residual_groups():
    added = [
        ChannelGroup(
            f"stem:{i}",
            (Slot("stem/kernel", 3, (i,)), Slot("outer/kernel", 3, (i,))),
            (Slot("inner/kernel", 2, (i,)), Slot("output/kernel", 0, tuple(range(i, 16, 4)))),
        )
        for i in range(4)
    ]
    inside = [
        ChannelGroup(
            f"inner:{i}", (Slot("inner/kernel", 3, (i,)),), (Slot("outer/kernel", 2, (i,)),)
        )
        for i in range(6)
    ]
    return (*added, *inside)


def random_scores(shapes, seed):
    rng = np.random.default_rng(seed)
    return {key: rng.normal(size=shape) for key, shape in shapes.items()}


def blocks_of(array, size):
    """Each block of an array by a plain loop."""
    for start in range(0, array.shape[-2], size):
        block = array[..., start : start + size, :]
        yield from np.moveaxis(block, -2, 0).reshape(block.shape[-2], -1).T


seeds = st.integers(0, 2**32 - 1)
pruners = st.sampled_from([GlobalPruner, LayerwisePruner])


@given(seed=seeds, size=st.integers(1, 6), steps=st.lists(st.floats(0, 0.4), max_size=4))
def test_blocks_live_and_die_as_a_whole(seed, size, steps):
    structure = Blocks(size)
    mask = Mask.ones(KERNELS)
    for rate in steps:
        before = structure.units(mask)
        pruned = LayerwisePruner(structure=structure).prune(
            random_scores(KERNELS, seed), mask, rate
        )
        assert pruned.is_subset_of(mask)
        assert structure.units(pruned).counts() == {
            key: count - prune_count(rate, count) for key, count in before.counts().items()
        }
        for array in pruned.values():
            assert all(block.all() or not block.any() for block in blocks_of(array, size))
        mask = pruned


def test_the_blocks_of_a_kernel_are_the_1x4_blocks_of_tflite():
    # TFLite has (outputs, inputs): a block is 4 neighbors of a row there.
    scores = np.zeros((8, 3))
    scores[4:8, 1] = 1.0
    mask = Mask.ones({"dense/kernel": (8, 3)})
    kept = LayerwisePruner(structure=Blocks(4)).prune({"dense/kernel": scores}, mask, 5 / 6)
    np.testing.assert_array_equal(kept["dense/kernel"].T[1], [0, 0, 0, 0, 1, 1, 1, 1])
    assert kept.kept == 4


def test_a_block_scores_the_mean_of_its_survivors():
    structure = Blocks(4)
    scores = {"a": np.array([[1.0], [5.0], [9.0], [9.0], [4.0]])}
    mask = Mask({"a": np.array([[1], [1], [0], [0], [1]])})
    np.testing.assert_array_equal(structure.unit_scores(scores, mask)["a"], [[3.0], [4.0]])


def test_densities_by_the_rule_of_kernels_are_those_of_weights():
    shapes = {"conv/kernel": (3, 3, 64, 64), "dense/kernel": (512, 256)}
    scores = random_scores(shapes, 0)
    pruner = ERKPruner(structure=Blocks(4))
    pruned = pruner.prune(scores, Mask.ones(shapes), 0.9)
    unstructured = erk_counts(Mask.ones(shapes), pruned.kept)
    assert pruned.counts() == pytest.approx(unstructured, abs=8)


@given(
    seed=seeds,
    pattern=st.sampled_from([(1, 2), (2, 4), (1, 4), (3, 5)]),
    make=pruners,
    share=st.floats(0, 1),
    steps=st.integers(1, 4),
)
def test_at_least_n_of_m_survive_and_the_pattern_gets_complete(seed, pattern, make, share, steps):
    n, m = pattern
    shapes = {"conv/kernel": (3, 3, 2 * m, 5), "dense/kernel": (3 * m, 7)}
    final = 1 - share * (1 - n / m)  # density, from 1 to n / m
    mask = Mask.ones(shapes)
    pruner = make(structure=NOfM(n, m))
    for step in range(steps):
        pruned = pruner.prune(random_scores(shapes, seed + step), mask, 1 - final ** (1 / steps))
        assert pruned.is_subset_of(mask)
        assert abs(pruned.kept - mask.kept * final ** (1 / steps)) <= 8
        for array in pruned.values():
            assert min(block.sum() for block in blocks_of(array, m)) >= n
        mask = pruned
    if share == 1:
        for array in mask.values():
            assert {block.sum() for block in blocks_of(array, m)} == {n}


@given(seed=seeds)
def test_the_n_best_of_each_block_are_what_stays(seed):
    scores = random_scores({"dense/kernel": (12, 5)}, seed)
    mask = Mask.ones({"dense/kernel": (12, 5)})
    kept = LayerwisePruner(structure=NOfM(2, 4)).prune(scores, mask, 0.5)["dense/kernel"]
    pairs = zip(blocks_of(scores["dense/kernel"], 4), blocks_of(kept, 4), strict=True)
    for block, survivors in pairs:
        assert set(np.flatnonzero(survivors)) == set(np.argsort(-block)[:2])


def test_a_last_block_that_is_shorter_keeps_n_too():
    scores = {"a": np.arange(14.0).reshape(7, 2)}
    kept = LayerwisePruner(structure=NOfM(2, 4)).prune(scores, Mask.ones({"a": (7, 2)}), 3 / 7)
    np.testing.assert_array_equal(kept["a"][:, 0], [0, 0, 1, 1, 0, 1, 1])


@pytest.mark.parametrize("make", [GlobalPruner, LayerwisePruner])
def test_a_density_below_the_pattern_is_refused(make):
    shapes = {"a/kernel": (40, 30), "output/kernel": (30, 10)}
    pruner = make(structure=NOfM(2, 4))
    with pytest.raises(MaskError, match=r"Of each 4 .* 2 must stay.*lowest density that.*50\.\d+%"):
        pruner.prune(random_scores(shapes, 0), Mask.ones(shapes), 0.6)


def test_a_kernel_with_few_inputs_is_told_by_name():
    shapes = {"a/kernel": (400, 30), "stem/kernel": (3, 3, 1, 8)}
    pruner = LayerwisePruner(structure=NOfM(2, 4))
    with pytest.raises(MaskError, match=r"density that `stem/kernel` can have is 100"):
        pruner.prune(random_scores(shapes, 0), Mask.ones(shapes), 0.5)


@pytest.mark.parametrize("final", [0.4999, 0.5, 0.5001])
def test_a_count_near_the_pattern_is_rounded_to_it(final):
    shapes = {"a/kernel": (64, 30), "b/kernel": (28, 10)}
    scores, mask = random_scores(shapes, 0), Mask.ones(shapes)
    for _ in range(10):
        mask = LayerwisePruner(structure=NOfM(2, 4)).prune(scores, mask, 1 - final**0.1)
    assert mask.density == 0.5


@settings(deadline=None)
@given(seed=seeds, make=pruners, steps=st.lists(st.floats(0, 0.5), min_size=1, max_size=4))
def test_channels_live_and_die_wherever_they_are(seed, make, steps):
    structure = Channels(residual_groups())
    mask = Mask.ones(RESIDUAL)
    for number, rate in enumerate(steps):
        units = structure.units(mask)
        pruner, scores = make(structure=structure), random_scores(RESIDUAL, seed + number)
        if make is GlobalPruner and units.kept - prune_count(rate, units.kept) < 2:
            with pytest.raises(MaskError, match="At least one channel of each layer"):
                pruner.prune(scores, mask, rate)
            return
        pruned = pruner.prune(scores, mask, rate)
        assert pruned.is_subset_of(mask)
        alive = structure.units(pruned)
        assert min(alive.counts().values()) >= 1
        if make is GlobalPruner:
            assert alive.kept == units.kept - prune_count(rate, units.kept)
        else:
            assert alive.counts() == {
                key: count - prune_count(rate, count) for key, count in units.counts().items()
            }
        stem, inner = alive["stem/kernel"], alive["inner/kernel"]
        np.testing.assert_array_equal(pruned["stem/kernel"][0, 0, 0], stem)
        np.testing.assert_array_equal(pruned["inner/kernel"][0, 0], np.outer(stem, inner))
        np.testing.assert_array_equal(pruned["outer/kernel"][0, 0], np.outer(inner, stem))
        np.testing.assert_array_equal(
            pruned["output/kernel"], np.tile(stem, 4)[:, None] * [[1] * 3]
        )
        mask = pruned


def test_a_channel_that_branches_make_together_is_scored_by_all_of_them():
    structure = Channels(residual_groups())
    scores = {key: np.zeros(shape) for key, shape in RESIDUAL.items()}
    scores["stem/kernel"][..., 0] = 7.0  # 9 weights
    scores["outer/kernel"][..., 1] = 3.5  # 54 weights
    scores["inner/kernel"][:] = 100.0  # of other channels
    pooled = structure.unit_scores(scores, Mask.ones(RESIDUAL))["stem/kernel"]
    np.testing.assert_allclose(pooled / pooled[0], [1.0, 3.0, 0.0, 0.0])
    assert np.mean(pooled**2) == pytest.approx(1.0)


def test_all_channels_compete_on_the_scale_of_their_layer():
    structure = Channels(residual_groups())
    scores = random_scores(RESIDUAL, 0)
    louder = {**scores, "inner/kernel": 1e6 * scores["inner/kernel"]}
    mask = Mask.ones(RESIDUAL)
    pruner = GlobalPruner(structure=structure)
    assert pruner.prune(scores, mask, 0.5) == pruner.prune(louder, mask, 0.5)


def test_one_channel_of_each_layer_stays():
    structure = Channels(residual_groups())
    scores = {key: np.zeros(shape) for key, shape in RESIDUAL.items()}
    scores["stem/kernel"] += 1.0
    scores["inner/kernel"][..., 0] = -1e-3
    mask = Mask.ones(RESIDUAL)
    kept = structure.units(GlobalPruner(structure=structure).prune(scores, mask, 0.5))
    assert kept.counts() == {"stem/kernel": 4, "inner/kernel": 1}
    for pruner in (GlobalPruner(structure=structure), LayerwisePruner(structure=structure)):
        with pytest.raises(MaskError, match="At least one channel of each layer must stay"):
            pruner.prune(scores, mask, 0.9)


def test_rates_by_layer_go_by_the_kernel_that_makes_the_channels():
    groups = (
        *(ChannelGroup(f"c{i}", (Slot("conv/kernel", 3, (i,)),), ()) for i in range(10)),
        *(ChannelGroup(f"d{i}", (Slot("dense/kernel", 1, (i,)),), ()) for i in range(10)),
    )
    shapes = {"conv/kernel": (3, 3, 2, 10), "dense/kernel": (4, 10)}
    structure = Channels(groups)
    pruner = LayerwisePruner({"conv": 0.5, "dense": 2.0}, structure=structure)
    pruned = pruner.prune(random_scores(shapes, 0), Mask.ones(shapes), 0.2)
    assert structure.units(pruned).counts() == {"conv/kernel": 9, "dense/kernel": 6}


@pytest.mark.parametrize("structure", [Unstructured(), Blocks(4), NOfM(2, 4)])
@pytest.mark.parametrize("how", ["shuffled", "random"])
def test_masks_drawn_anew_have_the_structure_and_the_count(structure, how):
    shapes = {"conv/kernel": (3, 3, 8, 5), "dense/kernel": (12, 7)}
    rate = 0.4
    pruner = LayerwisePruner(structure=structure)
    mask = pruner.prune(random_scores(shapes, 0), Mask.ones(shapes), rate)
    rng = np.random.default_rng(0)
    drawn = [getattr(structure, how)(mask, rng) for _ in range(3)]
    assert len({mask, *drawn}) == 4
    for other in drawn:
        assert structure.units(other).kept == structure.units(mask).kept
        assert other.kept == mask.kept
        assert how == "random" or other.counts() == mask.counts()
        for array in other.values():
            if isinstance(structure, Blocks):
                assert all(block.all() or not block.any() for block in blocks_of(array, 4))
            if isinstance(structure, NOfM):
                assert min(block.sum() for block in blocks_of(array, 4)) >= 2


def test_weights_without_a_structure_are_drawn_as_ever():
    mask = Mask({"a": np.arange(30).reshape(5, 6) % 3 == 0, "b": np.eye(4)})
    for how in ("shuffled", "random"):
        ours = getattr(Unstructured(), how)(mask, np.random.default_rng(3))
        assert ours == getattr(mask, how)(np.random.default_rng(3))


def test_channels_drawn_anew_are_whole_and_as_many():
    structure = Channels(residual_groups())
    mask = LayerwisePruner(structure=structure).prune(
        random_scores(RESIDUAL, 0), Mask.ones(RESIDUAL), 0.5
    )
    rng = np.random.default_rng(0)
    shuffled = [structure.shuffled(mask, rng) for _ in range(10)]
    assert len(set(shuffled)) > 3
    for other in shuffled:
        assert structure.units(other).counts() == structure.units(mask).counts()
        assert structure.expand(structure.units(other), Mask.ones(RESIDUAL)) == other
        assert other.counts() == mask.counts()
    counts = [structure.units(structure.random(mask, rng)).counts() for _ in range(20)]
    assert {sum(count.values()) for count in counts} == {5}
    assert len({tuple(count.values()) for count in counts}) > 1


def test_channels_must_fit_the_mask():
    structure = Channels(residual_groups())
    without = {key: shape for key, shape in RESIDUAL.items() if key != "output/kernel"}
    with pytest.raises(MaskError, match="axis 0 of `output/kernel`, not or not as long in"):
        structure.units(Mask.ones(without))
    with pytest.raises(MaskError, match="axis 3 of `stem/kernel`"):
        structure.units(Mask.ones({**RESIDUAL, "stem/kernel": (3, 3, 1, 3)}))


def test_structures_that_make_no_sense_are_refused():
    slot = Slot("a", 1, (0,))
    for axis, indices in ((-1, (0,)), (1, ()), (1, (0, 0)), (1, (-1,))):
        with pytest.raises(MaskError, match="distinct places"):
            Slot("a", axis, indices)
    with pytest.raises(MaskError, match="none for 'x'"):
        ChannelGroup("x", (), (slot,))
    with pytest.raises(MaskError, match="no group"):
        Channels(())
    with pytest.raises(MaskError, match="'x' and 'y' for index 0 of axis 1 of `a`"):
        Channels((ChannelGroup("x", (slot,), ()), ChannelGroup("y", (slot,), ())))
    with pytest.raises(MaskError, match="size=0"):
        Blocks(0)
    for n, m in ((0, 4), (4, 4), (5, 4)):
        with pytest.raises(MaskError, match=f"n={n}, m={m}"):
            NOfM(n, m)


def test_the_channels_of_a_real_network():
    from tfticket.channels import channel_groups
    from tfticket.state import prunable_variables

    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = stem = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="inner")(x)
    x = layers.Conv2D(8, 3, padding="same", name="outer")(x)
    x = layers.Flatten()(layers.MaxPooling2D(4)(layers.ReLU()(layers.Add()([stem, x]))))
    model = keras.Model(inputs, layers.Dense(5, name="output")(x))
    structure = Channels(channel_groups(model))
    weights = {key: v.numpy() for key, v in prunable_variables(model).items()}
    mask = Mask.ones({key: array.shape for key, array in weights.items()})
    scores = {key: np.abs(array) for key, array in weights.items()}
    pruned = LayerwisePruner(structure=structure).prune(scores, mask, 0.5)
    assert structure.units(pruned).counts() == {"stem/kernel": 4, "inner/kernel": 6}
    assert pruned.counts() == {
        "stem/kernel": 9 * 3 * 4,
        "inner/kernel": 9 * 4 * 6,
        "outer/kernel": 9 * 6 * 4,
        "output/kernel": 4 * 4 * 5,
    }
