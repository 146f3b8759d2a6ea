"""The default executor of a run."""

import functools
import os

import pytest
import tiny_noisy
import tiny_norms
import tiny_recipe

from tfticket.machine import available_memory
from tfticket.recipe.rates import load_data
from tfticket.runner import Processes, Serial, pool, suited
from tfticket.runs.rundir import RunDir
from tfticket.studies.study import make_study

LONG = (
    "train.steps=10_000",
    "train.jit=auto",
    "data.limit=100",
    "data.batch_size=32",
    "data.validation=100",
    "seeds=[0, 1, 2]",
    "model.width=0.1",
)


small_data = functools.cache(load_data)


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(pool, "usable_cores", lambda: 4)
    monkeypatch.setattr(pool, "available_memory", lambda: float("inf"))
    monkeypatch.setattr(pool, "only_cpus", lambda: True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)))


@pytest.fixture
def chosen(tmp_path):
    def choose(recipe):
        return suited(
            make_study(recipe, small_data(recipe.data), None),
            RunDir(tmp_path / "run"),
        )

    return choose


def jobs(executor):
    return executor.jobs if isinstance(executor, Processes) else type(executor)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], 3),  # one for each seed
        (["seeds=[0]"], Serial),
        (["seeds=[0]", "controls.reinit=true"], Serial),
        (["seeds=[0]", "controls.reinit=3"], 3),
        (["seeds=[0, 1, 2, 3, 4]"], 4),
        (["train.steps=1000"], Serial),
        (["train.jit=false"], Serial),
        (["model={name='conv2', width=0.1}"], Serial),
        (["train.distribute=mirrored"], Serial),
    ],
)
def test_long_searches_of_dense_networks_get_processes(chosen, changes, expected):
    assert jobs(chosen(tiny_recipe.recipe(*LONG, *changes))) == expected


@pytest.mark.parametrize("tiny", [tiny_norms, tiny_noisy])
def test_other_kinds_do_too(chosen, tiny):
    dense = ("model={name='lenet_300_100', width=0.1}", "train.jit=auto", "seeds=[0, 1, 2, 3]")
    assert jobs(chosen(tiny.recipe("train.steps=10_000", *dense))) == 4
    assert jobs(chosen(tiny.recipe("train.steps=10", *dense))) is Serial


def test_memory_rules_how_many_there_are(chosen, monkeypatch):
    for gigabytes, expected in ((4, 2), (2, Serial)):
        monkeypatch.setattr(pool, "available_memory", lambda size=gigabytes: size * 2.0**30)
        assert jobs(chosen(tiny_recipe.recipe(*LONG))) == expected


def test_a_system_without_affinities_has_one_process(chosen, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert jobs(chosen(tiny_recipe.recipe(*LONG))) is Serial


def test_other_devices_than_processors_are_for_one_process(chosen, monkeypatch):
    monkeypatch.setattr(pool, "only_cpus", lambda: False)
    assert jobs(chosen(tiny_recipe.recipe(*LONG))) is Serial


def test_what_is_finished_needs_no_process(chosen, monkeypatch):
    finished = {(seed, "ticket", level) for seed in (0, 1) for level in range(3)}
    monkeypatch.setattr(RunDir, "finished", lambda self, *place: place in finished)
    assert jobs(chosen(tiny_recipe.recipe(*LONG))) is Serial


def test_there_is_memory():
    assert 2**20 < available_memory() <= float("inf")
