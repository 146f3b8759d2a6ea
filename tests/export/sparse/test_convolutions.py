import re

import keras
import pytest
import tensorflow as tf
from edge_nets import SPARSE, raw
from sparse_networks import (
    classify,
    layers,
    mobile,
    narrow_head,
    pointwise,
    sparsely_stored,
    stem,
    with_between,
    with_ending,
)
from tflite_files import dense_net, file_of, inputs_for, largest_difference, parsed, thinned

from tfticket.errors import ExportError
from tfticket.export import emulate, flatbuffer
from tfticket.export.conversion import sparse_conv
from tfticket.export.preparation import static_copy
from tfticket.export.sparse.convolutions import lint_sparse_conv

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def linted(model):
    return lint_sparse_conv(parsed(sparsely_stored(model)), "it")


def rules(model):
    return [finding.rule for finding in linted(model)]


def test_the_file_is_smaller_and_answers_alike_and_its_warnings_come_with_it():
    model = mobile()
    dense = file_of(model)
    made = sparse_conv(static_copy(model), source="it")
    assert flatbuffer.operators(parsed(made.content))["DENSIFY"] > 3
    assert len(made.content) < len(dense)
    assert largest_difference(made.content, dense) < 1e-5
    x86, arm, used = made.warnings
    assert "No gain on x86 with AVX: XNNPACK has sparse kernels for SSE alone" in x86
    assert "Not verified on ARM" in arm
    assert "are computed sparsely" in used


BETWEEN = {
    # Named, since numbers in names begin anew in tests that clear the session.
    "MAX_POOL_2D": layers.MaxPooling2D(name="between_max"),
    "AVERAGE_POOL_2D": layers.AveragePooling2D(2, name="between_average"),
    "CONV_2D": layers.Conv2D(16, 3, name="between_conv"),
    "DEPTHWISE_CONV_2D": layers.DepthwiseConv2D(3, name="between_depthwise"),
    "SOFTMAX": layers.Softmax(name="between_softmax"),
    "TRANSPOSE": layers.Permute((2, 1, 3), name="between_permute"),
    "MAXIMUM": lambda x: keras.ops.maximum(x, 0.5),
    "SUB": lambda x: x - keras.ops.relu(x),
}


def test_what_cannot_follow_between_pointwise_convolutions_is_refused():
    inputs, x = stem()
    first = pointwise(x)
    ends = [layers.GlobalAveragePooling2D()(pointwise(made(first))) for made in BETWEEN.values()]
    model = thinned(keras.Model(inputs, layers.Dense(5)(layers.Concatenate()(ends))), 0.25)
    with pytest.raises(ExportError, match="silently wrong") as caught:
        linted(model)
    places = str(caught.value).split("Received: it with ")[1]
    assert sorted(re.findall(r"(\w+) after `", places)) == sorted(BETWEEN)


def test_padding_of_a_pointwise_convolution_is_refused():
    with pytest.raises(ExportError, match="it with CONV_2D after `"):
        linted(with_between(layers.ZeroPadding2D(1)))


def test_a_convolution_as_the_last_layer_is_refused():
    with pytest.raises(ExportError, match="it with RESHAPE after `"):
        linted(with_ending(narrow_head))


def test_a_file_that_gives_what_a_pointwise_convolution_gives_is_refused():
    inputs, x = stem()
    x = pointwise(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    with pytest.raises(ExportError, match="it with the output after `"):
        linted(thinned(keras.Model(inputs, layers.Multiply()([x, gate])), 0.1))


def test_depth_becomes_space_before_a_padded_convolution():
    """As in published detectors of poses; it is right on a processor without AVX."""
    inputs = keras.Input((16, 16, 3), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.ZeroPadding2D(1)(inputs))
    x = layers.Lambda(lambda x: tf.nn.depth_to_space(x, 2))(pointwise(x))
    x = layers.Conv2D(4, 3, strides=2)(layers.ZeroPadding2D(1)(x))
    model = thinned(keras.Model(inputs, layers.Flatten()(x)), 0.2)
    content = raw(model, optimizations=SPARSE)
    assert flatbuffer.operators(parsed(content))["DEPTH_TO_SPACE"] == 1
    assert "are computed sparsely" in lint_sparse_conv(parsed(content), "it")[-1].message
    if emulate.why_not() is None:
        found = emulate.check_without_avx(content, inputs_for(content, 3), source="it")
        assert found.relative_difference < 1e-5


def test_halves_that_are_unpacked_are_looked_at_too():
    half = tf.lite.TargetSpec(supported_types=[tf.float16])
    optimizations = [*SPARSE, tf.lite.Optimize.DEFAULT]
    content = raw(static_copy(mobile()), optimizations=optimizations, target_spec=half)
    assert [finding.rule for finding in lint_sparse_conv(parsed(content), "it")][:2] == [
        "x86", "arm",
    ]  # fmt: skip


def test_all_breaks_are_named_at_once():
    inputs, x = stem()
    a = layers.MaxPooling2D()(pointwise(x))
    b = layers.AveragePooling2D(2)(pointwise(x))
    with pytest.raises(ExportError, match=r"(?s)MAX_POOL_2D after .*AVERAGE_POOL_2D after "):
        linted(classify(inputs, layers.Add()([a, b])))


def test_densely_stored_convolutions_are_no_matter():
    assert lint_sparse_conv(parsed(file_of(with_between(BETWEEN["MAX_POOL_2D"]))), "it") == ()
    assert linted(dense_net(8, 8)) == ()


@pytest.mark.parametrize(
    "ending",
    [
        lambda x: layers.Dense(5)(layers.Flatten()(x)),
        lambda x: layers.Dense(5)(layers.GlobalMaxPooling2D()(x)),
    ],
    ids=["flatten", "global max"],
)
def test_without_an_average_the_kernel_is_never_used(ending):
    assert rules(with_ending(ending)) == ["x86", "arm", "exit"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"channels": 1}, "3x3 with stride 2 on 1 channel, padded by 1"),
        ({"strides": 1}, "3x3 with stride 1 on 3 channels, padded by 1"),
        ({"padding": "same"}, "3x3 with stride 2 on 3 channels, padded unevenly"),
    ],
)
def test_without_a_stem_of_that_kind_the_kernel_is_never_used(arguments, said):
    inputs, x = stem(**arguments)
    findings = linted(classify(inputs, pointwise(x)))
    assert [finding.rule for finding in findings] == ["x86", "arm", "kernel", "entry"]
    assert said in findings[-1].message
    assert "only 1x1 with stride 1 can be" in findings[-2].message


def test_too_few_zeros_are_told():
    inputs, x = stem()
    model = classify(inputs, pointwise(x), density=0.45)
    assert rules(model) == ["x86", "arm", "zeros", "arm"]
    assert "more than two thirds" in linted(model)[2].message
