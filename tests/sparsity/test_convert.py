import helpers
import keras
import numpy as np
import pytest

from tfticket.errors import MaskError, ModelError
from tfticket.sparsity.convert import get_mask, masked_layers, set_mask, sparsify, strip
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.wrapper import Masked
from tfticket.state import left_dense, named_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]

layers = keras.layers


class Attend(layers.Layer):
    """A layer of the user's own, made of others."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 3, name="attention")
        self.mix = layers.Dense(4, name="mix")

    def build(self, shape):
        self.attention.build(shape, shape)
        self.mix.build(shape)

    def call(self, x):
        return self.mix(self.attention(x, x))


SEQUENCE, IMAGE, VIDEO = (6, 4), (6, 6, 3), (4, 4, 4, 2)
KINDS = {
    "dense": (lambda: layers.Dense(5), SEQUENCE, ["kernel"]),
    "conv1d": (lambda: layers.Conv1D(5, 3), SEQUENCE, ["kernel"]),
    "conv2d": (lambda: layers.Conv2D(5, 3, groups=1), IMAGE, ["kernel"]),
    "conv3d": (lambda: layers.Conv3D(3, 2), VIDEO, ["kernel"]),
    "conv2d_transpose": (lambda: layers.Conv2DTranspose(4, 3), IMAGE, ["kernel"]),
    "depthwise": (lambda: layers.DepthwiseConv2D(3), IMAGE, ["kernel"]),
    "separable": (
        lambda: layers.SeparableConv2D(4, 3),
        IMAGE,
        ["depthwise_kernel", "pointwise_kernel"],
    ),
    "einsum": (lambda: layers.EinsumDense("abc,cd->abd", (6, 5)), SEQUENCE, ["kernel"]),
    "lstm": (
        lambda: layers.LSTM(3),
        SEQUENCE,
        ["lstm_cell/kernel", "lstm_cell/recurrent_kernel"],
    ),
    "gru": (lambda: layers.GRU(3), SEQUENCE, ["gru_cell/kernel", "gru_cell/recurrent_kernel"]),
    "bidirectional": (
        lambda: layers.Bidirectional(layers.SimpleRNN(3)),
        SEQUENCE,
        [
            "forward_simple_rnn/simple_rnn_cell/kernel",
            "forward_simple_rnn/simple_rnn_cell/recurrent_kernel",
            "backward_simple_rnn/simple_rnn_cell/kernel",
            "backward_simple_rnn/simple_rnn_cell/recurrent_kernel",
        ],
    ),
    "time_distributed": (
        lambda: layers.TimeDistributed(layers.Dense(3, name="inside")),
        SEQUENCE,
        ["inside/kernel"],
    ),
    "spectral": (
        lambda: layers.SpectralNormalization(layers.Dense(3, name="inside")),
        SEQUENCE,
        ["kernel"],
    ),
}


def around(make_layer, shape):
    """A classifier with one layer of the kind, named `kind`, in a functional graph."""
    inputs = keras.Input(shape)
    x = make_layer()(inputs)
    outputs = layers.Dense(3, name="output")(layers.Flatten()(x))
    return helpers.compiled(keras.Model(inputs, outputs), run_eagerly=True)


def outputs(model, x):
    return model(x, training=False).numpy()


def check_all_stages(model, x, y, path):
    """Sparsified, fitted, saved, loaded, fitted on, stripped: zeros exact, predictions bitwise."""
    mask = helpers.random_mask(model)
    dense = sparsify(model)
    np.testing.assert_array_equal(outputs(dense, x), outputs(model, x))
    assert list(named_variables(dense)) == list(named_variables(model))

    sparse = sparsify(model, mask)
    before = helpers.values(sparse)
    assert helpers.leaked(sparse, mask) == 0
    sparse.fit(x, y, batch_size=8, verbose=0)
    assert helpers.leaked(sparse, mask) == 0
    assert helpers.moved(sparse, before, mask) > 0.5

    sparse.save(path)
    loaded = keras.models.load_model(path)
    assert get_mask(loaded) == mask
    np.testing.assert_array_equal(outputs(loaded, x), outputs(sparse, x))
    loaded.fit(x, y, batch_size=8, verbose=0)
    assert helpers.leaked(loaded, mask) == 0

    plain = strip(loaded)
    assert masked_layers(plain) == []
    assert helpers.leaked(plain, mask) == 0
    np.testing.assert_array_equal(outputs(plain, x), outputs(loaded, x))
    assert [layer.name for layer in plain.layers] == [layer.name for layer in model.layers]
    again = sparsify(plain, mask)
    assert get_mask(again) == mask
    np.testing.assert_array_equal(outputs(again, x), outputs(plain, x))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_through_all_stages(kind, tmp_path):
    make_layer, shape, kernels = KINDS[kind]
    model = around(make_layer, shape)
    *own, last = get_mask(sparsify(model))
    assert [key.partition("/")[2] for key in own] == kernels
    assert last == "output/kernel"
    check_all_stages(model, *helpers.batch(shape), tmp_path / "model.keras")


def test_attention_nested_and_shared_layers_through_all_stages(tmp_path):
    inputs = keras.Input(SEQUENCE)
    x = layers.MultiHeadAttention(2, 3, dropout=0.1, name="attention")(inputs, inputs)
    shared = layers.Dense(4, name="shared")
    x = keras.ops.add(shared(shared(x)), 1.0)
    nested = keras.Sequential(
        [keras.Input(SEQUENCE), layers.Dense(4), layers.BatchNormalization(), layers.Dense(4)],
        name="nested",
    )
    inner = keras.Input((4,))
    deeper = keras.Model(inner, layers.Dense(3, name="last")(inner), name="deeper")
    outputs = deeper(layers.GlobalAveragePooling1D()(nested(x)))
    model = helpers.compiled(keras.Model(inputs, outputs), "adam", run_eagerly=True)
    sparse = sparsify(model)
    assert list(get_mask(sparse)) == [
        "attention/query/kernel",
        "attention/key/kernel",
        "attention/value/kernel",
        "attention/attention_output/kernel",
        "shared/kernel",
        "nested/dense/kernel",
        "nested/dense_1/kernel",
        "deeper/last/kernel",
    ]
    assert isinstance(sparse.get_layer("shared"), Masked)
    assert len(masked_layers(sparse)) == 5
    check_all_stages(model, *helpers.batch(SEQUENCE), tmp_path / "model.keras")


def test_a_layer_of_the_user_s_own_is_wrapped_as_a_whole():
    model = keras.Sequential([keras.Input(SEQUENCE), Attend(name="own"), layers.Flatten()])
    mask = helpers.random_mask(model)
    assert "own/attention/query/kernel" in mask
    sparse = helpers.compiled(sparsify(model, mask))
    x, y = helpers.batch(SEQUENCE)
    sparse.fit(x, y, verbose=0)
    assert helpers.leaked(sparse, mask) == 0
    assert helpers.leaked(strip(sparse), mask) == 0


@pytest.mark.parametrize(
    "build",
    [
        lambda: keras.applications.MobileNetV2(
            (32, 32, 3), alpha=0.35, weights=None, classes=3, classifier_activation=None
        ),
        lambda: keras.applications.MobileNetV3Small(
            (32, 32, 3), alpha=0.25, weights=None, classes=3, classifier_activation=None
        ),
    ],
    ids=["MobileNetV2", "MobileNetV3Small"],
)
def test_networks_of_keras_applications_through_all_stages(build, tmp_path):
    model = helpers.compiled(build(), run_eagerly=True)
    check_all_stages(model, *helpers.batch((32, 32, 3), examples=8), tmp_path / "model.keras")


def test_the_original_is_left_alone():
    model = helpers.mlp()
    before = helpers.values(model)
    sparse = sparsify(model, helpers.random_mask(model))
    helpers.compiled(sparse).fit(*helpers.batch(), verbose=0)
    for key, array in helpers.values(model).items():
        np.testing.assert_array_equal(array, before[key])
    assert masked_layers(model) == []
    plain = strip(sparse)
    sparse.layers[0].layer.kernel.assign(np.zeros((6, 5)))
    assert helpers.values(plain)["hidden_0/kernel"].any()


def test_skipped_kernels_have_no_mask():
    model = helpers.mlp()
    sparse = sparsify(model, skip=["output/*"])
    assert list(get_mask(sparse)) == ["hidden_0/kernel", "hidden_1/kernel"]
    assert not isinstance(sparse.get_layer("output"), Masked)
    inputs = keras.Input(SEQUENCE)
    attention = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    sparse = sparsify(keras.Model(inputs, attention), skip=["attention/query/*", "*/key/*"])
    assert list(get_mask(sparse)) == [
        "attention/value/kernel",
        "attention/attention_output/kernel",
    ]
    with pytest.raises(ModelError, match=r"Received: 'head/\*', which fits none"):
        sparsify(model, skip=["head/*"])
    with pytest.raises(ModelError, match="where none is left"):
        sparsify(model, skip=["*"])


@keras.saving.register_keras_serializable("tests")
class Own(layers.Layer):
    """A layer of the user's own, whose weights have names of their own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.weights_in = self.add_weight(shape=(shape[-1], self.units), name="w")
        self.scale = self.add_weight(shape=(self.units,), name="scale")

    def call(self, x):
        return keras.ops.relu(x @ self.weights_in) * self.scale

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def with_own():
    return keras.Sequential(
        [keras.Input((6,)), Own(5, name="own"), layers.Dense(3, name="output")], name="with_own"
    )


def test_weights_of_other_names_are_named_as_left_dense():
    model = with_own()
    assert left_dense(model) == {"own/w": ("Own", (6, 5))}
    with pytest.warns(UserWarning, match=r"Left dense: `own/w` \(6, 5\) of Own.*also=\['own/w'\]"):
        assert list(get_mask(sparsify(model))) == ["output/kernel"]
    assert list(get_mask(sparsify(model, skip=["own/*"]))) == ["output/kernel"]  # no warning
    known = keras.Sequential([keras.Input((5,)), layers.Embedding(9, 4), layers.Flatten()])
    known.add(layers.Dense(2))
    assert left_dense(known) == {}


@pytest.mark.parametrize(
    "also",
    ["own/*", ["own/w"], lambda key, variable: variable.name == "w"],
    ids=["pattern", "list", "rule"],
)
def test_weights_of_other_names_can_be_asked_for(also, tmp_path):
    model = helpers.compiled(with_own())
    mask = get_mask(sparsify(model, also=also))
    assert list(mask) == ["own/w", "output/kernel"]
    arrays = {key: np.ones(shape, bool) for key, shape in mask.shapes.items()}
    arrays["own/w"][::2] = False
    mask = Mask(arrays)
    sparse = sparsify(model, mask)  # which asks for them by itself
    assert get_mask(sparse) == mask
    sparse.fit(*helpers.batch(), verbose=0)
    sparse.save(tmp_path / "sparse.keras")
    for each in (sparse, keras.models.load_model(tmp_path / "sparse.keras")):
        assert get_mask(each) == mask
        assert not each.get_layer("own").weights_in.numpy()[::2].any()
    plain = strip(sparse)
    assert not plain.get_layer("own").weights_in.numpy()[::2].any()


def test_what_is_asked_for_must_be_there_and_prunable():
    with pytest.raises(ModelError, match=r"fits 'own/scale'.*rank 2 or more.*\['own/w'\]"):
        sparsify(with_own(), also=["own/scale"])
    alone = keras.Sequential([keras.Input((6,)), Own(5, name="own")])
    with pytest.raises(ModelError, match=r"none is left.*\['own/w'\] to be asked for by `also`"):
        sparsify(alone)
    assert list(get_mask(sparsify(alone, also="own/w"))) == ["own/w"]


def test_masks_that_are_there_are_kept():
    model = helpers.mlp()
    mask = helpers.random_mask(model)
    assert get_mask(sparsify(sparsify(model, mask))) == mask


def test_the_model_keeps_its_names_and_its_compilation():
    model = helpers.compiled(helpers.mlp(), keras.optimizers.Adam(0.02), metrics=["accuracy"])
    sparse = sparsify(model)
    assert sparse.name == model.name
    assert [layer.name for layer in sparse.layers] == [layer.name for layer in model.layers]
    assert float(sparse.optimizer.learning_rate) == pytest.approx(0.02)
    assert sparse.optimizer is not model.optimizer
    assert sparse.loss.from_logits
    assert not sparsify(helpers.mlp()).compiled
    assert strip(sparse).compiled


def test_a_sparse_model_can_be_sparsified_again():
    model = helpers.mlp()
    first, second = helpers.random_mask(model, seed=0), helpers.random_mask(model, seed=1)
    twice = sparsify(sparsify(model, first), second)
    assert get_mask(twice) == second
    assert all(not isinstance(layer.layer, Masked) for layer in masked_layers(twice))


def test_a_new_head_on_a_sparse_backbone_keeps_the_masks(tmp_path):
    model = helpers.mlp((6, 8, 8, 3))
    mask = helpers.random_mask(model)
    sparse = sparsify(model, mask)
    features = sparse.get_layer("hidden_1").output
    headed = keras.Model(sparse.inputs, layers.Dense(5, name="head")(features))
    kept = Mask({key: mask[key] for key in ("hidden_0/kernel", "hidden_1/kernel")})
    assert get_mask(headed) == kept
    x, y = helpers.batch(classes=5)
    helpers.compiled(headed, "adam").fit(x, y, epochs=3, verbose=0)
    assert helpers.leaked(headed, kept) == 0
    headed.save(tmp_path / "headed.keras")
    assert get_mask(keras.models.load_model(tmp_path / "headed.keras")) == kept


def test_weights_of_a_sparse_model_there_and_back(tmp_path):
    model = helpers.mlp()
    sparse = sparsify(model, helpers.random_mask(model))
    sparse.save_weights(tmp_path / "sparse.weights.h5")
    other = sparsify(helpers.mlp())
    other.load_weights(tmp_path / "sparse.weights.h5")
    assert get_mask(other) == get_mask(sparse)
    assert helpers.leaked(other, get_mask(sparse)) == 0


def test_masks_that_do_not_fit_change_nothing():
    sparse = sparsify(helpers.mlp())
    whole, before = get_mask(sparse), helpers.values(sparse)
    missing = Mask({key: whole[key] for key in list(whole)[1:]})
    foreign = Mask({**whole, "other/kernel": np.ones((2, 2))})
    turned = Mask({**whole, "output/kernel": whole["output/kernel"].T})
    for mask, problem in [
        (missing, "`hidden_0/kernel` is not in the mask"),
        (foreign, "`other/kernel` is not in the model"),
        (turned, r"`output/kernel` has the shape \(4, 3\), its mask \(3, 4\)"),
    ]:
        with pytest.raises(MaskError, match=problem):
            set_mask(sparse, mask)
        with pytest.raises(MaskError, match=problem):
            sparsify(helpers.mlp(), mask)
    assert get_mask(sparse) == whole
    for key, array in helpers.values(sparse).items():
        np.testing.assert_array_equal(array, before[key])


def test_models_that_can_not_be_converted():
    model = helpers.Subclassed()
    with pytest.raises(ModelError, match="not built yet; call it first"):
        sparsify(model)
    model(helpers.batch()[0])
    for convert in (sparsify, strip):
        with pytest.raises(ModelError, match=r"class Subclassed.*`KeepMask`"):
            convert(model)
    with pytest.raises(MaskError, match=r"no `Masked` layer.*`sparsify"):
        get_mask(helpers.mlp())
