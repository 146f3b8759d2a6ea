import importlib
import subprocess
import sys

import pytest

from tfticket import machine


def test_a_package_is_hidden_for_a_while_only(tmp_path, monkeypatch):
    (tmp_path / "never_imported.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with machine._hidden(("never_imported",)), pytest.raises(ImportError):
        importlib.import_module("never_imported")
    assert "never_imported" not in sys.modules
    importlib.import_module("never_imported")
    del sys.modules["never_imported"]


def test_what_is_imported_already_stays():
    with machine._hidden(("pytest",)):
        assert importlib.import_module("pytest") is pytest
    assert sys.modules["pytest"] is pytest


def test_it_is_found_again_after_an_error():
    with pytest.raises(KeyError), machine._hidden(("never_imported",)):
        raise KeyError
    assert "never_imported" not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("collects", [False, True])
def test_what_was_imported_is_never_looked_at_again(collects):
    code = f"""
import gc
from tfticket.machine import import_keras
gc.{"enable" if collects else "disable"}()
import_keras()
assert gc.isenabled() == {collects}
frozen = gc.get_freeze_count()
assert frozen > 100_000, frozen
import_keras()
assert gc.get_freeze_count() == frozen
"""
    subprocess.run([sys.executable, "-c", code], check=True)
