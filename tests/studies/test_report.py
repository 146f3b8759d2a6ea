import pytest

from tfticket.studies.report import portable


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("tfticket recipe run x --seeds 0-4", "tfticket recipe run x --seeds 0-4"),
        ("tfticket recipe run x --runs /a/b --smoke", "tfticket recipe run x --smoke"),
        ("tfticket recipe run x --data-dir ../data --runs=/a/b", "tfticket recipe run x"),
        ("/opt/venv/bin/tfticket recipe run /home/me/x.toml", "tfticket recipe run x.toml"),
        ("tfticket recipe run x --set model.file='/home/me/n.keras'",
         "tfticket recipe run x --set model.file=n.keras"),
        ("tfticket recipe run x --set a.b=8_000", "tfticket recipe run x --set a.b=8_000"),
    ],
)  # fmt: skip
def test_a_command_is_shown_without_folders_of_a_machine(command, shown):
    assert portable(command.split()) == shown.split()
