import helpers
import keras
import numpy as np
import pytest

from tfticket.errors import ModelError
from tfticket.norms.catalog import NORMS
from tfticket.norms.layers import FusedBatchNorm, GroupNorm, NoisyBatchNorm, StandardizedConv2D
from tfticket.norms.swap import swap_norm
from tfticket.sparsity import get_mask, sparsify
from tfticket.state import named_variables
from tfticket.statistics import recalibrate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers
IMAGE = (6, 6, 3)


def convnet(norm=None, **conv):
    """Two convolutions, the first with a norm behind it, and a dense output."""
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.Conv2D(8, 3, use_bias=False, name="conv", **conv),
            norm or trained(layers.BatchNormalization(name="norm")),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="output"),
        ],
        name="convnet",
    )


def trained(norm, channels=8, seed=0):
    """A norm whose weights all differ from where they begin."""
    norm.build((None, 4, 4, channels))
    rng = np.random.default_rng(seed)
    for variable in norm.weights:
        if "seed" not in variable.name:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
    return norm


def values(model, *, without=()):
    return {
        key: np.array(variable.numpy())
        for key, variable in named_variables(model).items()
        if key.rpartition("/")[0] not in without
    }


def assert_equal(ours, theirs):
    assert list(ours) == list(theirs)
    for key in ours:
        np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)


@pytest.mark.parametrize("kind", sorted(NORMS))
def test_any_norm_and_back(kind):
    model = convnet()
    x, y = helpers.batch(IMAGE, examples=8)
    swapped, report = swap_norm(model, kind)
    (row,) = report.layers
    assert (row.key, row.old, row.new, row.channels) == ("norm", "batch", kind, 8)
    others = values(swapped, without=["norm"])
    others.pop("conv/bias", None)
    assert_equal(others, values(model, without=["norm"]))
    helpers.compiled(swapped, run_eagerly=True).fit(x, y, verbose=0)
    back, report = swap_norm(swapped, "batch", where="norm")
    assert [layer.name for layer in back.layers] == [layer.name for layer in model.layers]
    assert type(back.get_layer("norm")) is FusedBatchNorm
    assert type(back.get_layer("conv")) is layers.Conv2D
    assert report.layers[0].new == "batch"
    assert_equal(values(back, without=["norm"]), values(swapped, without=["norm"]))
    assert np.isfinite(back(x)).all()


@pytest.mark.parametrize(
    "kind", ["batch", "batch_renorm", "frozen_batch", "sync_batch", "noisy_batch"]
)
def test_kinds_that_normalize_by_a_variance_infer_the_same(kind):
    model = convnet()
    x, _ = helpers.batch(IMAGE)
    expected = model(x, training=False)
    swapped, report = swap_norm(model, kind)
    np.testing.assert_allclose(swapped(x, training=False), expected, atol=1e-6)
    assert not report.needs_statistics
    back, report = swap_norm(swapped, "batch")
    np.testing.assert_array_equal(back(x, training=False), expected)
    assert report.layers[0].weights.new == ()
    norm = back.get_layer("norm")
    assert (norm.epsilon, norm.momentum if kind != "frozen_batch" else 0.99) == (1e-3, 0.99)


@pytest.mark.parametrize(
    "norm",
    [
        lambda: layers.LayerNormalization(name="norm"),
        lambda: layers.LayerNormalization(axis=[-1], center=False, name="norm"),
        lambda: layers.GroupNormalization(groups=-1, name="norm"),
        lambda: layers.GroupNormalization(groups=2, name="norm"),
        lambda: layers.RMSNormalization(name="norm"),
        lambda: NoisyBatchNorm(name="norm"),
    ],
    ids=["layer", "layer_scale", "instance", "group", "rms", "noisy"],
)
def test_norms_of_keras_keep_scale_and_shift(norm):
    model = convnet(trained(norm()))
    old = values(model)
    swapped, report = swap_norm(model, "batch")
    gamma = old.get("norm/gamma", old.get("norm/scale"))
    new = values(swapped)
    np.testing.assert_array_equal(new["norm/gamma"], gamma)
    assert ("norm/beta" in old) == ("beta" in report.layers[0].weights.kept)
    if "norm/beta" in old:
        np.testing.assert_array_equal(new["norm/beta"], old["norm/beta"])
    back = values(swap_norm(swapped, "rms").model)
    np.testing.assert_array_equal(back["norm/scale"], gamma)


def test_kinds_are_told_by_what_they_do():
    names = {
        "instance": layers.GroupNormalization(groups=-1, name="norm"),
        "layer": layers.GroupNormalization(groups=1, name="norm"),
        "group": layers.GroupNormalization(groups=4, name="norm"),
        "LayerNormalization": layers.LayerNormalization(name="norm"),
        "rms": layers.RMSNormalization(name="norm"),
    }
    for kind, norm in names.items():
        assert swap_norm(convnet(norm), "batch").report.layers[0].old == kind


def test_settings_are_carried_and_options_decide():
    model = convnet(
        layers.BatchNormalization(
            scale=False, epsilon=0.02, momentum=0.7, beta_regularizer="l2", name="norm",
            trainable=False,
        )
    )  # fmt: skip
    norm = swap_norm(model, "group").model.get_layer("norm")
    assert (norm.scale, norm.center, norm.epsilon, norm.trainable) == (False, True, 0.02, False)
    assert isinstance(norm.beta_regularizer, keras.regularizers.L2)
    given = swap_norm(model, "l2_batch", epsilon=1e-4, scale=True).model.get_layer("norm")
    assert (given.scale, given.epsilon, given.momentum) == (True, 1e-4, 0.7)
    assert swap_norm(model, "filter_response").model.get_layer("norm").epsilon == 1e-6
    assert swap_norm(model, "group", channels_per_group=2).report.layers[0].groups == 4


def nested():
    """A Sequential block that is called twice, a norm on the outside, a function in the graph."""
    inputs = keras.Input(IMAGE, name="image")
    block = keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.Conv2D(3, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="bn"),
        ],
        name="block",
    )
    x = keras.ops.add(block(block(inputs)), inputs)
    x = layers.BatchNormalization()(x, mask=None, training=False)
    x = layers.TimeDistributed(layers.BatchNormalization(name="inner"), name="closed")(x)
    return keras.Model(inputs, layers.Flatten()(x), name="nested")


def test_nested_and_shared_norms_are_swapped_and_closed_ones_reported():
    model = nested()
    swapped, report = swap_norm(model, "layer")
    assert [row.key for row in report.layers] == ["block/bn", "batch_normalization"]
    assert report.closed == ("closed/inner",)
    assert isinstance(swapped.get_layer("block").get_layer("bn"), GroupNorm)
    assert swapped.inputs[0].name == "image"
    names = [layer.name for layer in swapped.layers]
    assert any(name.startswith("group_norm") for name in names)
    assert not any(name.startswith("batch_norm") for name in names)
    x, _ = helpers.batch(IMAGE)
    block = swapped.get_layer("block")
    expected = swapped.layers[-3](block(block(x)) + x)
    np.testing.assert_allclose(swapped(x), swapped.layers[-2](expected).numpy().reshape(16, -1))


@pytest.mark.parametrize("kind", ["group", "l1_batch", "frozen_batch", "none"])
def test_a_mask_that_was_given_is_given_to_norms_that_take_one(kind):
    inputs, mask = keras.Input((4, 3)), keras.Input((4,), dtype="bool")
    outputs = layers.BatchNormalization(name="norm")(inputs, mask=mask)
    swapped = swap_norm(keras.Model([inputs, mask], outputs), kind).model
    x, _ = helpers.batch((4, 3), examples=4)
    present = np.array([[True, True, False, False]] * 4)
    other = np.where(present[..., None], x, 99.0)
    ours, theirs = (swapped([given, present], training=True).numpy() for given in (x, other))
    np.testing.assert_allclose(ours[:, :2], theirs[:, :2], atol=1e-6)


def test_where_chooses_by_pattern_or_function():
    model = nested()

    def chosen(where):
        return [row.key for row in swap_norm(model, "rms", where=where).report.layers]

    assert chosen("block/*") == ["block/bn"]
    assert chosen(["batch*", "*/bn"]) == ["block/bn", "batch_normalization"]
    assert chosen(lambda key, layer: layer.name == "bn") == ["block/bn"]
    untouched = swap_norm(model, "rms", where="block/*").model
    assert any(type(layer) is layers.BatchNormalization for layer in untouched.layers)


def test_without_a_norm_the_layer_before_gets_its_shift():
    model = convnet()
    swapped, report = swap_norm(model, "none")
    assert report.layers[0].before == ("conv: bias",)
    np.testing.assert_array_equal(swapped.get_layer("conv").bias, model.get_layer("norm").beta)
    assert not swap_norm(model, "none", add_bias=False).model.get_layer("conv").use_bias
    assert isinstance(swapped.get_layer("norm"), layers.Identity)


def test_a_layer_that_others_read_gets_no_bias():
    inputs = keras.Input(IMAGE)
    features = layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    normed = layers.BatchNormalization(name="norm")(features)
    model = keras.Model(inputs, layers.Add()([features, normed]))
    swapped, report = swap_norm(model, "none")
    assert report.layers[0].before == ()
    assert not swapped.get_layer("conv").use_bias


def test_weights_before_a_norm_are_standardized_and_plain_again():
    model = convnet()
    swapped, report = swap_norm(model, "ws_group")
    conv = swapped.get_layer("conv")
    assert type(conv) is StandardizedConv2D
    np.testing.assert_array_equal(conv.kernel, model.get_layer("conv").kernel)
    assert report.layers[0].before == ("conv: standardized weights",)
    group, report = swap_norm(swapped, "group")
    assert report.layers[0].old == "ws_group"
    assert report.layers[0].before == ("conv: plain weights",)
    assert type(group.get_layer("conv")) is layers.Conv2D
    none = swap_norm(swapped, "none").model.get_layer("conv")
    assert type(none) is layers.Conv2D
    assert none.use_bias


@pytest.mark.parametrize("kind", ["group", "ws_group", "none", "batch"])
def test_masks_stay_and_hold(kind, tmp_path):
    model = convnet()
    mask = helpers.random_mask(model)
    sparse = sparsify(model, mask)
    swapped = swap_norm(sparse, kind).model
    assert get_mask(swapped) == mask
    assert helpers.leaked(swapped, mask) == 0
    before = helpers.values(swapped)
    helpers.compiled(swapped, run_eagerly=True).fit(*helpers.batch(IMAGE), verbose=0)
    assert helpers.leaked(swapped, mask) == 0
    assert helpers.moved(swapped, before, mask) > 0.5
    swapped.save(tmp_path / "swapped.keras")
    loaded = keras.models.load_model(tmp_path / "swapped.keras")
    assert get_mask(loaded) == mask


def test_the_source_is_not_changed_and_compilation_is_carried():
    model = helpers.compiled(convnet(), keras.optimizers.Adam(0.02), metrics=["accuracy"])
    before = values(model)
    swapped = swap_norm(model, "group").model
    assert float(swapped.optimizer.learning_rate) == pytest.approx(0.02)
    assert swapped.optimizer is not model.optimizer
    swapped.fit(*helpers.batch(IMAGE), verbose=0)
    assert_equal(values(model), before)
    assert not swap_norm(convnet(), "group").model.compiled


def test_new_statistics_are_said_and_can_be_measured():
    group = swap_norm(convnet(), "group").model
    swapped, report = swap_norm(group, "batch")
    assert report.needs_statistics
    assert report.layers[0].weights.new == ("moving_mean", "moving_variance")
    x, _ = helpers.batch(IMAGE, examples=32)
    recalibrate(swapped, [x])
    np.testing.assert_allclose(swapped(x, training=False), swapped(x, training=True), atol=1e-5)


def test_a_report_reads_as_lines():
    text = str(swap_norm(convnet(), "ws_group", groups=4).report)
    assert text == (
        "norm  batch -> ws_group  8 channels  4 groups  kept gamma, beta  "
        "dropped moving_mean, moving_variance  conv: standardized weights"
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda: keras.applications.MobileNetV2((32, 32, 3), 0.35, weights=None, classes=3),
        lambda: keras.applications.EfficientNetB0(weights=None, input_shape=(32, 32, 3), classes=3),
    ],
    ids=["MobileNetV2", "EfficientNetB0"],
)
def test_networks_of_keras_applications(build):
    model = build()
    norms = [x for x in model.layers if isinstance(x, layers.BatchNormalization)]
    swapped, report = swap_norm(model, "group")
    keys = [row.key for row in report.layers]
    assert len(keys) == len(norms)
    assert all(row.channels % row.groups == 0 for row in report.layers)
    assert not [x for x in swapped.layers if isinstance(x, layers.BatchNormalization)]
    assert_equal(values(swapped, without=keys), values(model, without=keys))
    x, _ = helpers.batch((32, 32, 3), examples=2)
    assert np.isfinite(swapped(x)).all()
    back = swap_norm(swapped, "batch").model
    np.testing.assert_array_equal(back(x), model(x))  # statistics are the initial ones in both


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (helpers.Subclassed, {"to": "group"}, r"class Subclassed\. A subclassed model has no"),
        (helpers.mlp, {"to": "group"}, r"none is chosen of \[\]"),
        (
            lambda: keras.Sequential([layers.Dense(2)]),
            {"to": "group"},
            "call it on data or `build`",
        ),
        (convnet, {"to": "grop"}, "Did you mean 'group'"),
        (convnet, {"to": "batch", "groups": 2}, "The options of the norm 'batch' are"),
        (convnet, {"to": "group", "where": "bn*"}, r"'bn\*', which fits none of \['norm'\]"),
        (convnet, {"to": "group", "where": lambda key, layer: False}, r"chosen of \['norm'\]"),
    ],
)
def test_what_can_not_be_swapped(model, arguments, message):
    with pytest.raises(ModelError, match=message):
        swap_norm(model(), **arguments)
