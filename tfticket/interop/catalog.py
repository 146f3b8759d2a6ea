"""What tf_keras and Keras 3 both have under one name and with one meaning, and why the rest stays.

Plain names, so that a file is refused before TensorFlow starts.
"""

from __future__ import annotations

_SIDES = ("1D", "2D", "3D")

MODELS = frozenset({"Functional", "Model", "Sequential"})
PRUNED = "PruneLowMagnitude"
SCHEDULES = frozenset({"ConstantSparsity", "PolynomialDecay"})
WRAPPERS = frozenset({"Bidirectional", "TimeDistributed"})

LAYERS = WRAPPERS | {
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dense",
    "Dot",
    "Dropout",
    "ELU",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GRU",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "Identity",
    "LSTM",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "Softmax",
    "Subtract",
    "UnitNormalization",
    *(f"{kind}{sides}" for kind in ("Conv", "SpatialDropout") for sides in _SIDES),
    *(f"Conv{sides}Transpose" for sides in _SIDES),
    *(f"{kind}{sides}" for kind in ("ZeroPadding", "Cropping", "UpSampling") for sides in _SIDES),
    *(f"{kind}Pooling{sides}" for kind in ("Max", "Average") for sides in _SIDES),
    *(f"Global{kind}Pooling{sides}" for kind in ("Max", "Average") for sides in _SIDES),
}

ACTIVATIONS = frozenset(
    {
        "elu",
        "exponential",
        "gelu",
        "leaky_relu",
        "linear",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "softmax",
        "softplus",
        "softsign",
        "swish",
        "tanh",
    }
)

OBJECTS = frozenset(
    {
        # Initializers
        "Constant",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "LecunNormal",
        "LecunUniform",
        "Ones",
        "Orthogonal",
        "RandomNormal",
        "RandomUniform",
        "TruncatedNormal",
        "VarianceScaling",
        "Zeros",
        # Regularizers
        "L1",
        "L1L2",
        "L2",
        "OrthogonalRegularizer",
        # Constraints
        "MaxNorm",
        "MinMaxNorm",
        "NonNeg",
        "UnitNorm",
    }
)

NAMED = LAYERS | MODELS | OBJECTS | SCHEDULES | {PRUNED, "InputLayer", "Policy"}
"""All classes that a description may name."""

_QUANTIZED = "quantization can't be brought; save the model before it is quantized"
_CODE = "it is Python code and not a layer; use a layer of Keras in its place"
_OPERATION = "it is an operation of TensorFlow and not a layer; use a layer of Keras in its place"
_STATISTICS = "Keras 3 keeps its statistics otherwise; normalize the data instead"

REASONS = {
    "ClusterWeights": "clustering can't be brought; call `strip_clustering` first",
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
"""Class to the reason why its layers stay behind, in words."""
