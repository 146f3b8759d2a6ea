import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from edge_nets import ENDS, SPARSE, examples_for, int8_of, layers, raw, sequential
from tflite_files import dense_net, file_of, parsed, thinned

from tfticket.channels import shrink
from tfticket.export import flatbuffer
from tfticket.export.inspect.explain import explain
from tfticket.export.metadata import embed
from tfticket.export.sparse.encoding import encode_dense_layers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

ARITHMETIC = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8


def said(content, rule, baseline=None):
    """What the rule says of each tensor or operator, in order."""
    found = explain(parsed(content), None if baseline is None else parsed(baseline))
    return [one for one in found if one.rule == rule]


def rules(content):
    return {one.rule for one in explain(parsed(content))}


def csr(content):
    names = [c.name for c in flatbuffer.constants(parsed(content)) if c.values.ndim == 2]
    return encode_dense_layers(content, dict.fromkeys(names, "csr"), source="it")


def quantized(model, **attributes):
    """Calibrated by the converter, with what it leaves as floats left so."""
    x = examples_for(model)
    return raw(
        model,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([example[None]] for example in x),
        **attributes,
    )


def fixed(*stack, shape=(8, 8, 2)):
    return keras.Sequential([keras.Input(shape, batch_size=1), *stack])


@pytest.mark.parametrize(
    ("density", "remedy"),
    [(0.03, "skip its zeros, which is faster"), (0.3, "gains time only from about 94%")],
)
def test_zeros_of_dense_layers_are_stored_densely(density, remedy):
    content = file_of(dense_net(64, 1, density=density, inputs=(128,)))
    (one,) = said(content, "dense_zeros")
    assert one.kind == "tensor"
    assert "8,192 weights are zero" in one.fact
    assert "32,768 bytes either way" in one.fact
    assert "FULLY_CONNECTED runs a dense kernel" in one.fact
    assert remedy in one.remedy
    share = float(re.match(r"([\d.]+)%", one.fact)[1]) / 100
    assert share == pytest.approx(1 - density, abs=0.02)
    gzip, sparse = (
        int(re.search(pattern, text)[1].replace(",", ""))
        for pattern, text in (
            (r"gzip makes ([\d,]+)", one.fact),
            (r"store it in ([\d,]+) bytes", one.remedy),
        )
    )
    assert gzip < 32768 / 2
    assert len(content) - len(csr(content)) == pytest.approx(32768 - sparse, abs=1500)


def test_zeros_of_int8_weights_wait_for_compression():
    (one,) = said(int8_of(dense_net(64, 1, inputs=(128,))), "dense_zeros")
    assert "8,192 bytes either way" in one.fact
    assert "INT8 weights reliably: send the file compressed" in one.remedy


def test_zeros_of_convolutions_are_skipped_nowhere():
    model = thinned(sequential(layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(2)), 0.1)
    one, _ = said(file_of(model), "dense_zeros")
    assert "CONV_2D runs a dense kernel" in one.fact
    assert "No runtime skips zeros of CONV_2D here" in one.remedy
    assert 'structure = "channel"' in one.remedy


def test_weights_that_are_unpacked_are_no_faster():
    model = thinned(sequential(layers.Conv2D(16, 3), layers.GlobalAveragePooling2D()), 0.1)
    (one,) = said(raw(model, optimizations=SPARSE), "unpacked")
    assert "DENSIFY unpacks it when the file is loaded" in one.fact
    assert "x86 processors with AVX" in one.fact


def test_sparse_storage_pays_from_many_zeros_on():
    below = csr(file_of(dense_net(64, 64, density=0.2, inputs=(128,))))
    assert len(said(below, "below_break_even")) == 2
    assert not said(below, "dense_zeros")
    above = csr(file_of(dense_net(64, 64, density=0.02, inputs=(128,))))
    assert not {"below_break_even", "dense_zeros", "floats"} - {"floats"} & rules(above)


def cut(model):
    """How many units `explain` says could go, and how many `shrink` takes out."""
    told = [int(one.fact.split()[0]) for one in said(file_of(model), "dead_units")]
    return sum(told), shrink(model).removed


def test_dead_units_of_dense_layers_are_counted():
    model = dense_net(20, 10, 4, density=1.0)
    first, second, last = (layer.kernel for layer in model.layers)
    first.assign(first.numpy() * (np.arange(20) >= 3))  # nothing comes into three
    second.assign(second.numpy() * (np.arange(20) >= 5)[:, None])  # nothing leaves five
    last.assign(last.numpy() * (np.arange(4) >= 1))  # a class can't be cut out
    (one,) = said(file_of(model), "dead_units")
    assert one.fact.startswith("5 of its 20 units could be cut out")
    assert "3 have no weight coming in" in one.fact
    assert "2 more none going out" in one.fact
    assert "shrink takes out these 5" in one.remedy
    assert cut(model) == (5, 5)


def test_dead_channels_are_seen_through_pooling_and_flattening():
    conv, dense = layers.Conv2D(6, 3, activation="relu"), layers.Dense(3)
    model = sequential(conv, layers.MaxPooling2D(), layers.Flatten(), dense)
    kernel = dense.kernel.numpy().reshape(3, 3, 6, 3)
    kernel[:, :, [1, 4]] = 0
    kernel[0, 0, 2] = 0  # one place of a channel isn't the channel
    dense.kernel.assign(kernel.reshape(54, 3))
    (one,) = said(file_of(model), "dead_units")
    assert one.fact.startswith("2 of its 6 units")


def test_dead_channels_of_depthwise_kernels_are_seen():
    depthwise = layers.DepthwiseConv2D(3, depth_multiplier=2)
    model = sequential(layers.Conv2D(4, 1), depthwise, layers.Flatten(), layers.Dense(2))
    kernel = depthwise.kernel.numpy()
    kernel[:, :, 1], kernel[:, :, 2, 0] = 0, 0  # of the third, one of two
    depthwise.kernel.assign(kernel)
    assert cut(model) == (1, 1)


def silent_first(*behind, bias=0.5, count=4):
    """A convolution of six channels, of which some only give a bias, and what reads them."""
    first = layers.Conv2D(6, 3, activation="relu")
    model = sequential(first, *behind, layers.Flatten(), layers.Dense(3))
    silence(first, bias, count)
    return model


def silence(layer, bias, count=4):
    """Leave some channels nothing but a bias."""
    kernel, biases = layer.kernel.numpy(), layer.bias.numpy()
    kernel[..., :count], biases[:count] = 0, bias
    layer.kernel.assign(kernel)
    layer.bias.assign(biases)


BORDERS = {
    "dense": ((), 4),
    "valid": ((layers.Conv2D(5, 3),), 4),
    "pointwise": ((layers.Conv2D(5, 1, padding="same"),), 4),
    "pooled": ((layers.MaxPooling2D(), layers.Conv2D(5, 2)), 4),
    "depthwise, valid": ((layers.DepthwiseConv2D(3), layers.ReLU()), 4),
    "depthwise, same": ((layers.DepthwiseConv2D(3, padding="same"), layers.ReLU()), 0),
    "padded": ((layers.ZeroPadding2D(1), layers.DepthwiseConv2D(3)), 0),
    "reshaped": ((layers.Reshape((12, -1)), layers.Conv1D(3, 2)), 0),
    "transposed": ((layers.Conv2DTranspose(5, 3, padding="same"), layers.DepthwiseConv2D(2)), 0),
}


def cut_by_border(bias):
    """How many channels of each border's first layer `explain` says could go, and `shrink` takes.

    One network holds them all; each first layer has another number of channels, to be known by.
    """
    given, outputs, firsts = keras.Input((8, 8, 1), batch_size=1), [], {}
    for width, (name, (behind, _)) in enumerate(BORDERS.items(), start=6):
        firsts[name] = layers.Conv2D(width, 3, activation="relu", name=f"first_{width}")
        x = firsts[name](given)
        for layer in behind:
            x = layer.__class__.from_config(layer.get_config() | {"name": f"{layer.name}_{width}"})(
                x
            )
        outputs.append(layers.Dense(3)(layers.Flatten()(x)))
        silence(firsts[name], bias)
    model = keras.Model(given, outputs)
    facts = [one.fact for one in said(raw(model), "dead_units")]
    cuts = {int(units): int(count) for count, units in
            (re.match(r"(\d+) of its (\d+) units", fact).groups() for fact in facts)}  # fmt: skip
    assert len(cuts) == len(facts)
    assert cuts.keys() <= {first.filters for first in firsts.values()}
    taken = {change.key: change.before - change.after for change in shrink(model).layers}
    told = {name: cuts.get(first.filters, 0) for name, first in firsts.items()}
    return told, {name: taken[first.name] for name, first in firsts.items()}


def test_silent_channels_are_promised_where_shrink_takes_them_out():
    told, taken = cut_by_border(bias=0.5)
    assert told == {name: expected for name, (_, expected) in BORDERS.items()}
    assert all(told[name] <= taken[name] for name in BORDERS)
    told, taken = cut_by_border(bias=-0.5)  # what gives nothing at all
    assert told == {name: 4 if name != "reshaped" else 0 for name in BORDERS}
    assert told == taken


def test_a_border_without_a_carrier_is_not_promised_away():
    told, taken = cut(silent_first(layers.Conv2D(5, 3, padding="same")))
    assert (told, taken) == (0, 3)  # shrink lets one channel carry the others


def test_layers_that_are_used_twice_are_left_alone():
    given, shared = keras.Input((8, 8, 4)), layers.Conv2D(4, 1)
    shared_twice = shared(layers.ReLU()(shared(given)))
    model = keras.Model(given, layers.Dense(2)(layers.Flatten()(shared_twice)))
    shared.kernel.assign(shared.kernel.numpy() * np.array([0, 1, 1, 1]))
    assert cut(model) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_no_more_is_promised_than_shrink_takes_out(seed):
    rng = np.random.default_rng(seed)
    padding = ["same", "valid"]
    model = sequential(
        layers.Conv2D(6, 3, padding=padding[rng.integers(2)], activation="relu"),
        layers.DepthwiseConv2D(3, padding=padding[rng.integers(2)], use_bias=bool(seed % 2)),
        layers.ReLU(),
        layers.Conv2D(5, 2, padding=padding[rng.integers(2)], activation="relu6"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(7, activation="sigmoid"),
        layers.Dense(3),
    )
    for weight in model.weights:
        kept = rng.random(weight.shape[-1:]) < 0.6
        whole = rng.random(weight.shape) < 0.7
        weight.assign(rng.normal(size=weight.shape) * kept * whole)
    told, taken = cut(model)
    assert told <= taken
    rounded = sum(int(one.fact.split()[0]) for one in said(int8_of(model), "dead_units"))
    assert rounded <= taken + 1  # rounding kills weights, too


def test_units_that_a_shortcut_reads_too_are_left_alone():
    given = keras.Input((8, 8, 4))
    inner = layers.Conv2D(4, 1, name="first")(given)
    conv = layers.Conv2D(4, 1, name="second")
    model = keras.Model(given, layers.GlobalAveragePooling2D()(layers.Add()([inner, conv(inner)])))
    conv.kernel.assign(conv.kernel.numpy() * np.array([0, 1, 1, 1])[:, None])
    assert not said(file_of(model), "dead_units")


def test_patterns_that_no_kernel_uses_are_recognized():
    model = dense_net(32, 4, density=1.0, inputs=(64,))
    kernel = model.layers[0].kernel
    order = np.abs(kernel.numpy()).reshape(16, 4, 32).argsort(axis=1).argsort(axis=1)
    kernel.assign(kernel.numpy() * (order >= 2).reshape(64, 32))
    for content in (file_of(model), int8_of(model)):
        (one,) = said(content, "n_of_m")
        assert "At most 2 of each 4 neighbors" in one.fact
    assert not said(file_of(dense_net(32, 4, density=0.5, inputs=(64,))), "n_of_m")


def test_what_is_too_small_to_matter_is_said_once():
    content = file_of(dense_net(128, 3, 2, density=0.1, inputs=(256,)))
    (one,) = said(content, "too_small")
    assert one.name.count(",") == 1
    shares = [float(share) for share in re.findall(r"([\d.]+)%", one.fact)]
    assert len(shares) == 2
    assert max(shares) < 2
    assert len(said(content, "dense_zeros")) == 1


def test_what_is_small_alone_and_large_together_matters():
    """Of sixty layers, each has less than two percent."""
    model = dense_net(*[24] * 60, 3, density=0.1, inputs=(24,))
    content = file_of(model)
    shares = [float(share) for one in said(content, "too_small") for share in
              re.findall(r"([\d.]+)%", one.fact)]  # fmt: skip
    assert all(share < 2 for share in shares)
    assert len(said(content, "dense_zeros")) >= 58


def test_operators_that_no_runtime_has_are_named():
    model = fixed(layers.Dense(3), layers.Lambda(tf.math.asinh), shape=(4,))
    (one,) = said(raw(model, allow_custom_ops=True), "custom")
    assert one.name == "custom:Asinh"


def test_sizes_that_are_computed_are_found():
    model = sequential(layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2))
    (one,) = said(raw(model), "dynamic_shapes")
    assert one.name == "SHAPE, STRIDED_SLICE, PACK"
    assert "batch_size=1" in one.remedy
    assert not said(file_of(model), "dynamic_shapes")


def test_halves_are_unpacked():
    (one,) = said(file_of(dense_net(64, 32, inputs=(64,)), "fp16"), "half_unpacked")
    assert "unpacked to float32 when the file is loaded" in one.fact
    assert "4 tensors" in one.fact


def test_islands_of_floats_are_found():
    norm = layers.GroupNormalization(2)
    (one,) = said(int8_of(sequential(layers.Conv2D(4, 3), norm, layers.Flatten())), "float_islands")
    assert one.name == "NEG, SQUARE"
    assert int(re.search(r"and (\d+) QUANTIZE", one.fact)[1]) >= 2
    plain = sequential(layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten())
    assert not rules(int8_of(plain)) & {"float_islands", "float_ends", "normalization"}


def test_floats_at_the_ends_are_found():
    model = fixed(layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3))
    (one,) = said(quantized(model), "float_ends")
    assert "converts them in each inference" in one.fact
    assert not said(quantized(model), "float_islands")
    assert not said(quantized(model, **ENDS), "float_ends")


@pytest.mark.parametrize(
    "norm", [layers.GroupNormalization(2), layers.LayerNormalization()], ids=["group", "layer"]
)
def test_normalizations_that_are_not_folded_are_found(norm):
    content = file_of(sequential(layers.Conv2D(4, 3), norm, layers.Flatten(), layers.Dense(2)))
    (one,) = said(content, "normalization")
    assert one.fact.startswith("1 normalizations take mean and variance")
    assert "RSQRT" in one.name


def test_int16_activations_have_no_fast_kernels():
    model = fixed(layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3))
    target = tf.lite.TargetSpec(supported_ops=[ARITHMETIC])
    (one,) = said(quantized(model, target_spec=target), "int16x8")
    assert one.name == "CONV_2D, FULLY_CONNECTED"
    assert not said(int8_of(model), "int16x8")


def test_a_ticket_that_does_the_same_work_as_its_dense_network_is_told_so():
    dense = file_of(dense_net(64, 8, density=1.0, inputs=(128,)))
    ticket = file_of(dense_net(64, 8, density=0.05, inputs=(128,)))
    (work,) = said(ticket, "same_work", dense)
    assert "8,704 multiply-adds" in work.fact
    (same,) = said(ticket, "same_bytes", dense)
    assert "instead of 0.0%" in same.fact
    found = explain(parsed(csr(ticket)), parsed(dense))
    assert not {one.rule for one in found} & {"same_work", "same_bytes"}
    assert not said(int8_of(dense_net(64, 8, inputs=(128,))), "same_work", dense)


def test_a_file_of_integers_is_not_told_to_become_one():
    dense, ticket = (
        int8_of(dense_net(64, 64, density=density, inputs=(64,))) for density in (1.0, 0.05)
    )
    for rule in ("same_work", "same_bytes"):
        (one,) = said(ticket, rule, dense)
        assert "int8" not in one.remedy
        assert "sparse_fc" not in one.remedy


def test_a_file_without_zeros_is_told_so():
    (one,) = said(file_of(dense_net(64, 8, density=1.0)), "no_zeros")
    assert "the mask wasn't applied" in one.fact
    assert not said(file_of(dense_net(64, 8, density=0.5)), "no_zeros")


def test_a_file_whose_zeros_were_cut_out_is_not_called_unpruned():
    model = parsed(file_of(dense_net(64, 8, density=1.0)))
    embed(model, {"parameters_before": 5000, "parameters_after": 600})
    assert "no_zeros" not in [reason.rule for reason in explain(model)]


def test_bytes_that_are_no_weights_are_told():
    tiny = sequential(layers.Embedding(500, 8), layers.Flatten(), layers.Dense(2), shape=(4,))
    (one,) = said(file_of(tiny), "other_bytes")
    assert "bytes that it stores are no weights of dense" in one.fact
    assert not said(file_of(dense_net(64, 8)), "other_bytes")


def test_floats_are_told_what_int8_would_bring():
    model = dense_net(64, 64, inputs=(64,))
    (one,) = said(file_of(model), "floats")
    assert "4.1 to 6.2 times as fast on one x86 machine" in one.remedy
    assert "unknown length" not in one.fact
    assert not said(file_of(model, "dynamic"), "floats")
    (open_batch,) = said(raw(sequential(layers.Flatten(), layers.Dense(3))), "floats")
    assert open_batch.fact.endswith("Sides of unknown length count as the file stores them, "
                                    "mostly as 1.")  # fmt: skip


def test_explanations_are_plain_data_in_a_fixed_order():
    content = file_of(dense_net(64, 8, 4))
    found = explain(parsed(content))
    assert found == explain(parsed(content))
    kinds = [one.kind for one in found]
    assert kinds == sorted(kinds, key=["file", "tensor", "operator"].index)
    assert json.loads(json.dumps([one.to_dict() for one in found]))[0]["kind"] == "file"
