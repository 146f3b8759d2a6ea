import math

import numpy as np
import pytest
import synthetic_runs

from tfticket.lottery import analysis
from tfticket.lottery.ticket import Ticket
from tfticket.report.reading import read_run
from tfticket.studies.lottery.anatomy import dissect


def copy_of(tmp_path, **options):
    return synthetic_runs.write_lottery(
        tmp_path / "run", seeds=(0, 1), levels=2, controls=(), steps=600, **options
    )


def test_the_tickets_of_a_run(run):
    found = dissect(read_run(run), [0, 3, 6])
    assert [level.level for level in found.levels] == [0, 3, 6]
    assert found.seed == 0
    assert found.unreadable == ()
    assert list(found.densities) == list(range(7))
    mask = Ticket.load_mask(run / "seeds/seed_0/ticket/level_06.npz")
    last = found.levels[-1]
    assert last.mask == mask
    assert found.densities[6] == analysis.layer_densities(mask)
    assert len(last.overlaps) == 3
    assert all(overlap.ratio > 1.2 for overlap in last.overlaps)
    assert last.connected == pytest.approx(1.0, abs=0.2)
    assert last.dead["dense1/kernel"].dead_out is not None
    assert 0.6 < last.sign_share < 0.95
    assert found.pictures[6].shape == (8, 8, 1)
    np.testing.assert_allclose(found.pictures[6].ravel(), mask["dense1/kernel"].mean(axis=1))


def test_levels_without_a_file_are_passed_over(run):
    assert [level.level for level in dissect(read_run(run), [1, 40]).levels] == [1]


def test_a_network_of_unknown_order_has_no_paths(tmp_path):
    run = copy_of(tmp_path, recipe={"model": {"name": "resnet20"}})
    level = dissect(read_run(run), [2]).levels[0]
    assert level.connected is None
    assert all(found.dead_out is None for found in level.dead.values())


def test_filters_are_pictures_too(tmp_path):
    run = copy_of(tmp_path, shapes={"conv1/kernel": (3, 3, 3, 8), "output/kernel": (8, 10)})
    pictures = dissect(read_run(run), [1, 2]).pictures
    assert {level: picture.shape for level, picture in pictures.items()} == {
        1: (3, 3, 3),
        2: (3, 3, 3),
    }


def test_a_kernel_that_does_not_see_the_images_gives_no_picture(tmp_path):
    shapes = {"conv2/kernel": (3, 3, 16, 8), "output/kernel": (8, 10)}
    run = copy_of(tmp_path, shapes=shapes, input_shape=[32, 32, 3])
    assert dissect(read_run(run), [1]).pictures == {}
    run = copy_of(tmp_path / "dense", shapes={"dense/kernel": (60, 8)}, input_shape=None)
    assert dissect(read_run(run), [1]).pictures == {}


def test_square_images_are_recognized_without_being_told(tmp_path):
    run = copy_of(tmp_path, shapes={"dense/kernel": (3 * 25, 8)}, input_shape=None)
    assert dissect(read_run(run), [1]).pictures[1].shape == (5, 5, 3)


def test_weights_that_were_not_kept_have_no_signs(tmp_path):
    run = copy_of(tmp_path)
    (run / "seeds/seed_0/ticket/level_01.final.npz").unlink()
    level = dissect(read_run(run), [1]).levels[0]
    assert level.signs == {}
    assert math.isnan(level.sign_share)


def test_a_damaged_ticket_is_reported_and_left_out(tmp_path):
    run = copy_of(tmp_path)
    damaged = run / "seeds/seed_1/ticket/level_02.npz"
    damaged.write_bytes(damaged.read_bytes()[:200])
    found = dissect(read_run(run), [0, 1, 2])
    assert len(found.unreadable) == 1
    assert "level_02.npz" in found.unreadable[0]
    assert [len(level.overlaps) for level in found.levels] == [1, 1, 0]


def test_damaged_final_weights_are_reported(tmp_path):
    run = copy_of(tmp_path)
    (run / "seeds/seed_0/ticket/level_01.final.npz").write_bytes(b"no archive")
    found = dissect(read_run(run), [1])
    assert "level_01.final.npz" in found.unreadable[0]
    assert found.levels[0].signs == {}


def test_no_tickets_no_anatomy(tmp_path):
    (tmp_path / "recipe.json").write_text("{}")
    assert dissect(read_run(tmp_path), [0]) is None
