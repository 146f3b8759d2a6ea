"""Files that are known to crash or to be wrong, made as users make them; each must be refused."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_quantizer import quantizer, recipe
from hypothesis import given
from hypothesis import strategies as st
from sparse_networks import layers, narrow_head, with_between, with_ending
from tflite_files import (
    answers,
    dense_net,
    file_of,
    inputs_for,
    largest_difference,
    parsed,
    thinned,
    weights_in,
)

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.contents import check_hazards, count_zeros
from tfticket.export.conversion import quantize_weights_int4
from tfticket.export.flatbuffer import Constant
from tfticket.export.preparation import static_copy
from tfticket.export.runtime import Examples
from tfticket.export.sparse.encoding import dense_layers, encode_dense_layers
from tfticket.export.verification import Expected, Reference, verify
from tfticket.quiet import quiet

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
Optimize, OpsSet = tf.lite.Optimize, tf.lite.OpsSet


def run(converter):
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bytes(converter.convert())


def with_sparsity(model, format):
    """The obvious way to ask the converter for both sparse storage and fewer bits."""
    static = static_copy(model)
    shape = static.inputs[0].shape
    converter = tf.lite.TFLiteConverter.from_keras_model(static)
    converter.optimizations = [Optimize.EXPERIMENTAL_SPARSITY]
    if format != "fp32":
        converter.optimizations.append(Optimize.DEFAULT)
    if format == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if format in ("int8", "int16x8"):
        examples = np.random.default_rng(0).normal(size=(30, *shape)).astype("float32")
        converter.representative_dataset = lambda: ([example] for example in examples)
        converter.target_spec.supported_ops = [
            OpsSet.TFLITE_BUILTINS_INT8
            if format == "int8"
            else OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    return run(converter)


def convolutions():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )


def wide(density):
    return dense_net(64, 10, inputs=(64,), density=density)


def refused(content):
    """What the check says about a file."""
    with pytest.raises(ExportError) as caught:
        check_hazards(parsed(content), "mine")
    return str(caught.value)


def is_nan(content, *, delegate):
    return bool(np.isnan(answers(content, inputs_for(content), delegate=delegate)).any())


def does_not_load(content):
    with pytest.raises(ExportError, match=r"failed to delegate .* failed to prepare"):
        answers(content, inputs_for(content))
    return True


SAFE = ["fp32", "fp16", "dynamic", "int8"]


@pytest.mark.parametrize("format", SAFE)
def test_dense_files_are_safe(format):
    model = wide(0.1)
    x = np.random.default_rng(0).normal(size=(30, 64)).astype("float32")
    check_hazards(parsed(file_of(model, format, x)), "mine")


@pytest.mark.parametrize("density", [0.01, 0.1], ids=["blocks", "unpacked"])
def test_float32_with_sparsity_is_safe_for_dense_layers(density):
    model = wide(density)
    content = with_sparsity(model, "fp32")
    assert flatbuffer.has_sparse_tensors(parsed(content))
    check_hazards(parsed(content), "mine")
    dense = file_of(model)
    assert largest_difference(content, dense) < 1e-5
    after = {values.shape: values for values in weights_in(content).values()}
    assert set(after) == {(64, 64), (10, 64)}
    for values in weights_in(dense).values():
        np.testing.assert_array_equal(after[values.shape], values)


def test_fp16_with_sparsity_in_blocks_gives_nan():
    content = with_sparsity(wide(0.01), "fp16")
    assert is_nan(content, delegate=True)
    assert is_nan(content, delegate=False)
    assert "read by DEQUANTIZE, which has no sparse kernel" in refused(content)
    expected = Expected("output", np.zeros((20, 10), np.float32))
    reference = Reference(Examples((inputs_for(content),)), (expected,), "given")
    with pytest.raises(ExportError, match="finite answers"):
        verify(content, reference, format="fp16", min_agreement=0.0, source="mine")


@pytest.mark.parametrize("network", [lambda: wide(0.1), lambda: thinned(convolutions(), 0.1)])
def test_fp16_that_is_unpacked_is_right(network):
    model = network()
    content = with_sparsity(model, "fp16")
    assert flatbuffer.operators(parsed(content))["DENSIFY"] >= 1
    check_hazards(parsed(content), "mine")
    dense = file_of(model)
    scale = np.abs(answers(dense, inputs_for(dense))).max()
    assert largest_difference(content, dense) < 2e-3 * scale


@pytest.mark.parametrize("format", ["dynamic", "int8"])
@pytest.mark.parametrize("network", [lambda: wide(0.1), lambda: thinned(convolutions(), 0.1)])
def test_8_bits_with_sparsity_does_not_load(format, network):
    content = with_sparsity(network(), format)
    assert does_not_load(content)
    assert "(INT8)" in refused(content)


def test_dynamic_with_sparsity_in_blocks_gives_nan_with_the_delegate_alone():
    content = with_sparsity(wide(0.01), "dynamic")
    assert is_nan(content, delegate=True)
    assert not is_nan(content, delegate=False)
    assert "(INT8)" in refused(content)


def test_int8_with_sparsity_in_blocks_loads_and_is_refused():
    assert "(INT8)" in refused(with_sparsity(wide(0.01), "int8"))


def test_16_bit_activations_with_sparsity_are_silently_wrong():
    model = thinned(convolutions(), 0.1)
    dense = file_of(model)
    content = with_sparsity(model, "int16x8")
    wrong = largest_difference(content, dense) / np.abs(answers(dense, inputs_for(dense))).max()
    assert 0.1 < wrong < np.inf
    assert "go with floats alone" in refused(content)


def test_the_quantizer_leaves_out_what_is_stored_sparsely():
    content = with_sparsity(wide(0.1), "fp32")
    with quiet():
        done = quantizer.Quantizer(content, recipe.dynamic_wi4_afp32())
        made = bytes(done.quantize(enable_progress_report=False).quantized_model)
    assert {values.dtype for values in weights_in(made).values()} == {np.dtype(np.float32)}
    with pytest.raises(ExportError, match="sparsely stored weights"):
        quantize_weights_int4(content)


def test_the_quantizer_fails_on_weights_in_blocks():
    content = with_sparsity(wide(0.01), "fp32")
    with quiet(), pytest.raises(ValueError, match="cannot reshape array"):
        quantizer.Quantizer(content, recipe.dynamic_wi4_afp32()).quantize()
    with pytest.raises(ExportError, match="sparsely stored weights"):
        quantize_weights_int4(content)


def test_variables_that_were_not_frozen_are_lost():
    static = static_copy(wide(0.1))
    function = tf.function(static).get_concrete_function(tf.TensorSpec((1, 64), tf.float32))
    content = run(tf.lite.TFLiteConverter.from_concrete_functions([function], static))
    assert is_nan(content, delegate=True)
    assert "4 variables are read and none is written" in refused(content)


@pytest.mark.parametrize(
    ("network", "met"),
    [
        (lambda: with_between(layers.MaxPooling2D()), "MAX_POOL_2D after"),
        (lambda: with_ending(narrow_head), "RESHAPE after"),
    ],
    ids=["maximum between", "narrow head"],
)
def test_convolutions_that_are_wrong_on_arm_are_right_here_and_refused(network, met):
    model = network()
    content = with_sparsity(model, "fp32")
    assert largest_difference(content, file_of(model)) < 1e-5
    assert met in refused(content)


@pytest.fixture(scope="module")
def sparse():
    keras.utils.set_random_seed(0)
    content = file_of(dense_net(8, 8))
    choices = {layer.tensor: "csr" for layer in dense_layers(parsed(content), source="it")[0]}
    return encode_dense_layers(content, choices, source="it")


def test_dense_layers_stored_sparsely_are_safe(sparse):
    check_hazards(parsed(sparse), "mine")


def test_an_operator_of_another_version_takes_them_for_dense(sparse):
    model = parsed(sparse)
    for code in model.operatorCodes:
        code.version = 1
    assert "version 1, but only version 8" in refused(flatbuffer.pack(model))


def test_another_operator_takes_them_for_dense(sparse):
    model = parsed(sparse)
    operator = model.subgraphs[0].operators[0]
    operator.inputs = operator.inputs[[1, 0, 2]]
    with pytest.raises(ExportError, match="FULLY_CONNECTED, which has no sparse kernel"):
        check_hazards(model, "mine")


def test_a_layout_without_a_kernel_is_refused(sparse):
    model = parsed(sparse)
    tensor = next(t for t in model.subgraphs[0].tensors if t.sparsity is not None)
    tensor.sparsity.traversalOrder = np.array([1, 0], np.int32)
    with pytest.raises(ExportError, match="neither rows nor blocks of 1x4"):
        check_hazards(model, "mine")


def test_places_outside_of_a_tensor_are_refused(sparse):
    model = parsed(sparse)
    tensor = next(t for t in model.subgraphs[0].tensors if t.sparsity is not None)
    indices = tensor.sparsity.dimMetadata[1].arrayIndices
    indices.values = np.full_like(indices.values, 200)
    with pytest.raises(ExportError, match="must say where each of its values belongs"):
        check_hazards(model, "mine")


def test_what_is_too_broken_to_be_looked_at_is_refused():
    model = parsed(with_sparsity(with_between(layers.ReLU()), "fp32"))
    for operator in model.subgraphs[0].operators:
        operator.builtinOptions = None
    with pytest.raises(ExportError, match="mine must be put together as the format asks"):
        check_hazards(model, "mine")


def constant(values, name="t"):
    return Constant(name, np.asarray(values), np.asarray(0), 0)


def mostly_zero(rng, shape, density=0.4):
    return np.where(rng.random(shape) < density, rng.normal(size=shape), 0.0)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.randoms(), st.integers(0, 2**31))
def test_a_kernel_is_found_in_any_order_of_its_axes(shape, random, seed):
    kernel = mostly_zero(np.random.default_rng(seed), shape)
    order = random.sample(range(len(shape)), len(shape))
    (count,) = count_zeros({"k": kernel}, [constant(kernel.transpose(order))])
    assert count.zeros == count.zeros_in_file == int((kernel == 0).sum())
    assert (count.tensor, count.size) == ("t", kernel.size)


def test_zeros_that_rounding_adds_are_counted():
    kernel = np.array([[0.0, 0.1], [2.0, 3.0]])
    (count,) = count_zeros({"k": kernel}, [constant(np.array([[0, 2], [0, 3]], np.int8))])
    assert (count.zeros, count.zeros_in_file) == (1, 2)


def test_the_nearest_of_several_tensors_is_taken():
    rng = np.random.default_rng(0)
    thin, thick = mostly_zero(rng, (6, 6), 0.1), mostly_zero(rng, (6, 6), 0.9)
    counts = count_zeros(
        {"thick": thick, "thin": thin}, [constant(thin.T, "thin"), constant(thick.T, "thick")]
    )
    assert [count.tensor for count in counts] == ["thick", "thin"]


def test_a_lost_zero_is_an_error():
    kernel = mostly_zero(np.random.default_rng(0), (4, 5))
    back = kernel.copy()
    back.flat[np.flatnonzero(kernel == 0)[0]] = 1e-9
    with pytest.raises(ExportError, match=r"0 zeros where the Keras model has \d+, in `k`"):
        count_zeros({"k": kernel}, [constant(np.ones((4, 5)))])
    with pytest.raises(ExportError, match="in `k`"):
        count_zeros({"k": kernel}, [constant(back)])


def test_kernels_that_were_split_are_counted_together():
    rng = np.random.default_rng(1)
    gates = mostly_zero(rng, (3, 8))
    parts = [constant(part.T, str(i)) for i, part in enumerate(np.split(gates, 4, axis=1))]
    (count,) = count_zeros({"gates": gates}, parts)
    assert (count.tensor, count.zeros_in_file) == (None, None)
    with pytest.raises(ExportError, match="`gates`"):
        count_zeros({"gates": gates}, parts[1:])
