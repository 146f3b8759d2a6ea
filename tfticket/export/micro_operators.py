"""What the kernels of TensorFlow Lite Micro can do, as data.

Read off `tensorflow/lite/micro/micro_mutable_op_resolver.h` and the reference kernels beside it,
github.com/tensorflow/tflite-micro at commit 90b983c2 of August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

_OPERATORS = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND
    BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM
    DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL
    EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER
    GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG
    LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM
    MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX
    REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT
    SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
    UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
_FLOAT_ONLY = "CEIL COS EXP FLOOR FLOOR_DIV FLOOR_MOD L2_POOL_2D LOG NEG ROUND SIN SQRT SQUARE"

OPERATORS = frozenset(_OPERATORS.split())
"""The operators that it has, without custom ones."""

FLOAT_ONLY = frozenset(_FLOAT_ONLY.split())
"""Those of them whose kernels compute with float32 and nothing else."""

TYPES = frozenset({"INT8", "INT16", "INT32", "BOOL"})
"""The types of tensors in a file that computes with integers throughout."""

WEIGHTED: Mapping[str, Mapping[str, frozenset[str]]] = {
    name: {"INT8": frozenset({"INT8"}), "INT16": frozenset({"INT8"})}
    for name in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
}
"""For operators with weights: type of the input to the types that weights may have then."""

MAX_RANK = 6
"""How many sides a tensor may have: `RuntimeShape::kMaxSmallSize`."""

MAX_RANK_OF: Mapping[str, int] = {"BROADCAST_TO": 5, "SLICE": 5, "STRIDED_SLICE": 4}
"""The same for what these operators read."""

MAX_INPUTS_OF: Mapping[str, int] = {"CONCATENATION": 10}
"""How many tensors these operators can read."""
