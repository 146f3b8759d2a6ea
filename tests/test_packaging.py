"""What an installed tfticket can do that a checkout can't show."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A wheel, built and unpacked as pip does it."""
    folder = tmp_path_factory.mktemp("wheel")
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    site = folder / "site"
    zipfile.ZipFile(folder / done.stdout.splitlines()[-1]).extractall(site)
    return site


def test_the_wheel_holds_the_package_and_the_recipes_and_nothing_else(installed):
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"tfticket"}
    shipped = {path.name for path in (installed / "tfticket" / "_recipes").iterdir()}
    assert shipped == {path.name for path in (ROOT / "recipes").iterdir()}
    assert (installed / "tfticket" / "py.typed").is_file()


def test_an_installed_tfticket_lists_its_recipes_anywhere(installed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tfticket", "recipe", "list"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert listed == sorted(path.stem for path in (ROOT / "recipes").glob("*.toml"))
