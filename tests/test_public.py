"""The public boundary: `__all__` of public packages and modules is promised, all else is not.

Public are `tfticket` and what its `__all__` names; of a package also the packages and modules that
its own `__all__` names, and so on.
"""

import ast
import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import tfticket

RIDDLES = ("How ", "Is ", "What", "Where", "Whether", "Which", "Who", "Whose")
"""Beginnings of docstrings that ask where they should say."""

WITH_EXAMPLES = 120
"""Lower bound on the public classes and functions that have an example; raise it as they do."""

OLD = ("tfticket.audit", "tfticket.noisy")
"""Names of before; what they give is in `tfticket.noise`."""


@cache
def public_modules():
    """Full names of public packages and modules; a package comes before what is in it."""
    found = ["tfticket"]
    for name in found:  # grows meanwhile
        module = importlib.import_module(name)
        inside = [getattr(module, each) for each in promised(name)]
        found += [each.__name__ for each in inside if isinstance(each, ModuleType)]
    return found


def promised(name):
    """The names in `__all__`, without a version, which is plain text."""
    return [each for each in importlib.import_module(name).__all__ if each != "__version__"]


@cache
def public_objects():
    """Each public class or function once, with the names that it has."""
    objects = {}
    for name in public_modules():
        for each in promised(name):
            value = getattr(importlib.import_module(name), each)
            ours = getattr(value, "__module__", "").startswith("tfticket")
            if ours and (inspect.isclass(value) or inspect.isroutine(value)):
                objects.setdefault(value, []).append(f"{name}.{each}")
    return objects


def stub_of(name):
    return Path(importlib.import_module(name).__file__).with_name("__init__.pyi")


def test_every_package_of_the_first_level_is_public_or_known_not_to_be():
    packages = {each.name for each in pkgutil.iter_modules(tfticket.__path__) if each.ispkg}
    private = {"cli", "report", "runner"}
    assert packages - private <= set(tfticket.__all__)


def test_stubs_name_what_is_promised():
    for name in public_modules():
        module = importlib.import_module(name)
        if not hasattr(module, "__path__") or name in OLD:
            continue
        tree = ast.parse(stub_of(name).read_text(encoding="utf-8"))
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        named = [alias.asname for node in imports for alias in node.names]
        assert sorted(named) == sorted(promised(name)), name
        assert len(set(named)) == len(named), name


def test_all_that_is_promised_is_there():
    for name in public_modules():
        module = importlib.import_module(name)
        assert module.__doc__, name
        for each in promised(name):
            assert getattr(module, each, None) is not None, f"{name}.{each}"


def test_public_classes_and_functions_are_documented():
    silent = [names for value, names in public_objects().items() if not value.__doc__]
    assert silent == []


def test_a_docstring_says_what_a_thing_is_or_does():
    riddles = [
        f"{names[0]}: {value.__doc__.splitlines()[0]}"
        for value, names in public_objects().items()
        if value.__doc__.startswith(RIDDLES)
    ]
    assert riddles == []


def test_three_arguments_or_more_are_described():
    silent = []
    for value, names in public_objects().items():
        if inspect.isroutine(value) and len(inspect.signature(value).parameters) >= 3:
            described = "Args:" in value.__doc__ or "arguments as" in value.__doc__
            silent += [] if described else names[:1]
    assert silent == []


def test_a_signature_shows_no_address():
    """As `help` and editors show it: a default is a value or a name."""
    for value, names in public_objects().items():
        try:
            signature = str(inspect.signature(value))
        except ValueError:  # some classes of the standard library have none
            continue
        assert " at 0x" not in signature, names[0]


def has_example(value):
    return ">>> " in value.__doc__ and "+SKIP" not in value.__doc__


def test_most_public_names_have_an_example():
    errors = importlib.import_module("tfticket.errors").TFTicketError
    objects = [
        value
        for value in public_objects()
        if not (inspect.isclass(value) and issubclass(value, errors))
    ]
    with_example = [value for value in objects if has_example(value)]
    assert len(with_example) >= WITH_EXAMPLES, f"{len(with_example)} of {len(objects)}"


@pytest.mark.parametrize("package", ["sparsity", "lottery", "channels", "statistics"])
def test_names_of_the_low_floors_have_examples(package):
    ours = {
        name: value
        for value, names in public_objects().items()
        for name in names
        if name.startswith(f"tfticket.{package}")
    }
    missing = [name for name, value in ours.items() if not has_example(value)]
    assert len(missing) <= len(ours) / 4, missing
