"""Whether XLA compiles what is being written down: some of TensorFlow's kernels aren't for it."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext


def compiled_by_xla() -> bool:
    """Whether the operations that are called now belong to a function with `jit_compile=True`."""
    return bool(GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))
