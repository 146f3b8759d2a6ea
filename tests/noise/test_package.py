import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

from tfticket import noise

NUMBERS = (
    "estimate.noise_estimate",
    "incv.clean_split",
    "incv.rule",
    "labels.corruption",
    "labels.given",
    "labels.issues",
    "labels.transition",
    "theory",
)


def test_no_module_hides_a_function_of_its_name():
    # An imported submodule becomes an attribute of its package, and comes before `__getattr__`.
    modules = {module.name for module in pkgutil.iter_modules(noise.__path__)}
    for name in noise.__all__:
        offered = getattr(noise, name)
        if name in modules:
            assert offered is importlib.import_module(f"tfticket.noise.{name}")
        else:
            assert offered.__name__ == name


def test_labels_are_studied_without_tensorflow():
    imports = "; ".join(f"import tfticket.noise.{name}" for name in NUMBERS)
    check = f"import sys; {imports}; print(*({{'keras', 'tensorflow'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""
