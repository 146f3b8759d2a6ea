import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tfticket import __version__
from tfticket.cli import cli, main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


def commands(group=cli, path=()):
    """Every command and group, with the words that call it."""
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


EACH = pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*found, id=" ".join(found[0])) for found in commands()]
)


@EACH
def test_every_command_has_help(path, command, capsys):
    assert main([*path, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: {' '.join(('tfticket', *path))}")
    assert command.help


@EACH
def test_every_option_has_help_and_every_listing_has_json(path, command):
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert [option.name for option in options if not option.help] == []
    if path and path[-1] in ("list", "show"):
        assert "--json" in [name for option in options for name in option.opts]


@pytest.mark.parametrize("group", [[], ["recipe"], ["runs"], ["ticket"], ["norms"], ["noise"]])
def test_short_help_of_a_group_is_not_cut_off(group, capsys):
    main([*group, "--help"])
    assert "..." not in capsys.readouterr().out.replace("[ARGS]...", "")


def test_version(capsys):
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nonsense"], ["recipe", "run"], ["recipe", "--nonsense"]])
def test_wrong_usage_is_status_2(arguments, capsys):
    assert main(arguments) == 2
    assert "Usage:" in capsys.readouterr().err


def test_an_error_of_ours_is_status_1_and_has_no_traceback(capsys):
    assert main(["recipe", "show", "nonsense"]) == 1
    streams = capsys.readouterr()
    assert streams.err.startswith("Error: A recipe must be")
    assert "Traceback" not in streams.err
    assert streams.out == ""


def run_python(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, **kwargs
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["recipe", "list"], ["recipe", "show", "lth_digits"], ["recipe"]]
)
def test_what_answers_at_once_imports_nothing_that_takes_long(arguments):
    code = f"""
import sys
from tfticket.cli import main
status = main({arguments})
slow = {{"tensorflow", "keras", "numpy", "matplotlib", "rich", "scipy", "sklearn", "pydantic"}}
print(sorted(slow & sys.modules.keys()), file=sys.stderr)
sys.exit(status)
"""
    done = run_python("-c", code)
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_checking_a_recipe_imports_no_tensorflow():
    code = """
import sys
from tfticket.cli import main
status = main(["recipe", "check"])
print(sorted({"tensorflow", "keras", "numpy"} & sys.modules.keys()), file=sys.stderr)
sys.exit(status)
"""
    done = run_python("-c", code)
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_python_m_is_the_same_command():
    done = run_python("-m", "tfticket", "recipe", "show", "nonsense")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")


def test_a_reader_that_has_enough_is_no_error():
    read, write = os.pipe()
    os.close(read)  # the reader is gone before anything is written
    done = subprocess.run(
        [sys.executable, "-m", "tfticket", "recipe", "show", "lth_digits"],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def in_a_process(*arguments, **streams):
    return subprocess.run(
        [sys.executable, "-m", "tfticket", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )


@pytest.mark.parametrize("arguments", [["recipe", "list"], ["--help"], ["completion", "bash"]])
def test_output_on_a_full_disk_is_told_in_a_sentence(arguments):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = in_a_process(*arguments, stdout=full)
    assert done.returncode == 1
    assert (
        done.stderr
        == "Error: the output can't be written: No space left on device. Send it elsewhere.\n"
    )


@pytest.mark.parametrize("buffered", [True, False])
def test_errors_on_a_full_disk_have_their_status_all_the_same(buffered):
    environment = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = in_a_process("recipe", "show", "nonsense", stderr=full, env=environment)
    assert done.returncode == 1


def test_a_language_that_lacks_letters_is_no_error(tmp_path):
    (tmp_path / "r\u00e4t.toml").write_text('title = "\u2192 \U0001f600"', encoding="utf-16-le")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = in_a_process("recipe", "check", str(tmp_path / "r\u00e4t.toml"), env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_a_folder_of_somebody_else_is_told_in_a_sentence(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/elsewhere/runs")

    monkeypatch.setattr("tfticket.runs.runs.list_runs", refuse)
    assert main(["runs", "list", "--runs", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "Error: `/elsewhere/runs` can't be used: Permission denied.\n"
