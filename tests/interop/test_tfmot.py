import dataclasses
import json
import re
import zipfile

import keras
import numpy as np
import pytest
from helpers import leaked, values
from legacy_files import SPARSITIES

from tfticket.errors import ModelError, RunError
from tfticket.interop import compatibility, import_tfmot
from tfticket.interop.tfmot import ImportReport
from tfticket.lottery import Ticket
from tfticket.lottery.transfer import transfer
from tfticket.sparsity import LayerwisePruner, Mask, get_mask

pytestmark = pytest.mark.slow

NETWORKS = ("wrapped.h5", "sequence.keras", "each_layer.keras")
ROUNDED_ELSEWHERE = ("half/kernel", "ties/kernel")


def pruned_here(legacy):
    """The mask that `LayerwisePruner` makes of the weights that tfmot pruned."""
    before = np.load(legacy / "before.npz")
    mask = {}
    for name, sparsity in SPARSITIES.items():
        scores, dense = {name: np.abs(before[name])}, Mask.ones({name: before[name].shape})
        mask[name] = LayerwisePruner().prune(scores, dense, sparsity)[name]
    return mask


def test_tfmot_and_the_layerwise_pruner_give_the_same_mask(brought, legacy):
    mask, here = brought("wrapped.h5").ticket.mask, pruned_here(legacy)
    assert {key.split("/")[-2] for key in mask} == set(SPARSITIES)
    same = [key for key in mask if np.array_equal(mask[key], here[key.split("/")[-2]])]
    assert same == [key for key in mask if key not in ROUNDED_ELSEWHERE]


def test_where_tfmot_and_the_layerwise_pruner_differ(brought, legacy):
    counts, here = brought("wrapped.h5").ticket.mask.counts(), pruned_here(legacy)
    # 33 weights at 0.5: tfmot keeps round(16.5) = 16, the pruner prunes as many.
    assert (counts["half/kernel"], np.count_nonzero(here["half"])) == (16, 17)
    # tfmot keeps all that equal the last one to keep, the pruner the earlier ones.
    assert (counts["ties/kernel"], np.count_nonzero(here["ties"])) == (12, 6)


def test_a_stripped_model_has_the_mask_of_its_wrappers(brought):
    wrapped, stripped = brought("wrapped.h5"), brought("stripped.h5")
    assert (wrapped.report.mask_from, stripped.report.mask_from) == ("wrappers", "zeros")
    # What kept all its weights has no zeros to tell that it was pruned.
    assert wrapped.ticket.mask.keys() - stripped.ticket.mask.keys() == {"ties/kernel"}
    for key, kept in stripped.ticket.mask.items():
        np.testing.assert_array_equal(kept, wrapped.ticket.mask[key])
    assert stripped.ticket.rewind_step == 0


def test_weights_that_leaked_under_the_masks_are_cleared(brought):
    found = brought("wrapped.h5")
    mask = found.ticket.mask
    assert found.report.cleared == mask.total - mask.kept > 0
    assert leaked(found.model, mask) == 0
    for key, weights in values(found.model).items():
        np.testing.assert_array_equal(weights, found.ticket.weights[key])


def test_names_steps_and_origin_are_told(brought):
    found = brought("wrapped.h5")
    assert found.report.renamed == {"block/conv": "block_conv", "block/norm": "block_norm"}
    assert found.report.left_behind[0] == "the optimizer SGD and its state"
    assert (found.ticket.level, found.ticket.rewind_step) == (1, 3)
    origin = found.ticket.provenance
    assert (origin["imported_from"], origin["mask_from"]) == ("wrapped.h5", "wrappers")
    settings = {
        each["layers"][0]: each["schedule"]["config"]["target_sparsity"]
        for each in origin["pruning"]
    }
    assert settings["head/prune_low_magnitude_hidden"] == 0.88
    assert origin["versions"].keys() >= {"tf_keras", "tensorflow_model_optimization"}


def test_recurrent_kernels_are_masked_and_embeddings_only_zero(brought):
    found = brought("sequence.keras")
    assert isinstance(found.model, keras.Sequential)
    assert set(found.ticket.mask) == {
        "lstm/lstm_cell/kernel",
        "lstm/lstm_cell/recurrent_kernel",
        "output/kernel",
    }
    assert found.report.unmasked == ("embedding/embeddings",)
    rows = found.model.get_layer("embedding").embeddings.numpy()
    assert np.count_nonzero(rows) == rows.size // 2


def test_each_layer_of_the_catalog_is_brought(brought):
    layers = [
        layer for name in NETWORKS for layer in brought(name).model._flatten_layers(recursive=True)
    ]
    assert compatibility.LAYERS - {type(layer).__name__ for layer in layers} == set()
    for name in NETWORKS:
        assert brought(name).report.max_difference <= 1e-5


def test_nearly_each_layer_is_compared(legacy, reader):
    content = reader(legacy / "each_layer.keras", None, timeout=0)
    without = {layer.path[-1] for layer in content.layers if not layer.samples}
    assert without == {"crossed", "subtract_1"}  # in a network that is called twice
    lstm = next(layer for layer in content.layers if layer.path == ("lstm",))
    assert [sample.size for sample in lstm.samples] == [24, 24, 24]  # output and states


def test_frozen_layers_constraints_and_names_of_inputs_are_kept(brought):
    model = brought("each_layer.keras").model
    assert not model.get_layer("time_distributed").layer.trainable
    assert isinstance(model.get_layer("dense").kernel_constraint, keras.constraints.MaxNorm)
    assert {name: tensor.name for name, tensor in model.input.items()} == {
        name: name for name in ("picture", "series", "volume", "numbers", "indices")
    }


def test_the_ticket_trains_on_in_a_copy_of_the_model(brought):
    found = brought("wrapped.h5")
    moved = transfer(found.ticket, found.model)
    assert moved.misfits == {}
    assert get_mask(moved.model) == found.ticket.mask


def test_both_files_are_written_or_none(brought, tmp_path):
    found = brought("sequence.keras")
    model_path, ticket_path = found.save(tmp_path / "a.keras")
    assert ticket_path == tmp_path / "a.npz"
    assert Ticket.load(ticket_path).sha256 == found.ticket.sha256
    x = np.ones((2, 7))
    loaded = keras.saving.load_model(model_path)
    np.testing.assert_array_equal(loaded(x), found.model(x))
    with pytest.raises(RunError, match="could not be written"):
        found.save(tmp_path / "b.keras", tmp_path / "a.npz" / "b.npz")
    with pytest.raises(ModelError, match=r"must end in \.keras"):
        found.save(tmp_path / "c.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "a.npz"]


def test_a_model_that_is_not_pruned_is_no_ticket(legacy, reader, monkeypatch):
    def read_unpruned(path, file, *, timeout):
        content = reader(path, file, timeout=timeout)
        filled = [
            dataclasses.replace(layer, weights=tuple(np.ones_like(w) for w in layer.weights))
            for layer in content.layers
        ]
        return dataclasses.replace(content, layers=tuple(filled))

    monkeypatch.setattr("tfticket.interop.tfmot.read_in_child", read_unpruned)
    with pytest.raises(ModelError, match=r"stripped\.h5`, in which no kernel has a weight that is"):
        import_tfmot(legacy / "stripped.h5")


def test_the_module_that_a_configuration_names_is_never_imported(legacy, tmp_path, monkeypatch):
    with zipfile.ZipFile(legacy / "sequence.keras") as whole:
        entries = {name: whole.read(name) for name in whole.namelist()}
    evil = b'{"module": "snapped", "class_name": "function", "config": "relu"}'
    entries["config.json"] = re.sub(
        rb'"activation": "\w+"', b'"activation": ' + evil, entries["config.json"]
    )
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as made:
        for name, content in entries.items():
            made.writestr(name, content)
    (tmp_path / "snapped.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ModelError, match=r"names code that isn't in the file: snapped\.relu"):
        import_tfmot(tmp_path / "a.keras")
    assert not (tmp_path / "ran").exists()


PLAIN = {
    "source": "m.h5",
    "sha256": "0",
    "mask_from": "wrappers",
    "kept": {"a/kernel": 1},
    "total": {"a/kernel": 4},
    "cleared": 0,
    "unmasked": (),
    "left_behind": (),
    "renamed": {},
    "max_difference": 0.0,
    "versions": {},
}


def test_nothing_worth_a_remark_but_the_difference():
    report = ImportReport(**PLAIN)
    assert report.remarks() == ["Outputs differ by at most 0 on random inputs."]
    assert json.loads(json.dumps(report.to_dict()))["kept"] == {"a/kernel": 1}


def test_what_is_not_as_it_was_is_said():
    report = ImportReport(
        **PLAIN
        | {
            "mask_from": "zeros",
            "cleared": 1200,
            "unmasked": ("e/embeddings",),
            "left_behind": ("the loss",),
            "renamed": {"a/b": "a_b"},
        }
    )
    _, zeros, cleared, unmasked, renamed, left = report.remarks()
    assert zeros.startswith("The wrappers were stripped")
    assert cleared.startswith("1,200 pruned weights weren't zero")
    assert unmasked.startswith("Not masked: e/embeddings.")
    assert renamed == "Renamed: a/b is a_b."
    assert left == "Not imported: the loss."
