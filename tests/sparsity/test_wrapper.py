import helpers
import keras
import numpy as np
import pytest

from tfticket.errors import MaskError, ModelError
from tfticket.sparsity.convert import sparsify
from tfticket.sparsity.wrapper import Masked

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers


def built(layer, shape=(2, 6), **kwargs):
    masked = Masked(layer, **kwargs)
    masked(np.ones(shape, "float32"))
    return masked


def half(masked, key="kernel"):
    mask = np.ones(masked.masks[key].shape, bool)
    mask.flat[::2] = False
    return mask


def test_a_new_wrapper_keeps_everything_and_the_layer_s_name():
    layer = layers.Dense(4, activation="relu", name="fc")
    masked = built(layer)
    assert masked.name == "fc"
    assert masked.masks["kernel"].numpy().all()
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    np.testing.assert_array_equal(masked(x), layer(x))


def test_masks_are_saved_and_not_trained():
    masked = built(layers.Dense(4))
    assert [v.name for v in masked.trainable_variables] == ["kernel", "bias"]
    assert [(v.name, v.dtype) for v in masked.non_trainable_variables] == [("kernel_mask", "bool")]
    assert len(masked.get_weights()) == 3


def test_setting_masks_zeroes_at_once():
    masked = built(layers.Dense(4))
    mask = half(masked)
    masked.set_masks({"kernel": mask})
    np.testing.assert_array_equal(masked.layer.kernel.numpy() != 0, mask)
    np.testing.assert_array_equal(masked.masks["kernel"].numpy(), mask)
    masked.layer.kernel.assign(np.ones((6, 4)))
    masked.enforce()
    np.testing.assert_array_equal(masked.layer.kernel.numpy(), mask)


def test_masks_that_do_not_fit_change_nothing():
    masked = built(layers.Dense(4))
    for masks, problem in [
        ({"kernel": half(masked), "bias": np.ones(4, bool)}, r"has masks for \['kernel'\]"),
        ({"kernel": half(masked).T}, r"the shape \(6, 4\). Received: \(4, 6\)"),
    ]:
        with pytest.raises(MaskError, match=problem):
            masked.set_masks(masks)
        assert masked.masks["kernel"].numpy().all()


def test_kernels_can_be_left_dense():
    masked = built(layers.SeparableConv1D(4, 3, name="sep"), (2, 8, 3), skip=("pointwise*",))
    assert list(masked.masks) == ["depthwise_kernel"]
    assert masked.layer.pointwise_kernel.constraint is None


def test_a_layer_without_kernels_is_refused():
    with pytest.raises(ModelError, match="must have a kernel"):
        built(layers.LayerNormalization())
    with pytest.raises(ModelError, match=r"Received: 'query/\*'"):
        built(layers.Dense(3), skip=("query/*",))


@pytest.mark.parametrize("layer_is_built", [True, False])
def test_config_there_and_back(layer_is_built):
    layer = layers.Dense(4, kernel_constraint="non_neg", name="fc")
    masked = built(layer) if layer_is_built else Masked(layer)
    config = keras.saving.serialize_keras_object(masked)
    assert config["registered_name"] == "tfticket>Masked"
    back = keras.saving.deserialize_keras_object(config)
    assert isinstance(back, Masked)
    assert back.name == "fc"
    assert back.layer.get_config() == layer.get_config()
    assert back.get_config() == masked.get_config()
    assert sorted(back.masks) == (["kernel"] if layer_is_built else [])


def test_arguments_reach_the_layer():
    dropped = built(layers.LSTM(3, dropout=0.9, name="lstm"), (2, 5, 4))
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    assert not np.array_equal(dropped(x, training=True), dropped(x, training=False))
    ignored = dropped(x, mask=np.zeros((2, 5), bool))
    np.testing.assert_array_equal(ignored, np.zeros((2, 3)))
    attention = Masked(layers.MultiHeadAttention(2, 3))
    output, scores = attention(x, x, return_attention_scores=True, use_causal_mask=True)
    assert output.shape == (2, 5, 4)
    assert np.triu(scores[0, 0], 1).max() == 0


def test_padding_masks_pass_through():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4, mask_zero=True)(inputs)
    x = Masked(layers.Dense(4))(x)
    outputs = Masked(layers.GRU(3))(x)
    model = keras.Model(inputs, outputs)
    padded, longer = np.array([[1, 2, 0, 0, 0]]), np.array([[1, 2]])
    shorter = keras.Model(
        short := keras.Input((2,), dtype="int32"),
        model.layers[3](model.layers[2](model.layers[1](short))),
    )
    np.testing.assert_allclose(model(padded), shorter(longer), rtol=1e-6)


def test_shapes_are_the_layer_s():
    masked = Masked(layers.Conv2D(5, 3, strides=2))
    assert masked.compute_output_shape((None, 9, 9, 2)) == (None, 4, 4, 5)
    assert masked(keras.Input((9, 9, 2))).shape == (None, 4, 4, 5)


def test_quantization_is_refused():
    model = keras.Sequential([keras.Input((6,)), Masked(layers.Dense(3, name="fc"))])
    with (
        pytest.warns(UserWarning, match="InputLayer"),
        pytest.raises(ModelError, match="`strip`"),
    ):
        model.quantize("int8")
    assert model.layers[0].layer.kernel.dtype == "float32"


def test_an_unbuilt_model_gets_its_masks_when_it_is_built():
    model = keras.Sequential([Masked(layers.Dense(4, name="a")), Masked(layers.Dense(3, name="b"))])
    x, y = helpers.batch()
    assert model.layers[0].masks == {}
    helpers.compiled(model).fit(x, y, verbose=0)
    model.layers[0].set_masks({"kernel": half(model.layers[0])})
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(
        model.layers[0].layer.kernel.numpy() != 0, model.layers[0].masks["kernel"].numpy()
    )


def test_attributes_of_the_layer_are_read_and_set_through_the_wrapper():
    masked = built(layers.Dense(4, activation="relu", name="fc"))
    assert (masked.units, masked.use_bias) == (4, True)
    assert masked.kernel is masked.layer.kernel
    masked.activation = keras.activations.linear
    assert masked.layer.activation is keras.activations.linear
    x = -np.ones((1, 6), "float32")
    np.testing.assert_allclose(masked(x), x @ masked.kernel.numpy(), rtol=1e-5)
    masked.note = "mine"  # what the layer hasn't is the wrapper's
    assert not hasattr(masked.layer, "note")
    with pytest.raises(AttributeError, match="has no attribute 'filters'"):
        masked.filters  # noqa: B018


FREEZE = {
    "model": lambda model, value: setattr(model, "trainable", value),
    "layer": lambda model, value: setattr(model.get_layer("fc"), "trainable", value),
    "inner": lambda model, value: setattr(model.get_layer("fc").layer, "trainable", value),
}


@pytest.mark.parametrize("thaw", FREEZE)
@pytest.mark.parametrize("freeze", FREEZE)
@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
def test_freezing_can_be_undone(freeze, thaw, before, tmp_path):
    plain = keras.Sequential([keras.Input((6,)), layers.Dense(3, name="fc")])
    plain.get_layer("fc").trainable = not before
    model = sparsify(plain)
    fc = model.get_layer("fc")
    mask = half(fc)
    fc.set_masks({"kernel": mask})
    FREEZE[freeze](model, False)
    assert not model.trainable_variables
    assert fc.trainable == fc.layer.trainable is False
    model.save(tmp_path / "frozen.keras")
    assert not keras.models.load_model(tmp_path / "frozen.keras").trainable_variables
    if "model" in (freeze, thaw):  # for Keras, setting what is set already does nothing
        model.trainable = False
        model.trainable = True
    FREEZE[thaw](model, True)
    assert [v.name for v in model.trainable_variables] == ["kernel", "bias"]
    frozen = fc.kernel.numpy()
    helpers.compiled(model).fit(*helpers.batch(), verbose=0)
    assert (fc.kernel.numpy() != frozen)[mask].all()
    assert not fc.kernel.numpy()[~mask].any()


def test_a_wrapper_can_be_made_frozen():
    masked = built(layers.Dense(3), trainable=False)
    assert not masked.trainable_variables
    config = keras.saving.serialize_keras_object(masked)
    assert not keras.saving.deserialize_keras_object(config).trainable


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: layers.Dense(3), (2, 6)),
        (lambda: layers.Conv1D(3, 2), (2, 5, 6)),
        (lambda: layers.EinsumDense("ab,bc->ac", 3), (2, 6)),
    ],
)
def test_lora_is_refused_before_and_after(make, shape):
    masked = built(make(), shape)
    for layer in (masked, masked.layer):
        with pytest.raises(ModelError, match=r"has a mask and can't be given LoRA.*`skip`"):
            layer.enable_lora(2)
    layer = make()
    layer(np.ones(shape, "float32"))
    layer.enable_lora(2)
    with pytest.raises(ModelError, match=r"has LoRA and can't have a mask.*`skip`"):
        built(layer, shape)


def test_a_quantized_layer_gets_no_mask():
    layer = layers.Dense(3)
    layer(np.ones((2, 6), "float32"))
    layer.quantize("float8")  # whose kernel stays one of floats
    with pytest.raises(ModelError, match="is quantized and can't have a mask"):
        built(layer)


def test_weights_of_any_name_can_have_masks():
    masked = built(layers.Embedding(7, 4, name="table"), (2, 5), also=("embeddings",))
    assert list(masked.masks) == ["embeddings"]
    masked.set_masks({"embeddings": half(masked, "embeddings")})
    assert not masked.embeddings.numpy()[:, ::2].any()
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(masked))
    assert back.also == ("embeddings",)
