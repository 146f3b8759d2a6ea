import json

import pytest
from tiny_recipe import TOML

from tfticket.cli import cli, main
from tfticket.cli.common import complete_recipe
from tfticket.recipe import catalog


def test_list_is_the_default(capsys):
    assert main(["recipe"]) == 0
    default = capsys.readouterr().out
    assert main(["recipe", "list"]) == 0
    assert capsys.readouterr().out == default
    assert default.splitlines()[0].startswith("coteaching_cifar10_sym50 ")


def test_list_as_json(capsys):
    assert main(["recipe", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == [e.name for e in catalog.list_recipes()]


def test_list_takes_its_options_where_it_is_not_named(capsys):
    assert main(["recipe", "--json"]) == 0
    default = capsys.readouterr().out
    assert main(["recipe", "list", "--json"]) == 0
    assert capsys.readouterr().out == default


def test_show_prints_the_file(capsys):
    assert main(["recipe", "show", "lth_digits"]) == 0
    assert capsys.readouterr().out == catalog.find("lth_digits").read_text()


def test_show_as_json_is_resolved(capsys):
    assert main(["recipe", "show", "lth_digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lottery"]["rewind"] == "weights"


def test_check_takes_all_built_in_ones_if_none_is_named(capsys):
    assert main(["recipe", "check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{entry.name}: valid" for entry in catalog.list_recipes()]


def test_check_tells_the_mistakes_of_all_files(tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(TOML.replace("steps", "stpes"))
    (tmp_path / "good.toml").write_text(TOML)
    files = [str(tmp_path / f"{name}.toml") for name in ("one", "good", "two")]
    assert main(["recipe", "check", *files]) == 1
    streams = capsys.readouterr()
    assert streams.out == f"{files[1]}: valid\n"
    assert streams.err.count("Did you mean `steps`?") == 2


@pytest.mark.parametrize("to_folder", [False, True])
def test_copy_makes_a_recipe_of_your_own(tmp_path, capsys, to_folder):
    target = tmp_path / "lth_digits.toml"
    assert main(["recipe", "copy", "lth_digits", str(tmp_path if to_folder else target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert target.read_bytes() == catalog.find("lth_digits").read_bytes()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mine.toml", "doesn't replace a file"),
        ("mine.txt", "doesn't end in .toml"),
        ("nowhere/mine.toml", "could not be written"),
    ],
)
def test_copy_refuses(tmp_path, capsys, target, message):
    (tmp_path / "mine.toml").write_text("precious")
    assert main(["recipe", "copy", "lth_digits", str(tmp_path / target)]) == 1
    assert message in capsys.readouterr().err
    assert (tmp_path / "mine.toml").read_text() == "precious"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_calls_us(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "_TFTICKET_COMPLETE" in capsys.readouterr().out


def test_recipes_are_completed_by_name_then_as_files():
    context = cli.make_context("tfticket", [], resilient_parsing=True)
    parameter = cli.params[0]
    items = complete_recipe(context, parameter, "lth_mnist_")
    names = ["lth_mnist_long", "lth_mnist_paper"]
    assert [item.value for item in items] == names
    assert [item.type for item in complete_recipe(context, parameter, "./my")] == ["file"]
