"""The reference: a page for each public package, an entry for each public name.

Public is what `__all__` names (`docs/api.md`). An object that several packages name has one entry,
in the first of them, and the others point there. A type that a signature names without being public
leads to its source.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "https://github.com/tfticket/tfticket/blob/main"

OLD = {"tfticket.audit": "tfticket.noise", "tfticket.noisy": "tfticket.noise"}
"""Packages by their earlier names, and where their names are now."""


def modules() -> list[ModuleType]:
    """Return the public packages and modules, a package before what is in it."""
    found = [importlib.import_module("tfticket")]
    for module in found:  # grows meanwhile
        inside = [getattr(module, name) for name in names(module)]
        found += [each for each in inside if isinstance(each, ModuleType) and each not in found]
    return [module for module in found if module.__name__ not in OLD]


def names(module: ModuleType) -> list[str]:
    """Return what a module promises, without the version, which is plain text."""
    promised: list[str] = module.__dict__["__all__"]
    return sorted(name for name in promised if name != "__version__")


def pages() -> dict[str, str]:
    """Return the path of each page below `docs` and its text, in reStructuredText."""
    homes = _homes()
    return {f"reference/{module.__name__}.rst": _page(module, homes) for module in modules()}


def _homes() -> dict[int, str]:
    """Identity of an object to the name under which it is described."""
    homes: dict[int, str] = {}
    packages = modules()
    for module in [*packages[1:], packages[0]]:  # what is in `tfticket` itself is a short cut
        for name in names(module):
            value = getattr(module, name)
            if not isinstance(value, ModuleType) and _is_one(value):
                homes.setdefault(id(value), f"{module.__name__}.{name}")
    return homes


def _is_one(value: object) -> bool:
    """Return whether it is a class or function; constants may be the same by chance."""
    return inspect.isclass(value) or inspect.isroutine(value)


def _page(module: ModuleType, homes: Mapping[int, str]) -> str:
    title = module.__name__
    own, elsewhere, inside = [], [], []
    for name in names(module):
        value, full = getattr(module, name), f"{title}.{name}"
        if isinstance(value, ModuleType):
            inside.append(value.__name__)
        elif _is_one(value) and homes[id(value)] != full:
            elsewhere.append(f"- ``{name}`` is :py:obj:`{homes[id(value)]}`.")
        else:
            own.append(name)
    lines = [title, "=" * len(title), "", f".. automodule:: {title}", "   :no-members:", ""]
    lines += [_inside(name) for name in inside] + [""]
    lines += [*elsewhere, ""]
    lines += [f"- :py:obj:`{name} <{title}.{name}>`{_summary(module, name)}" for name in own] + [""]
    for name in own:
        lines += [_entry(module, name), ""]
    return "\n".join(lines) + "\n"


def _inside(name: str) -> str:
    if name in OLD:
        return f"- ``{name}``: an earlier name of :py:mod:`{OLD[name]}`."
    return f"- :doc:`{name}`"


def _summary(module: ModuleType, name: str) -> str:
    """The first line of what describes a name, after a colon; nothing for a constant."""
    value = getattr(module, name)
    text = (inspect.getdoc(value) if _is_one(value) else _described(module, name)) or ""
    first = text.partition("\n\n")[0].split("\n")
    return f": {escaped(first)[0]}" if len(first) == 1 and first[0] else ""


def _entry(module: ModuleType, name: str) -> str:
    value, full = getattr(module, name), f"{module.__name__}.{name}"
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        return f".. {kind}:: {full}"
    if inspect.isroutine(value):
        return f".. autofunction:: {full}"
    text = "\n".join(escaped(_described(module, name).split("\n")))
    return f".. py:data:: {full}\n\n{textwrap.indent(text, '   ')}"


def _described(module: ModuleType, name: str) -> str:
    """Return the docstring of a constant, from the module that the stub imports it from."""
    from sphinx.pycode import ModuleAnalyzer

    path = Path(str(module.__file__))
    source = path.with_suffix(".pyi") if path.with_suffix(".pyi").is_file() else path
    origin = module.__name__
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and any(n.asname == name for n in node.names):
            origin += f".{node.module}"
    described = ModuleAnalyzer.for_module(origin).find_attr_docs()
    return "\n".join(described.get(("", name), [""])).strip()


def escaped(lines: list[str]) -> list[str]:
    """Return lines of a docstring without the marks that only reStructuredText knows.

    In docstrings, `|w|` is an absolute value and `*shape` an unpacked tuple. What stands in
    backticks or is an example stays.
    """
    found, example = [], False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        found.append(line if example else _escaped(line))
    return found


def with_blocks(lines: list[str]) -> list[str]:
    """Return lines of a module's docstring, with what is indented shown as it stands there."""
    found: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        begins = line.startswith("    ") and not before.strip()
        inside = next((past for past in reversed(found) if past.strip()), "").startswith("    ")
        if begins and not inside:
            found += [".. code-block:: text", ""]
        found.append(line if begins or inside else _escaped(line))
    return found


def _escaped(line: str) -> str:
    parts = re.split(r"(`+[^`]*`+)", line)
    stars = sum(part.count("*") for part in parts[::2])
    for i in range(0, len(parts), 2):
        parts[i] = parts[i].replace("|", r"\|")
        if stars % 2:
            parts[i] = parts[i].replace("*", r"\*")
    return "".join(parts)


def source_of(name: str) -> str | None:
    """Return the address of the source of a full name of tfticket; None if there is no such."""
    module, _, attribute = name.rpartition(".")
    try:
        value: Any = getattr(importlib.import_module(module), attribute)
        file, (_, line) = inspect.getsourcefile(value), inspect.getsourcelines(value)
    except (ImportError, AttributeError, TypeError, OSError, ValueError):
        return None
    return f"{SOURCE}/{Path(str(file)).relative_to(ROOT)}#L{line}"


def _private(
    app: Sphinx, env: object, node: nodes.Element, contnode: nodes.Element
) -> nodes.reference | None:
    """Lead a type that isn't public to its source."""
    from docutils import nodes

    target = node.get("reftarget", "")
    address = source_of(target) if target.startswith("tfticket.") else None
    if address is None or node.get("refdomain") != "py":
        return None
    return nodes.reference("", "", contnode, internal=False, refuri=address)


def _process(
    app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Make reStructuredText of a docstring."""
    if what == "module":
        lines[:] = with_blocks(lines)
    else:
        lines[:] = escaped(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register what docstrings and signatures need; `extensions.repository` writes the pages."""
    app.connect("autodoc-process-docstring", _process, priority=400)  # before napoleon
    app.connect("missing-reference", _private)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
