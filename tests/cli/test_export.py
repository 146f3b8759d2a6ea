import pytest

from tfticket.cli import main


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["."], 1, "must be a directory with a recipe.json"),
        (["nowhere"], 2, "does not exist"),
        ([".", "--format", "fp8"], 2, "'fp8' is not one of"),
        ([".", "--level", "-1"], 2, "--level"),
    ],
)
def test_wrong_arguments_are_told_before_tensorflow_starts(
    tmp_path, monkeypatch, capsys, arguments, status, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == status
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
