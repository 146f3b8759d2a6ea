import keras

from tfticket.interop import compatibility


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
