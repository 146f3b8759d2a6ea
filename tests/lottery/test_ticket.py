import dataclasses

import keras
import numpy as np
import pytest
from helpers import batch, mlp

from tfticket.errors import MaskError, ModelError, TicketError
from tfticket.files import write_arrays
from tfticket.lottery.ticket import Ticket
from tfticket.sparsity.mask import Mask
from tfticket.state import named_variables, prunable_variables

WEIGHTS = {
    "conv/kernel": np.arange(1, 13, dtype="float32").reshape(3, 4),
    "conv/bias": np.array([1.0, -1.0, 0.0, 2.0], "float32"),
    "output/kernel": np.full((4, 2), -0.5, "float16"),
    "drop/seed_generator_state": np.array([3, 4], "uint32"),
}
MASK = Mask({"conv/kernel": np.eye(3, 4), "output/kernel": np.tri(4, 2)})


def ticket(**changes):
    content = {
        "mask": MASK,
        "weights": WEIGHTS,
        "level": 2,
        "rewind_step": 500,
        "provenance": {"recipe": "lth_digits", "seed": 0},
    }
    return Ticket(**{**content, **changes})


def test_pruned_weights_are_positive_zeros():
    weights = ticket().weights
    np.testing.assert_array_equal(weights["conv/kernel"], np.eye(3, 4) * WEIGHTS["conv/kernel"])
    assert not np.signbit(weights["output/kernel"][~MASK["output/kernel"]]).any()
    np.testing.assert_array_equal(weights["conv/bias"], WEIGHTS["conv/bias"])
    assert WEIGHTS["conv/kernel"].all()


def test_there_and_back(tmp_path):
    saved = ticket()
    loaded = Ticket.load(saved.save(tmp_path / "level_02.npz"))
    assert loaded.mask == MASK
    assert list(loaded.weights) == list(WEIGHTS)
    for key, array in saved.weights.items():
        np.testing.assert_array_equal(loaded.weights[key], array)
        assert loaded.weights[key].dtype == array.dtype
    assert (loaded.level, loaded.rewind_step) == (2, 500)
    assert loaded.provenance == saved.provenance
    assert loaded.sha256 == saved.sha256
    assert Ticket.load_mask(tmp_path / "level_02.npz") == MASK


def test_only_survivors_are_stored(tmp_path):
    noise = np.random.default_rng(0).random((200, 200)).astype("float32")
    sparse = np.zeros((200, 200), bool)
    sparse[:2] = True
    sizes = [
        ticket(mask=Mask({"fc/kernel": mask}), weights={"fc/kernel": noise})
        .save(tmp_path / "ticket.npz")
        .stat()
        .st_size
        for mask in (np.ones_like(sparse), sparse)
    ]
    assert sizes[1] < 0.05 * sizes[0]


def test_the_hash_is_of_the_subnetwork_not_of_its_story():
    sha256 = ticket().sha256
    assert ticket(provenance={}).sha256 == sha256
    other = {**WEIGHTS, "conv/kernel": -WEIGHTS["conv/kernel"]}
    for changes in (
        {"level": 3},
        {"rewind_step": 0},
        {"weights": other},
        {"mask": Mask({"conv/kernel": np.eye(3, 4)})},
    ):
        assert ticket(**changes).sha256 != sha256
    pruned_only = np.where(MASK["conv/kernel"], WEIGHTS["conv/kernel"], 9)
    assert ticket(weights={**WEIGHTS, "conv/kernel": pruned_only}).sha256 == sha256


def test_mask_and_weights_must_fit():
    with pytest.raises(MaskError, match=r"Missing: \['output/kernel'\]"):
        ticket(weights={"conv/kernel": WEIGHTS["conv/kernel"]})
    with pytest.raises(MaskError, match=r"\(4, 3\), its mask \(3, 4\)"):
        ticket(weights={**WEIGHTS, "conv/kernel": np.ones((4, 3))})


def test_a_ticket_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ticket().level = 3


@pytest.mark.parametrize("read", [Ticket.load, Ticket.load_mask])
def test_files_that_are_no_tickets(tmp_path, read):
    path = ticket().save(tmp_path / "ticket.npz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(TicketError, match="Copy it again"):
        read(path)
    write_arrays(path, kind="snapshot", header={}, arrays={})
    with pytest.raises(TicketError, match="kind 'snapshot'"):
        read(path)
    with pytest.raises(TicketError, match="no such file"):
        read(tmp_path / "absent.npz")


@pytest.mark.parametrize("read", [Ticket.load, Ticket.load_mask])
@pytest.mark.parametrize(
    "header",
    [
        {},
        {"mask_keys": ["a"], "keys": ["a"], "level": 0, "rewind_step": 0, "provenance": {}},
    ],
)
def test_a_whole_file_that_says_what_it_does_not_hold(tmp_path, read, header):
    path = write_arrays(tmp_path / "ticket.npz", kind="ticket", header=header, arrays={})
    with pytest.raises(TicketError, match="must hold a mask"):
        read(path)


@pytest.mark.parametrize("read", [Ticket.load, Ticket.load_mask])
@pytest.mark.parametrize(
    ("header", "arrays"),
    [
        ({"mask_keys": None}, {}),
        ({"mask_keys": [1]}, {}),
        ({"mask_keys": {"a": 1}}, {}),
        ({}, {"mask:a:shape": np.array(3)}),
        ({}, {"mask:a:shape": np.array([np.inf])}),
        ({}, {"mask:a:shape": np.array([-1, -8])}),
        ({}, {"mask:a:bits": np.array([255.0])}),
        ({}, {"mask:a:bits": np.array([255, 255], "uint16")}),
        ({}, {"mask:a:bits": np.zeros((1, 1), "uint8"), "mask:a:shape": np.array([2**62, 4])}),
    ],
)
def test_masks_of_wrong_types_with_a_right_hash(tmp_path, read, header, arrays):
    with pytest.raises(TicketError, match="must hold a mask and the weights it keeps"):
        read(foreign(tmp_path, header, arrays))


@pytest.mark.parametrize(
    ("header", "arrays"),
    [
        ({"level": "3"}, {}),
        ({"level": -1}, {}),
        ({"level": 1.5}, {}),
        ({"level": float("inf")}, {}),
        ({"level": float("nan")}, {}),
        ({"level": True}, {}),
        ({"rewind_step": None}, {}),
        ({"provenance": 3}, {}),
        ({"provenance": "text"}, {}),
        ({"keys": 3}, {}),
        ({"keys": [["a"]]}, {}),
        ({}, {"weight:a": np.array(["x"] * 8)}),
        ({}, {"weight:a": np.zeros(8, [("x", "f4")])}),
        ({}, {"weight:a": np.zeros((2, 4))}),
    ],
)
def test_tickets_of_wrong_types_with_a_right_hash(tmp_path, header, arrays):
    with pytest.raises(TicketError, match=r"must hold a mask and|is not a ticket file") as caught:
        Ticket.load(foreign(tmp_path, header, arrays))
    assert len(str(caught.value)) < 600


def foreign(folder, header, arrays):
    """A ticket of eight weights with a few things in it changed, and the hash of all that."""
    usual = {"mask_keys": ["a"], "keys": ["a"], "level": 1, "rewind_step": 0, "provenance": {}}
    content = {
        "mask:a:bits": np.array([255], "uint8"),
        "mask:a:shape": np.array([8]),
        "weight:a": np.ones(8, "float32"),
    }
    return write_arrays(
        folder / "a.npz", kind="ticket", header={**usual, **header}, arrays={**content, **arrays}
    )


def test_what_is_foreign_in_no_way_is_read(tmp_path):
    assert Ticket.load(foreign(tmp_path, {}, {})).mask.kept == 8
    assert Ticket.load(foreign(tmp_path, {"level": 2.0}, {})).level == 2


def test_a_mask_that_unpacks_to_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tfticket.lottery.ticket.available_memory", lambda: 30.0)
    with pytest.raises(TicketError, match="its weights take about 40 bytes of memory"):
        Ticket.load_mask(foreign(tmp_path, {}, {"mask:a:shape": np.zeros(0, "uint8")}))


def test_weights_that_are_not_as_many_as_the_mask_keeps(tmp_path):
    packed = {f"mask:{name}": array for name, array in MASK.to_arrays().items()}
    stored = {"weight:conv/kernel": np.ones(2), "weight:output/kernel": np.ones(7)}
    header = {"mask_keys": list(MASK), "keys": list(MASK), "level": 0, "rewind_step": 0}
    path = write_arrays(
        tmp_path / "ticket.npz",
        kind="ticket",
        header={**header, "provenance": {}},
        arrays={**packed, **stored},
    )
    with pytest.raises(TicketError, match="must hold a mask and the weights it keeps"):
        Ticket.load(path)


@pytest.mark.slow
class TestAnotherInitialization:
    """A ticket moved to the weights of another network."""

    @staticmethod
    def network(seed):
        keras.utils.set_random_seed(seed)
        return mlp()

    @pytest.fixture
    def found(self):
        model = self.network(0)
        kernels = {key: v.numpy() for key, v in prunable_variables(model).items()}
        mask = Mask({key: array > 0 for key, array in kernels.items()})
        result = {"at_early_stop": {"accuracy": 0.9}}
        return Ticket(mask, kernels, 3, 0, {"seed": 0, "result": result})

    @pytest.mark.parametrize("by", ["weights", "activations"])
    def test_the_mask_follows_the_units(self, found, by):
        source, target, start = self.network(0), self.network(0), self.network(1)
        order = np.array([1, 2, 0, 4, 3])
        made, bias = source.layers[0].get_weights()
        target.layers[0].set_weights([made[:, order], bias])
        read, bias = source.layers[1].get_weights()
        target.layers[1].set_weights([read[order], bias])
        x = batch()[0] if by == "activations" else None
        moved = found.aligned_to(start, source=source, target=target, by=by, inputs=x)
        kept = found.mask["hidden_0/kernel"][:, order]
        np.testing.assert_array_equal(moved.mask["hidden_0/kernel"], kept)
        np.testing.assert_array_equal(
            moved.weights["hidden_0/kernel"], start.layers[0].get_weights()[0] * kept
        )
        assert (moved.level, moved.rewind_step, moved.provenance) == (3, 0, {"seed": 0})

    def test_signs_stay(self, found):
        start = self.network(1)
        moved = found.with_magnitudes_of(start)
        assert moved.mask == found.mask
        for key, kept in found.mask.items():
            new = named_variables(start)[key].numpy()
            np.testing.assert_array_equal(moved.weights[key], np.abs(new) * kept)

    def test_another_width_is_refused(self, found):
        wider = mlp((6, 7, 4, 3))
        with pytest.raises(MaskError, match="hidden_0/kernel"):
            found.with_magnitudes_of(wider)
        model = self.network(0)
        with pytest.raises(ModelError, match="same widths"):
            found.aligned_to(model, source=model, target=wider)
        with pytest.raises(MaskError, match="hidden_0/kernel"):
            found.aligned_to(wider, source=model, target=model)
