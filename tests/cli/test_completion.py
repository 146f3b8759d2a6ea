import pytest

from tfticket.cli import cli, main
from tfticket.cli.completion import complete_recipe


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_calls_us(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "_TFTICKET_COMPLETE" in capsys.readouterr().out


def test_recipes_are_completed_by_name_then_as_files():
    context = cli.make_context("tfticket", [], resilient_parsing=True)
    parameter = cli.params[0]
    items = complete_recipe(context, parameter, "lth_mnist")
    names = ["lth_mnist", "lth_mnist1d", "lth_mnist_long", "lth_mnist_paper"]
    assert [item.value for item in items] == names
    assert [item.type for item in complete_recipe(context, parameter, "./my")] == ["file"]
