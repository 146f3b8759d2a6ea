import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfticket.errors import MaskError
from tfticket.sparsity.channel_group import ChannelGroup, Slot
from tfticket.sparsity.channels import Channels
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruner import prune_count
from tfticket.sparsity.pruners import ERKPruner, GlobalPruner, LayerwisePruner, erk_counts
from tfticket.sparsity.ranking import keep_highest
from tfticket.sparsity.structure import Blocks, NOfM, Unstructured

SHAPES = {"a/kernel": (4, 5), "b/kernel": (2, 3, 2, 2), "c/kernel": (7, 2)}


def channels_of_shapes():
    """The outputs of `a` are read by `c`, those of `b` by nobody."""
    a = (
        ChannelGroup(f"a{i}", (Slot("a/kernel", 1, (i,)),), (Slot("c/kernel", 0, (i,)),))
        for i in range(5)
    )
    b = (ChannelGroup(f"b{i}", (Slot("b/kernel", 3, (i,)),), ()) for i in range(2))
    return Channels((*a, *b))


STRUCTURES = [Unstructured(), Blocks(2), Blocks(3), NOfM(1, 2), channels_of_shapes()]
PRUNERS = [
    *(GlobalPruner(structure=structure) for structure in STRUCTURES),
    *(LayerwisePruner({"b/*": 0.5}, structure=structure) for structure in STRUCTURES),
    *(ERKPruner(structure=structure) for structure in STRUCTURES[:-1]),
]
every_pruner = pytest.mark.parametrize(
    "pruner", PRUNERS, ids=lambda p: f"{type(p).__name__}-{p.structure.name}"
)

# Frankle & Carbin (2019), figure 2: shapes alone decide who many survive a level.
CONV_64 = {"conv1": (3, 3, 3, 64), "conv2": (3, 3, 64, 64)}
CONV_128 = {"conv3": (3, 3, 64, 128), "conv4": (3, 3, 128, 128)}
CONV_256 = {"conv5": (3, 3, 128, 256), "conv6": (3, 3, 256, 256)}
NETWORKS = {
    "lenet": {"fc1": (784, 300), "fc2": (300, 100), "output": (100, 10)},
    "conv2": {**CONV_64, "fc1": (16384, 256), "fc2": (256, 256), "output": (256, 10)},
    "conv4": {**CONV_64, **CONV_128, "fc1": (8192, 256), "fc2": (256, 256), "output": (256, 10)},
    "conv6": {
        **CONV_64,
        **CONV_128,
        **CONV_256,
        "fc1": (4096, 256),
        "fc2": (256, 256),
        "output": (256, 10),
    },
}
TOTALS = {"lenet": 266_200, "conv2": 4_300_992, "conv4": 2_425_024, "conv6": 2_261_184}
LEVELS = (1, 3, 5, 7, 9, 10, 11, 12, 14, 15, 16, 18, 20, 24)
# Percent of the prunable weights that survive each of LEVELS, to 0.01.
SURVIVORS = {
    "lenet": "80.04 51.28 32.87 21.07 13.52 10.83 8.68 6.95 4.47 3.58 2.87 1.85 1.19 0.50",
    "conv2": "80.10 51.41 33.02 21.23 13.66 10.97 8.81 7.08 4.57 3.68 2.97 1.93 1.26 0.54",
    "conv4": "81.08 53.55 35.61 23.88 16.16 13.35 11.06 9.18 6.40 5.37 4.51 3.23 2.34 1.28",
    "conv6": "82.54 56.39 38.67 26.61 18.38 15.29 12.74 10.62 7.39 6.18 5.17 3.62 2.54 1.27",
}


def rates_of_the_paper(name):
    """20 % a level from dense layers, 10 % from the output, 10 or 15 % from convolutions."""
    return LayerwisePruner({"output/*": 0.5, "conv": 0.75 if name == "conv6" else 0.5})


@pytest.mark.parametrize("name", NETWORKS)
def test_survivors_of_the_paper_s_networks(name):
    shapes = {f"{layer}/kernel": shape for layer, shape in NETWORKS[name].items()}
    scores = {key: np.zeros(shape, "float32") for key, shape in shapes.items()}  # counts alone
    masks = [Mask.ones(shapes)]
    for _ in range(24):
        masks.append(rates_of_the_paper(name).prune(scores, masks[-1], 0.2))
    assert masks[0].total == TOTALS[name]
    percents = [100 * masks[level].density for level in LEVELS]
    assert percents == pytest.approx([float(p) for p in SURVIVORS[name].split()], abs=0.0101)


def test_exact_survivors_of_lenet():
    rng = np.random.default_rng(0)
    shapes = {f"{layer}/kernel": shape for layer, shape in NETWORKS["lenet"].items()}
    scores = {key: rng.random(shape) for key, shape in shapes.items()}
    masks = [Mask.ones(shapes)]
    for _ in range(20):
        masks.append(rates_of_the_paper("lenet").prune(scores, masks[-1], 0.2))
        assert masks[-1].is_subset_of(masks[-2])
    kept = {level: masks[level].kept for level in (1, 7, 15, 20)}
    assert kept == {1: 213_060, 7: 56_094, 15: 9_537, 20: 3_179}
    assert masks[20].counts()["output/kernel"] == 121


@st.composite
def problems(draw):
    """Scores with many ties, a mask with survivors everywhere, and a rate."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = {key: rng.integers(-2, 3, shape) / 2 for key, shape in SHAPES.items()}
    arrays = {key: rng.random(shape) < 0.8 for key, shape in SHAPES.items()}
    for array in arrays.values():
        array.flat[:2] = True
    return scores, Mask(arrays), draw(st.floats(0, 0.99))


def try_prune(pruner, scores, mask, rate, **kwargs):
    """The new mask, or None where a layer would be left empty, or the structure be broken."""
    try:
        return pruner.prune(scores, mask, rate, **kwargs)
    except MaskError as error:
        rule = pruner.structure.rule or "At least one weight"
        assert rule in str(error) or "At least one weight" in str(error)  # noqa: PT017
        return None


def structured(pruner, mask):
    """The mask as a search would have it: whole channels."""
    structure = pruner.structure
    if structure.name != "channel":
        return mask
    return structure.expand(structure.units(mask), Mask.ones(mask.shapes))


@every_pruner
@given(problem=problems())
def test_the_new_mask_is_a_subset_with_the_exact_count(pruner, problem):
    scores, mask, rate = problem
    mask = structured(pruner, mask)
    pruned = try_prune(pruner, scores, mask, rate)
    if pruned is None:
        return
    assert pruned.is_subset_of(mask)
    assert min(pruned.counts().values()) >= 1
    before, after = pruner.structure.units(mask), pruner.structure.units(pruned)
    if isinstance(pruner, LayerwisePruner):
        rates = {"a/kernel": rate, "b/kernel": rate / 2, "c/kernel": rate}
        wanted = {key: n - prune_count(rates[key], n) for key, n in before.counts().items()}
    else:
        wanted = {"all": before.kept - prune_count(rate, before.kept)}
    counts = after.counts() if len(wanted) > 1 else {"all": after.kept}
    if pruner.structure.name == "n_of_m":  # a count near the pattern is rounded to it
        assert all(abs(counts[key] - wanted[key]) <= 3 * len(mask) for key in wanted)
    else:
        assert counts == wanted
    again = pruner.prune_like(scores, mask, pruned)
    assert again == pruned


@every_pruner
@given(problem=problems())
def test_no_survivor_scores_below_a_pruned_competitor(pruner, problem):
    scores, mask, rate = problem
    mask = structured(pruner, mask)
    pruned = try_prune(pruner, scores, mask, rate)
    if pruned is None:
        return
    structure = pruner.structure
    pooled = structure.unit_scores(scores, mask)
    before, after = structure.units(mask), structure.units(pruned)
    free = {key: ~array for key, array in structure.protected(pooled, before).items()}
    groups = [list(before)] if isinstance(pruner, GlobalPruner) else [[key] for key in before]
    for keys in groups:
        gone = np.concatenate([pooled[k][before[k] & ~after[k]] for k in keys])
        kept = np.concatenate([pooled[k][after[k] & free[k]] for k in keys])
        assert gone.size == 0 or kept.size == 0 or gone.max() <= kept.min()
        assert all(after[k][before[k] & ~free[k]].all() for k in keys)


@every_pruner
@given(problem=problems(), rounds=st.integers(1, 6))
def test_rounds_since_a_mask_end_where_one_step_ends(pruner, problem, rounds):
    scores, mask, rate = problem
    mask = structured(pruner, mask)
    at_once = try_prune(pruner, scores, mask, rate)
    pruned = mask
    for number in range(1, rounds + 1):
        before = pruned
        pruned = try_prune(pruner, scores, before, 1 - (1 - rate) ** (number / rounds), since=mask)
        if pruned is None:
            return
        assert pruned.is_subset_of(before)
    if pruner.structure.name == "channel":  # which scores what depends on who is left
        counts = [pruner.structure.units(end).counts() for end in (pruned, at_once)]
        totals = [sum(count.values()) for count in counts]
        assert totals[0] == totals[1]
        assert isinstance(pruner, GlobalPruner) or counts[0] == counts[1]
    else:
        assert pruned == at_once


def test_ties_go_by_flat_index_over_all_variables():
    mask = Mask.ones({"a/kernel": (2, 2), "b/kernel": (2, 2)})
    scores = {"a/kernel": np.array([[0.0, 0.0], [0.0, 1.0]]), "b/kernel": np.zeros((2, 2))}
    scores["b/kernel"][0, 0] = 0.5
    kept = GlobalPruner().prune(scores, mask, 0.5)
    np.testing.assert_array_equal(kept["a/kernel"], [[1, 1], [0, 1]])
    np.testing.assert_array_equal(kept["b/kernel"], [[1, 0], [0, 0]])


def test_pruned_weights_do_not_compete():
    mask = Mask({"a/kernel": np.array([[True, False, True, True]])})
    scores = {"a/kernel": np.array([[-1.0, 9.0, -3.0, -2.0]])}
    kept = GlobalPruner().prune(scores, mask, 1 / 3)
    np.testing.assert_array_equal(kept["a/kernel"], [[1, 0, 0, 1]])


@given(
    st.lists(st.integers(-2, 2), min_size=1, max_size=12).flatmap(
        lambda s: st.tuples(
            st.just(s), st.lists(st.booleans(), min_size=len(s), max_size=len(s)), st.integers(0)
        )
    )
)
def test_keep_highest_is_a_stable_sort(case):
    scores, mask, keep = np.array(case[0], float), np.array(case[1]), case[2]
    alive = [i for i in range(len(scores)) if mask[i]]
    if keep > len(alive):
        with pytest.raises(MaskError, match="can only shrink"):
            keep_highest(scores, mask, keep)
    else:
        best = sorted(alive, key=lambda i: -scores[i])[:keep]
        assert np.flatnonzero(keep_highest(scores, mask, keep)).tolist() == sorted(best)


def test_infinite_scores_rank_above_all_others():
    scores = np.array([np.inf, 1.0, -np.inf, np.inf])
    assert keep_highest(scores, np.ones(4, bool), 2).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("rate", "survivors", "count"),
    [
        (0.2, 235_200, 47_040),
        (0.1, 1000, 100),
        (0.15, 10, 2),  # 1.5, to even
        (0.25, 10, 2),  # 2.5, to even
        (0.35, 10, 4),  # 3.5, to even, though 0.35 * 10 is 3.4999...96
        (0.0, 10, 0),
        (0.2, 1, 0),
    ],
)
def test_counts_are_python_s_rounding(rate, survivors, count):
    assert prune_count(rate, survivors) == count


def test_erk_densities_are_the_sides_over_their_product():
    mask = Mask.ones({"conv/kernel": (3, 3, 64, 64), "fc/kernel": (512, 256)})
    counts = erk_counts(mask, 8000)
    sides = {"conv/kernel": 3 + 3 + 64 + 64, "fc/kernel": 512 + 256}
    unit = 8000 / sum(sides.values())
    assert sum(counts.values()) == 8000
    for key, side in sides.items():
        assert abs(counts[key] - unit * side) <= 1


def test_erk_fills_small_variables_up_and_shares_out_the_rest():
    mask = Mask.ones({"small/kernel": (2, 2), "a/kernel": (50, 50), "b/kernel": (50, 50)})
    assert erk_counts(mask, 1004) == {"small/kernel": 4, "a/kernel": 500, "b/kernel": 500}


@given(st.integers(1, 60))
def test_erk_never_takes_a_weight_back(keep):
    # The largest-remainder rule would: that is the Alabama paradox.
    mask = Mask.ones({"a/kernel": (3, 8), "b/kernel": (2, 9), "c/kernel": (1, 19)})
    fewer, more = erk_counts(mask, keep), erk_counts(mask, keep + 1)
    assert all(fewer[key] <= more[key] for key in mask)
    assert sum(fewer.values()) == keep


def test_factors_are_matched_in_their_order():
    shapes = {"conv/kernel": (1, 1, 10, 10), "a/kernel": (10, 10), "output/kernel": (10, 10)}
    scores = {key: np.arange(100.0).reshape(shape) for key, shape in shapes.items()}

    def kept(factors):
        return LayerwisePruner(factors).prune(scores, Mask.ones(shapes), 0.4).counts()

    assert list(kept({}).values()) == [60, 60, 60]
    assert list(kept({"output/*": 0.5, "dense": 0.0, "conv": 2.0}).values()) == [20, 100, 80]
    assert list(kept({"dense": 0.0, "output/*": 0.5}).values()) == [60, 100, 100]


@every_pruner
def test_what_pruners_refuse(pruner):
    mask = Mask.ones(SHAPES)
    scores = {key: np.ones(shape) for key, shape in SHAPES.items()}
    for rate in (-0.1, 1.0, 20.0, float("nan")):
        with pytest.raises(MaskError, match=r"`rate` must be in \[0, 1\)"):
            pruner.prune(scores, mask, rate)
    with pytest.raises(MaskError, match="Missing: `a/kernel`"):
        pruner.prune({}, mask, 0.3)
    with pytest.raises(MaskError, match=r"Scores must have the shape.*\(20,\)"):
        pruner.prune({**scores, "a/kernel": np.arange(20.0)}, mask, 0.3)
    with pytest.raises(MaskError, match="has the training diverged"):
        pruner.prune({**scores, "a/kernel": np.full((4, 5), np.nan)}, mask, 0.3)


def test_the_rule_of_kernels_is_not_for_channels():
    with pytest.raises(MaskError, match="about the weights of one kernel"):
        ERKPruner(structure=channels_of_shapes())


def test_an_empty_layer_is_refused_by_name():
    mask = Mask.ones({"a/kernel": (4, 4), "b/kernel": (4, 4)})
    scores = {"a/kernel": np.zeros((4, 4)), "b/kernel": np.ones((4, 4))}
    with pytest.raises(MaskError, match=r"GlobalPruner would leave none in \['a/kernel'\]"):
        GlobalPruner().prune(scores, mask, 0.6)
    with pytest.raises(MaskError, match="LayerwisePruner would leave none"):
        LayerwisePruner().prune(scores, mask, 0.99)


def test_own_rates_stay_below_one():
    with pytest.raises(MaskError, match=r"Received: 1.6 for `a/kernel`"):
        LayerwisePruner({"a/*": 2.0}).prune({}, Mask.ones({"a/kernel": (2, 2)}), 0.8)
    for factor in (-1.0, float("inf"), float("nan")):
        with pytest.raises(MaskError, match="at least 0"):
            LayerwisePruner({"a/*": factor})


@every_pruner
def test_a_mask_can_not_be_pruned_to_more_than_it_has(pruner):
    dense = Mask.ones(SHAPES)
    rng = np.random.default_rng(0)
    scores = {key: rng.random(shape) for key, shape in SHAPES.items()}
    mask = pruner.prune(scores, dense, 0.3)
    with pytest.raises(MaskError, match=r"can only shrink: \d+ survive"):
        pruner.prune_like(scores, mask, dense)
