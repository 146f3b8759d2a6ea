import numpy as np
import tensorflow as tf

from tfticket.data.arrays import aligned
from tfticket.data.dataset import Split
from tfticket.data.ordered import Resident


def test_the_graph_reads_the_array_itself():
    x, y = (
        aligned(np.arange(24, dtype=np.uint8).reshape(6, 4)),
        aligned(np.arange(6, dtype=np.int32)),
    )
    source = Resident(Split(x, y), 1.0, 0.0)
    gather = tf.function(source.gather)
    np.testing.assert_array_equal(gather(tf.constant([5, 0]))[0], x[[5, 0]])
    x[5] = 99  # nobody should; it shows that no copy was made, not even into the graph
    np.testing.assert_array_equal(gather(tf.constant([5, 0]))[0], x[[5, 0]])
    nodes = gather.get_concrete_function(tf.constant([5, 0])).graph.as_graph_def().node
    assert not any(x.tobytes() in node.SerializeToString() for node in nodes)


def test_any_other_array_is_copied_once():
    x = np.arange(24, dtype=np.float32).reshape(6, 4)[:, ::-1]
    x.flags.writeable = False
    source = Resident(Split(x, np.arange(6, dtype=np.int32)), 1.0, 0.0)
    gathered, labels = source.gather(tf.constant([3, 1]))
    np.testing.assert_array_equal(gathered, x[[3, 1]])
    np.testing.assert_array_equal(labels, [3, 1])


def test_normalize_is_scale_then_offset_by_channel():
    x = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    scale, offset = np.array([1, 0.5, 2], np.float32), np.array([0, -1, 3], np.float32)
    source = Resident(Split(x, np.zeros(2, np.int32)), scale, offset)
    result = source.normalize(tf.constant(x))
    assert result.dtype == tf.float32
    np.testing.assert_array_equal(result, x * scale + offset)
