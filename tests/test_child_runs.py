"""Processes of our own that are waited for: what is said of their end."""

import shutil
from pathlib import Path

import pytest

import tfticket
from tfticket.children import ChildError, ChildTimeoutError, run

pytestmark = pytest.mark.slow

PACKAGE = Path(tfticket.__file__).parent
MODULE = "tfticket._tried_in_a_test"


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    """A tfticket that nothing but its place tells of, with a module that does what a test says."""
    package = tmp_path / "here" / "tfticket"
    package.mkdir(parents=True)
    shutil.copy(PACKAGE / "children.py", package)
    (package / "__init__.py").write_text("")
    children = package / "children.py"
    monkeypatch.setattr("tfticket.children.__file__", str(children))

    def write(source):
        (package / "_tried_in_a_test.py").write_text(source)

    return write


def test_a_child_imports_the_tfticket_of_its_parent(own_package, tmp_path, monkeypatch):
    own_package("import sys, tfticket\nprint(tfticket.__file__, *sys.argv[1:], file=sys.stderr)")
    monkeypatch.chdir(tmp_path)  # from where it can't be found
    said = run(MODULE, "a", "b c", timeout=60)
    assert said.strip() == f"{tmp_path}/here/tfticket/__init__.py a b c"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys; sys.exit('The file is broken.')", r"^The file is broken\.$"),
        ("import sys; sys.exit(3)", r"^it ended with status 3\.$"),
        ("1 / 0", r"ZeroDivisionError: division by zero\.$"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"ended by SIGSEGV\.$"),
        ("import os, sys; print('Why', file=sys.stderr, flush=True); os.abort()", r"SIGABRT: Why"),
        ("print('x' * 5000, file=__import__('sys').stderr); exit(1)", r"^x{500} \.\.\.$"),
        ("input()", "EOFError"),
    ],
)
def test_the_end_of_a_child_is_told_in_a_sentence(own_package, source, reason):
    own_package(source)
    with pytest.raises(ChildError, match=reason):
        run(MODULE, timeout=60)


def test_a_child_that_takes_too_long_is_ended(own_package):
    own_package("import time; time.sleep(600)")
    with pytest.raises(ChildTimeoutError, match=r"longer than 0\.3 s"):
        run(MODULE, timeout=0.3)


def test_a_child_that_computes_for_too_long_is_ended(own_package):
    own_package("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)")
    with pytest.raises(ChildTimeoutError, match="computed for longer"):
        run(MODULE, timeout=60)


def test_variables_of_the_parent_are_kept(own_package, monkeypatch):
    own_package("import os, sys; sys.stderr.write(os.environ['A'] + os.environ['B'])")
    monkeypatch.setenv("A", "1")
    monkeypatch.setenv("B", "1")
    assert run(MODULE, timeout=60, environment={"B": "2"}) == "12"
