import shutil
from pathlib import Path

import pytest

from tfticket.errors import RecipeError
from tfticket.recipe import catalog


def test_the_folder_is_the_list():
    files = sorted(path.stem for path in catalog.builtin_root().iterdir())
    assert [entry.name for entry in catalog.list_recipes()] == files
    assert all(entry.title for entry in catalog.list_recipes())


def test_a_name_finds_the_built_in_recipe():
    assert catalog.find("lth_digits") == catalog.builtin_root() / "lth_digits.toml"


def test_a_path_finds_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(catalog.find("lth_digits"), tmp_path / "mine.toml")
    assert catalog.find("mine.toml") == Path("mine.toml")
    assert catalog.find(tmp_path / "mine.toml") == tmp_path / "mine.toml"


def test_an_unknown_name_comes_with_the_near_ones_and_all():
    with pytest.raises(RecipeError, match=r"Did you mean lth_digits.*Built-in: coteaching_c"):
        catalog.find("lth_digts")


@pytest.mark.parametrize("path", ["mine.toml", "recipes/lth_digits", "./lth_digits.toml"])
def test_a_path_that_does_not_exist_is_told_as_one(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="no such file"):
        catalog.find(path)
