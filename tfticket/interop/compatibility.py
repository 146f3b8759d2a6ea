"""Parts that tf_keras and Keras 3 share by name and meaning, and a check that names the others.

Plain names, so that a file is refused before TensorFlow starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tfticket.errors import ModelError
from tfticket.model_file import NamedObject, foreign_objects

Described = Mapping[str, Any]
"""A layer, model or other object as Keras 2 describes it: `class_name`, `config`, ..."""

_SIDES = ("1D", "2D", "3D")

MODELS = frozenset({"Functional", "Model", "Sequential"})
PRUNED = "PruneLowMagnitude"
SCHEDULES = frozenset({"ConstantSparsity", "PolynomialDecay"})
WRAPPERS = frozenset({"Bidirectional", "TimeDistributed"})

LAYERS = WRAPPERS | {
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "BatchNormalization",
    "Concatenate", "DepthwiseConv1D", "DepthwiseConv2D", "Dense", "Dot", "Dropout", "ELU",
    "EinsumDense", "Embedding", "Flatten", "GRU", "GaussianDropout", "GaussianNoise",
    "GroupNormalization", "Identity", "LSTM", "LayerNormalization", "LeakyReLU", "Masking",
    "Maximum", "Minimum", "MultiHeadAttention", "Multiply", "PReLU", "Permute", "ReLU",
    "RepeatVector", "Rescaling", "Reshape", "SeparableConv1D", "SeparableConv2D", "SimpleRNN",
    "Softmax", "Subtract", "UnitNormalization",
    *(f"{kind}{sides}" for kind in ("Conv", "SpatialDropout") for sides in _SIDES),
    *(f"Conv{sides}Transpose" for sides in _SIDES),
    *(f"{kind}{sides}" for kind in ("ZeroPadding", "Cropping", "UpSampling") for sides in _SIDES),
    *(f"{kind}Pooling{sides}" for kind in ("Max", "Average") for sides in _SIDES),
    *(f"Global{kind}Pooling{sides}" for kind in ("Max", "Average") for sides in _SIDES),
}  # fmt: skip

ACTIVATIONS = frozenset(
    {
        "elu", "exponential", "gelu", "leaky_relu", "linear", "mish", "relu", "relu6", "selu",
        "sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh",
    }
)  # fmt: skip

OBJECTS = frozenset(
    {
        # Initializers
        "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal",
        "LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal",
        "VarianceScaling", "Zeros",
        # Regularizers
        "L1", "L1L2", "L2", "OrthogonalRegularizer",
        # Constraints
        "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm",
    }
)  # fmt: skip

NAMED = LAYERS | MODELS | OBJECTS | SCHEDULES | {PRUNED, "InputLayer", "Policy"}
"""Every class that a description may name."""

_QUANTIZED = "quantization can't be imported; save the model before it is quantized"
_CODE = "it is Python code and not a layer; use a layer of Keras in its place"
_OPERATION = "it is an operation of TensorFlow and not a layer; use a layer of Keras in its place"
_STATISTICS = "Keras 3 keeps its statistics otherwise; normalize the data instead"

REASONS = {
    "ClusterWeights": "clustering can't be imported; call `strip_clustering` first",
    "Lambda": _CODE,
    "LocallyConnected1D": "Keras 3 has no such layer",
    "LocallyConnected2D": "Keras 3 has no such layer",
    "Normalization": _STATISTICS,
    "QuantizeAnnotate": _QUANTIZED,
    "QuantizeLayer": _QUANTIZED,
    "QuantizeWrapper": _QUANTIZED,
    "QuantizeWrapperV2": _QUANTIZED,
    "SlicingOpLambda": _OPERATION,
    "TFOpLambda": _OPERATION,
    "TensorFlowOpLayer": _OPERATION,
    "ThresholdedReLU": "Keras 3 has no such layer; `ReLU(threshold=...)` is the same",
}
"""Class to the reason why its layers can't be imported."""

_SHOWN = 5
_TFMOT = "tensorflow_model_optimization.python.core.sparsity.keras.pruning_"
_NUMBERS = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
_NO_COUNTERPART = "it is a layer of your own, or one that Keras 3 doesn't have"
_LAYERS_INSIDE = ("layer", "backward_layer")


class _Problem(NamedTuple):
    where: str
    reason: str


def check_importable(model: Described, *, source: str) -> None:
    """Check each layer, activation, initializer, ... of a described model.

    Args:
        model: The model as tf_keras describes it.
        source: Name of the model in errors.

    Raises:
        ModelError: when something can't be imported, with all such parts and the reasons; when the
            description is damaged.
    """
    try:
        if model["class_name"] not in MODELS:
            raise ModelError(
                "Only Sequential and Functional models can be imported. Received: "
                f"{source}, a model of the class {model['class_name']}, which is code and not in "
                "the file. Build the same network of layers, and give it the weights."
            )
        found: dict[str, list[str]] = {}
        for problem in dict.fromkeys(_of_model(model)):
            found.setdefault(problem.reason, []).append(problem.where)
        if not found:
            check_names(model, source=source)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(
            f"{source} describes no model that tf_keras could have saved, or is damaged: {error!r}."
        ) from error
    if found:
        listed = "; ".join(f"{', '.join(where)}: {reason}" for reason, where in found.items())
        raise ModelError(
            "Each part of a legacy model must be one that Keras 3 has too. Received: "
            f"{source} with {listed}. Replace these in tf_keras and save it again."
        )


def check_names(model: Described, *, source: str) -> None:
    """Check every class and function that a description names, wherever it does.

    tf_keras imports the modules of what it doesn't know, and makes objects of whatever is described
    like one, also where no layer uses it.

    Args:
        model: See `check_importable`.
        source: Name of the model in errors.

    Raises:
        ModelError: when something is named that isn't in this module's lists, or is in another
            library.
    """
    foreign = foreign_objects({**model, "compile_config": None}, _is_known)
    if foreign:
        raise ModelError(
            f"{source} names code that isn't in the file: {', '.join(foreign[:_SHOWN])}. A legacy "
            "model may name parts of Keras and of tensorflow-model-optimization "
            "only. Replace these in tf_keras and save it again."
        )


def _is_known(named: NamedObject) -> bool:
    if named.module.startswith(_TFMOT):
        return named.kind == "class" and named.name in (PRUNED, *SCHEDULES)
    package = named.module.partition(".")[0]
    if package not in ("", "builtins", "keras", "tf_keras") or ">" in named.registered:
        return False
    known = ACTIVATIONS | NAMED if named.kind == "function" else NAMED
    return named.kind != "lambda" and named.name in known


def leaves(model: Described) -> Iterator[Described]:
    """Yield each layer of a described model, nested ones too, without the pruning wrapper."""
    for layer in model["config"]["layers"]:
        inner = unwrapped(layer)
        if inner["class_name"] in MODELS:
            yield from leaves(inner)
        else:
            yield inner


def unwrapped(layer: Described) -> Described:
    """Return the layer inside tfmot's wrapper; other layers as they are."""
    return layer["config"]["layer"] if layer["class_name"] == PRUNED else layer


def _of_model(model: Described) -> Iterator[_Problem]:
    if model["class_name"] == "Sequential" and not _has_input(model["config"]):
        yield _Problem(_label(model), "it has no input, so it was never built")
    for layer in model["config"]["layers"]:
        if layer["class_name"] == PRUNED:
            schedule = layer["config"].get("pruning_schedule") or {}
            if schedule.get("class_name", "ConstantSparsity") not in SCHEDULES:
                reason = f"its pruning schedule {schedule['class_name']} is code of your own"
                yield _Problem(_label(layer), reason)
        yield from _of_layer(unwrapped(layer))


def _has_input(config: Mapping[str, Any]) -> bool:
    if not config["layers"]:
        return False
    first = config["layers"][0]
    shapes = [each["config"].get("batch_input_shape") for each in (first, unwrapped(first))]
    return first["class_name"] in (*MODELS, "InputLayer") or any(shapes)


def _of_layer(layer: Described) -> Iterator[_Problem]:
    kind, config = layer["class_name"], layer["config"]
    if kind in MODELS:
        yield from _of_model(layer)
    elif kind == "InputLayer":
        if config.get("ragged") or config.get("sparse"):
            yield _Problem(_label(layer), "inputs must be dense")
        if config.get("dtype", "float32") not in _NUMBERS:
            yield _Problem(_label(layer), f"inputs must be numbers and not {config['dtype']}")
    elif kind not in LAYERS or _is_foreign(layer):
        yield _Problem(_label(layer), REASONS.get(kind, _NO_COUNTERPART))
    else:
        for inside in _LAYERS_INSIDE:
            if kind in WRAPPERS and config.get(inside):
                yield from _of_inner(layer, config[inside])
        yield from (_Problem(_label(layer), reason) for reason in _of_values(config))


def _of_inner(layer: Described, inner: Described) -> Iterator[_Problem]:
    if inner["class_name"] == PRUNED:
        yield _Problem(_label(layer), "the layer inside is pruned, where tfmot doesn't find it")
    else:
        yield from _of_layer(inner)


def _of_values(config: Mapping[str, Any]) -> Iterator[str]:
    for key, value in config.items():
        if key == "dtype":
            name = value["config"]["name"] if isinstance(value, Mapping) else value
            if name not in (*_NUMBERS, None):
                yield f"its precision is {name}, set it to float32"
        elif key.endswith("activation") and value is not None:
            yield from _of_activation(value)
        elif key == "time_major" and value:
            yield "Keras 3 has no time_major=True"
        elif key not in _LAYERS_INSIDE and _is_unknown(value):
            yield f"its {key} {value['class_name']} is unknown to Keras 3"


def _of_activation(activation: Any) -> Iterator[str]:
    if isinstance(activation, Mapping):
        if activation["class_name"] in LAYERS and not _is_foreign(activation):
            yield from _of_values(activation["config"])
            return
        inner = activation.get("config")
        activation = inner if isinstance(inner, str) else activation["class_name"]
    if activation == "hard_sigmoid":
        yield "hard_sigmoid is another function in Keras 3"
    elif activation not in ACTIVATIONS:
        yield f"its activation {activation} is unknown to Keras 3"


def _is_unknown(value: Any) -> bool:
    """Tell whether it is an initializer, a regularizer, ... that Keras 3 doesn't have."""
    is_object = isinstance(value, Mapping) and "class_name" in value
    return is_object and (value["class_name"] not in OBJECTS or _is_foreign(value))


def _is_foreign(described: Described) -> bool:
    """Tell whether its class isn't of Keras; HDF5 files often don't say."""
    if ">" in (described.get("registered_name") or ""):
        return True
    module = described.get("module") or "keras"
    return module.partition(".")[0] not in ("keras", "tf_keras", "tensorflow", "builtins")


def _label(layer: Described) -> str:
    return f"`{layer['config']['name']}` ({layer['class_name']})"
