import os
import subprocess
import sys

import pytest
import traps

from tfticket import children

pytestmark = pytest.mark.slow


def start(command, folder):
    # Without what the tests were started with: tfticket must be found all the same.
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env=kept, capture_output=True, text=True, check=False
    )


def test_a_child_is_this_tfticket_and_nothing_of_the_current_folder(tmp_path):
    snapped = traps.lay(tmp_path)
    (tmp_path / "tfticket").mkdir()
    (tmp_path / "tfticket" / "__init__.py").write_text("raise SystemExit('another tfticket ran')")
    done = start(children.command("tfticket", "--version"), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tfticket, version")
    assert not snapped.exists()


def test_arguments_arrive():
    done = start(children.command("tfticket", "recipe", "show", "nonsense"), None)
    assert done.returncode == 1
    assert "nonsense" in done.stderr


@pytest.mark.parametrize("name", ["click", "pydantic", "numpy"])
def test_python_m_takes_no_library_from_the_current_folder(name, tmp_path):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('code of the folder ran')")
    package = os.path.dirname(os.path.dirname(children.__file__))  # noqa: PTH120
    done = subprocess.run(
        [sys.executable, "-m", "tfticket", "recipe", "check", "lth_digits"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "lth_digits: valid\n")
