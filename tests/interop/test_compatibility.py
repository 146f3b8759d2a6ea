import keras
import pytest

from tfticket.errors import ModelError
from tfticket.interop import compatibility
from tfticket.interop.compatibility import check_importable
from tfticket.interop.legacy_file import read_legacy_file

pytestmark = pytest.mark.slow


def described(*layers, kind="Functional"):
    return {"class_name": kind, "config": {"name": "m", "layers": list(layers)}}


def layer(kind, name="x", **config):
    return {"class_name": kind, "config": {"name": name, **config}}


GIVEN = layer("InputLayer", "given", batch_input_shape=[None, 3], dtype="float32")


@pytest.mark.parametrize("name", ["refused.h5", "refused.keras"])
def test_all_that_cannot_be_brought_is_named_in_one_message(legacy, name):
    with pytest.raises(ModelError) as caught:
        check_importable(read_legacy_file(legacy / name).model, source=f"`{name}`")
    message = str(caught.value)
    assert f"Received: `{name}` with " in message
    for part in (
        "`code` (Lambda): it is Python code",
        "`tf.__operators__.add` (TFOpLambda): it is an operation of TensorFlow",
        "`own` (Mine), `registered` (",
        "): it is a layer of your own, or one that Keras 3 doesn't have",
        "`threshold` (ThresholdedReLU): Keras 3 has no such layer; `ReLU(threshold=...)`",
        "`local` (LocallyConnected1D): Keras 3 has no such layer",
        "`hard` (Dense): hard_sigmoid is another function in Keras 3",
        "`activated` (Dense): its activation mine>activation is unknown",
        "`initialized` (Dense): its kernel_initializer Initializer is unknown",
        "`half` (Dense): its precision is mixed_float16",
        "`major` (LSTM): Keras 3 has no time_major=True",
    ):
        assert part in message


def test_quantization_is_refused_by_name(legacy):
    with pytest.raises(ModelError, match=r"`quantize_layer` \(QuantizeLayer\), `quant_\w+` \(.*\)"):
        check_importable(read_legacy_file(legacy / "quantized.h5").model, source="q")


def test_subclassed_and_unbuilt_models_are_refused(legacy):
    with pytest.raises(ModelError, match="a model of the class Subclassed, which is code"):
        check_importable(read_legacy_file(legacy / "subclassed.keras").model, source="s")
    with pytest.raises(ModelError, match=r"`never` \(Sequential\): it has no input"):
        check_importable(read_legacy_file(legacy / "never_built.keras").model, source="n")


@pytest.mark.parametrize(
    "name", ["wrapped.h5", "stripped.h5", "sequence.keras", "each_layer.keras"]
)
def test_what_can_be_brought_is_not_refused(legacy, name):
    check_importable(read_legacy_file(legacy / name).model, source=name)


def test_a_first_layer_that_knows_its_input_is_an_input():
    first = layer("Dense", batch_input_shape=[None, 3])  # as Keras 2.2 and before described it
    check_importable(described(first, kind="Sequential"), source="old")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (layer("InputLayer", ragged=True), "inputs must be dense"),
        (layer("InputLayer", dtype="string"), "inputs must be numbers and not string"),
        (layer("ClusterWeights", layer=layer("Dense")), "call `strip_clustering` first"),
        (layer("TimeDistributed", layer=layer("Lambda", "inner")), r"`inner` \(Lambda\)"),
        (layer("Bidirectional", backward_layer=layer("Mine", "back")), r"`back` \(Mine\)"),
        (
            layer("TimeDistributed", layer=layer("PruneLowMagnitude", layer=layer("Dense"))),
            r"`x` \(TimeDistributed\): the layer inside is pruned",
        ),
        (layer("PruneLowMagnitude", layer=layer("Mine", "inner")), r"`inner` \(Mine\)"),
        (
            layer("PruneLowMagnitude", layer=layer("Dense"), pruning_schedule=layer("Hourly")),
            "its pruning schedule Hourly is code of your own",
        ),
        (described(layer("Mine", "deep")), r"`deep` \(Mine\)"),
        ({**layer("Dense"), "module": "my.layers"}, "a layer of your own"),
        (layer("Activation", activation=layer("Mine")), "its activation Mine is unknown"),
        (layer("Dense", activation={"class_name": "function", "config": "f"}), "activation f is"),
        (layer("Dense", kernel_regularizer=layer("Mine")), "kernel_regularizer Mine is unknown"),
    ],
)
def test_what_is_refused(bad, message):
    with pytest.raises(ModelError, match=message):
        check_importable(described(GIVEN, bad), source="a model")


def test_a_layer_can_be_an_activation():
    inner = layer("LeakyReLU", "leaky", alpha=0.1)
    check_importable(described(GIVEN, layer("Dense", activation=inner)), source="a model")


EVIL = {"module": "evil", "class_name": "function", "config": "relu", "registered_name": "relu"}


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (layer("Dense", activation=EVIL), r"evil\.relu"),
        ({**layer("Dense"), "build_config": {"shape": [EVIL]}}, r"evil\.relu"),
        (layer("Dense", kernel_initializer=layer("Zeros", z=[layer("Mine")])), "Mine"),
        (layer("Dense", unknown={"a": [{**layer("Zeros"), "module": "evil"}]}), r"evil\.Zeros"),
        (layer("Dense", unknown=[{"class_name": "__lambda__", "config": {}}]), "a lambda"),
        (
            layer(
                "PruneLowMagnitude",
                layer=layer("Dense"),
                pruning_schedule={**layer("ConstantSparsity"), "module": "evil"},
            ),
            r"evil\.ConstantSparsity",
        ),
        ({**layer("Dense"), "module": "tensorflow.python.tools"}, r"tools\.Dense"),
    ],
)
def test_code_is_found_in_the_last_nested_object(bad, named):
    with pytest.raises(ModelError, match=f"a model names code that isn't in the file: .*{named}"):
        check_importable(described(GIVEN, bad), source="a model")


@pytest.mark.parametrize("layers", [None, 3, [3], [{"class_name": "Dense"}], [{"config": {}}]])
def test_a_description_of_nothing_is_damaged(layers):
    model = {"class_name": "Functional", "config": {"layers": layers}}
    with pytest.raises(ModelError, match="describes no model that tf_keras could have saved"):
        check_importable(model, source="a model")


def test_keras_has_each_layer_of_the_catalog():
    missing = [name for name in compatibility.LAYERS if not hasattr(keras.layers, name)]
    assert missing == []


def test_keras_has_each_activation_and_object_of_the_catalog():
    for name in compatibility.ACTIVATIONS:
        assert callable(keras.activations.get(name))
    modules = (keras.initializers, keras.regularizers, keras.constraints)
    missing = [
        name
        for name in compatibility.OBJECTS
        if not any(hasattr(module, name) for module in modules)
    ]
    assert missing == []


def test_what_has_a_reason_to_stay_is_not_in_the_catalog():
    assert compatibility.REASONS.keys() & compatibility.LAYERS == set()
