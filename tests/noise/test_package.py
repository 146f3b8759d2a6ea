import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from noisy_splits import split

from tfticket import audit, noise, noisy

pytestmark = pytest.mark.slow

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


def test_the_old_names_of_the_package_are_the_same_things():
    for package, renamed in (
        (noisy, {"Suspects": "LabelIssues", "find_suspects": "find_label_issues"}),
        (audit, {"Subject": "LabeledData", "write_findings": "write_label_report"}),
    ):
        assert set(renamed) <= set(package.__all__) == set(dir(package))
        for name in set(package.__all__) - {"suspects_of"}:
            assert getattr(package, name) is getattr(noise, renamed.get(name, name))
        with pytest.raises(AttributeError, match="nonsense"):
            package.nonsense  # noqa: B018
    assert audit.suspects_of(split()).ids.tolist() == split().label_issues().ids.tolist()
