import json

import keras
import pytest
from edge_nets import examples_for, int8_of, layers, raw, sequential
from tflite_files import dense_net, file_of, parsed, thinned

from tfticket.export import flatbuffer
from tfticket.export.inspect.cost import count
from tfticket.export.inspect.energy import EnergyModel, compare, estimate
from tfticket.export.sparse.encoding import encode_dense_layers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def counted(content):
    return count(parsed(content))


def sparse(content, way):
    names = [c.name for c in flatbuffer.constants(parsed(content)) if c.values.ndim == 2]
    return encode_dense_layers(content, dict.fromkeys(names, way), source="it")


PRODUCTS = (
    (layers.Dense(5), (7,), 5 * 7),
    (layers.Dense(5), (3, 7), 3 * 5 * 7),
    (layers.Conv2D(4, 3), (8, 8, 2), 36 * 4 * 3 * 3 * 2),
    (layers.Conv2D(4, 3, strides=2, padding="same"), (8, 8, 2), 16 * 4 * 3 * 3 * 2),
    (layers.Conv2D(4, 3, groups=2), (8, 8, 6), 36 * 4 * 3 * 3 * 3),
    (layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 3), 36 * 6 * 3 * 3),
    (layers.Conv2DTranspose(4, 3, strides=2), (5, 5, 2), 25 * 2 * 3 * 3 * 4),
    (layers.Conv3D(4, 2), (4, 4, 4, 2), 27 * 4 * 8 * 2),
    (layers.MaxPooling2D(), (8, 8, 2), 0),
)


def test_products_are_counted_by_hand():
    left, right = keras.Input((4, 3), batch_size=1), keras.Input((3, 5), batch_size=1)
    given = [keras.Input(shape, batch_size=1) for _, shape, _ in PRODUCTS]
    made = [layer(x) for (layer, _, _), x in zip(PRODUCTS, given, strict=True)]
    content = raw(keras.Model([*given, left, right], [*made, keras.ops.matmul(left, right)]))
    cost = counted(content)
    expected = sorted([*(products for *_, products in PRODUCTS if products), 4 * 3 * 5])
    assert sorted(o.multiply_adds for o in cost.operators if o.multiply_adds) == expected
    assert cost.multiply_adds == sum(expected)


def test_bytes_are_what_is_stored_and_moved():
    model = sequential(layers.Conv2D(4, 3), layers.ReLU(), layers.Flatten(), layers.Dense(3))
    cost = counted(file_of(model))
    convolution, reshape, dense = cost.operators
    assert convolution.weight_bytes == 4 * (4 * 3 * 3 + 4)
    assert (convolution.read_bytes, convolution.written_bytes) == (4 * 64, 4 * 144)
    assert (reshape.operator, reshape.read_bytes, reshape.written_bytes) == ("RESHAPE", 0, 0)
    assert (dense.read_bytes, dense.written_bytes) == (4 * 144, 4 * 3)
    quantized = counted(int8_of(model)).operators
    assert quantized[0].read_bytes == 64
    assert quantized[0].weight_bytes == 4 * 3 * 3 + 4 * 4


def test_zeros_are_skipped_only_where_the_kernel_skips_them():
    model = dense_net(32, 8, density=0.1, inputs=(64,))
    content = file_of(model)
    zeros = sum(int((w.numpy() == 0).sum()) for w in model.weights if w.ndim == 2)
    dense = counted(content)
    csr, block = (counted(sparse(content, way)) for way in ("csr", "block_1x4"))
    assert dense.multiply_adds == dense.effective_multiply_adds == 64 * 32 + 32 * 8
    assert csr.multiply_adds == dense.multiply_adds
    assert csr.effective_multiply_adds == dense.multiply_adds - zeros
    assert csr.effective_multiply_adds < block.effective_multiply_adds < dense.multiply_adds
    assert csr.weight_bytes < block.weight_bytes < dense.weight_bytes


def test_unpacked_weights_are_read_unpacked():
    model = dense_net(32, 8, inputs=(64,))
    half, whole = counted(file_of(model, "fp16")), counted(file_of(model))
    assert half.weight_bytes == whole.weight_bytes
    assert [operator.operator for operator in half.operators] == ["FULLY_CONNECTED"] * 2


@pytest.mark.parametrize(
    ("format", "arithmetic"),
    [("fp32", "float32"), ("fp16", "float32"), ("dynamic", "int8"), ("int8", "int8")],
)
def test_the_type_of_products(format, arithmetic):
    model = dense_net(64, 64, inputs=(64,))
    content = file_of(model, format, examples_for(model))
    found = [o.arithmetic for o in counted(content).operators if o.multiply_adds]
    assert found == [arithmetic] * 2


def test_energy_is_the_sum_of_its_parts():
    cost = counted(file_of(thinned(sequential(layers.Dense(4), shape=(8,)), 1.0)))
    energy = estimate(cost)
    assert energy.arithmetic == pytest.approx(32 * (3.7 + 0.9) * 1e-12)
    assert energy.weights == pytest.approx([(32 + 4) * 4 / 8 * 10e-12] * 2)
    assert energy.activations == pytest.approx([(8 + 4) * 4 / 8 * 10e-12] * 2)
    assert energy.joules[0] == pytest.approx(
        energy.arithmetic + energy.weights[0] + energy.activations[0]
    )
    assert "no device in particular" in energy.assumptions[0]
    assert "Horowitz" in energy.assumptions[0]


def test_large_weights_lie_in_memory_far_away():
    model = EnergyModel()
    names = [model.memory_for(size).name for size in (8 << 10, (8 << 10) + 1, 1 << 20, 1 << 21)]
    assert names == ["SRAM of 8 KiB", "SRAM of 32 KiB", "SRAM of 1 MiB", "DRAM"]
    low, high = estimate(counted(file_of(dense_net(512, 512, inputs=(512,))))).weights
    assert high == pytest.approx(2 * low)


def test_a_ticket_is_held_against_its_dense_network():
    content = file_of(dense_net(32, 8, density=0.1, inputs=(64,)))
    table = compare(counted(content), counted(sparse(content, "csr")))
    rows = {row.name: row for row in table.rows}
    computed = rows["multiply-adds computed"]
    assert computed.ratio == pytest.approx(computed.dense / computed.ticket)
    assert computed.ratio > 5
    assert rows["multiply-adds in the layers"].ratio == 1
    assert rows["estimated energy of arithmetic"].ratio == pytest.approx(computed.ratio)
    assert json.loads(json.dumps(table.to_dict()))["rows"][0]["dense"] == 64 * 32 + 32 * 8


def test_fitting_just_into_a_memory_is_told_apart_from_doing_less():
    model = dense_net(48, 48, density=0.05, inputs=(48,))  # 18,816 bytes, some 1,500 as CSR
    dense, ticket = (counted(c) for c in (file_of(model), sparse(file_of(model), "csr")))
    table = compare(dense, ticket)
    rows = {row.name: row for row in table.rows}
    assert dense.weight_bytes > 8 << 10 > ticket.weight_bytes
    same = rows["estimated energy in the same memories, low"].ratio
    own = rows["estimated energy in the smallest memories, low"].ratio
    assert 1 < same < max(rows["weights read"].ratio, rows["multiply-adds computed"].ratio)
    assert own > 1.5 * same
    assert "In the same memories: all weights that are read are in SRAM of 32 KiB." in (
        table.assumptions
    )
    assert "Ticket: all weights that are read are in SRAM of 8 KiB." in table.assumptions
    assert "Activations are in SRAM of 8 KiB." in table.assumptions


def test_what_is_not_known_is_said():
    recurrent = file_of(sequential(layers.GRU(3), layers.Dense(2), shape=(4, 3)))
    cost = counted(recurrent)
    assert cost.uncounted == ("WHILE",)
    assert "Not counted: WHILE" in estimate(cost).assumptions[-1]
