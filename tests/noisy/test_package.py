import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

from tfticket import noisy

NUMBERS = (
    "anchors",
    "clean_split",
    "corruption",
    "estimate",
    "incv_progress",
    "incv_rule",
    "incv_store",
    "labels",
    "receipt",
    "suspects",
    "theory",
    "transition",
    "transition_file",
)


def test_no_module_hides_a_function_of_its_name():
    # An imported submodule becomes an attribute of its package, and comes before `__getattr__`.
    modules = {module.name for module in pkgutil.iter_modules(noisy.__path__)}
    for name in noisy.__all__:
        offered = getattr(noisy, name)
        if name in modules:
            assert offered is importlib.import_module(f"tfticket.noisy.{name}")
        else:
            assert offered.__name__ == name


def test_labels_are_studied_without_tensorflow():
    imports = "; ".join(f"import tfticket.noisy.{name}" for name in NUMBERS)
    check = f"import sys; {imports}; print(*({{'keras', 'tensorflow'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""
