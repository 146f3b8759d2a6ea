"""Imports point down only. The layers are a table here; the code is read with `ast`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tfticket"

# From the top: a module may import what stands in a lower line, or what belongs to its own group.
# The groups of one line are siblings and never import each other. The longest prefix counts.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("tfticket.__main__",),
    ("tfticket.cli",),
    ("tfticket.runner.fitting",),
    ("tfticket.runner.runner", "tfticket.runner.exporting"),
    ("tfticket.runner",),
    ("tfticket.studies.report",),
    ("tfticket.studies.summaries",),
    ("tfticket.studies.edge",),
    (
        "tfticket.studies.norms",
        "tfticket.studies.memorization",
        "tfticket.studies.locality",
        "tfticket.studies.widths",
    ),
    ("tfticket.studies.variants",),
    ("tfticket.studies.lottery", "tfticket.studies.noisy"),
    (
        "tfticket.studies.study",
        "tfticket.studies.labels",
        "tfticket.studies.store",
        "tfticket.studies.training",
        "tfticket.lottery.over_seeds",
        "tfticket.noise.report",
        "tfticket.noisy",
        "tfticket.audit",
    ),
    ("tfticket.runs",),
    ("tfticket.recipe.parsing",),
    ("tfticket.studies.registry",),
    (
        "tfticket.studies.edge.schema",
        "tfticket.studies.norms.schema",
        "tfticket.studies.memorization.schema",
        "tfticket.studies.locality.schema",
        "tfticket.studies.widths.schema",
    ),
    ("tfticket.studies.variants.schema",),
    ("tfticket.studies.norms.conditions",),
    ("tfticket.studies.lottery.schema", "tfticket.studies.noisy.schema"),
    ("tfticket.studies.lottery.tasks",),
    ("tfticket.studies.kind",),
    ("tfticket.recipe.rates", "tfticket.report"),
    ("tfticket.recipe", "tfticket.export", "tfticket.interop"),
    ("tfticket.studies",),
    ("tfticket.noise.apply", "tfticket.noise.page"),
    ("tfticket.noise.audit", "tfticket.noise.corrected_table", "tfticket.noise.features"),
    ("tfticket.lottery", "tfticket.norms", "tfticket.noise", "tfticket.data", "tfticket.models"),
    ("tfticket.norms.catalog",),
    ("tfticket.norms.layers",),
    ("tfticket.channels",),
    ("tfticket.sparsity",),
    ("tfticket.cloning",),
    ("tfticket.answers",),
    ("tfticket.remaking",),
    ("tfticket.statistics",),
    ("tfticket.display",),
    ("tfticket.state", "tfticket.schedules", "tfticket.metrics", "tfticket.model_file"),
    ("tfticket.hdf5",),
    ("tfticket.introspection",),
    ("tfticket.internals",),
    ("tfticket.quiet",),
    ("tfticket.labels",),
    (
        "tfticket.children",
        "tfticket.files",
        "tfticket.layer_kinds",
        "tfticket.machine",
        "tfticket.scalars",
        "tfticket.seeds",
        "tfticket.wording",
    ),
    ("tfticket.reading",),
    ("tfticket",),
    ("tfticket.errors",),
)
RANK = {group: rank for rank, groups in enumerate(LAYERS) for group in groups}

# Answer at once, so they import nothing that takes long, not even below something else.
QUICK = (
    "tfticket",
    "tfticket.display",
    "tfticket.display.words",
    "tfticket.errors",
    "tfticket.lottery",
    "tfticket.lottery.metric",
    "tfticket.reading",
    "tfticket.recipe",
    "tfticket.recipe.catalog",
    "tfticket.recipe.mistakes",
    "tfticket.recipe.noise",
    "tfticket.recipe.overrides",
    "tfticket.recipe.parsing",
    "tfticket.recipe.schema",
    "tfticket.recipe.table",
    "tfticket.recipe.training",
    "tfticket.runs",
    "tfticket.runs.plan",
    "tfticket.runs.progress",
    "tfticket.studies",
    "tfticket.studies.edge.schema",
    "tfticket.studies.kind",
    "tfticket.studies.locality.schema",
    "tfticket.studies.lottery.schema",
    "tfticket.studies.lottery.tasks",
    "tfticket.studies.memorization.schema",
    "tfticket.studies.widths.schema",
    "tfticket.studies.noisy.schema",
    "tfticket.studies.norms.conditions",
    "tfticket.studies.norms.schema",
    "tfticket.studies.registry",
    "tfticket.studies.variants",
    "tfticket.studies.variants.schema",
    "tfticket.wording",
)
SLOW = {"tensorflow", "keras", "numpy", "scipy", "sklearn", "rich", "jinja2", "vl_convert"}
NO_TENSORFLOW = (
    "tfticket.display",
    "tfticket.runs",
    "tfticket.report",
    "tfticket.studies.report",
    "tfticket.studies.summaries",
)
TENSORFLOW = {"tensorflow", "keras", "tensorflow_datasets", "ai_edge_litert"}
# The first two change TensorFlow for the process; the others are large, and only peers need them.
NEVER = {"tensorflow_model_optimization", "tf_keras", "torch", "torchvision"}
# Only ever run as processes of their own: may do it.
CHILDREN = ("tfticket.interop._legacy", "benchmarks.peers")
TOOLS = {  # run from a clone: nothing in the package imports them
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("benchmarks", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
}

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports_of(path: Path, *, top_only: bool = False) -> Iterator[tuple[str, str]]:
    """Place and full name of each module that a file imports.

    Args:
        path: The file.
        top_only: Leave out what is imported inside functions.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        place = f"{path.relative_to(ROOT)}:{node.lineno}"
        if isinstance(node, ast.Import):
            yield from ((place, alias.name) for alias in node.names)
        else:
            assert node.level == 0, f"{place}: imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield place, name if name in MODULES else str(node.module)


def group_of(module: str) -> str:
    """The longest prefix that is in the table."""
    parts = module.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next(prefix for prefix in prefixes if prefix in RANK)


def test_imports_point_down():
    wrong = []
    for module, path in MODULES.items():
        here = group_of(module)
        for place, name in imports_of(path):
            if name.partition(".")[0] == "tfticket":
                there = group_of(name)
                if there != here and RANK[there] <= RANK[here]:
                    wrong.append(f"{place}: {name} isn't below {module}")
    assert wrong == []


def test_nothing_that_changes_tensorflow_is_imported():
    modules = MODULES | TOOLS
    alive = [path for module, path in modules.items() if not module.startswith(CHILDREN)]
    imported = [found for path in alive for found in imports_of(path)]
    assert [found for found in imported if found[1].partition(".")[0] in NEVER] == []
    assert [found for found in imported if found[1].startswith(CHILDREN)] == []


def test_the_package_imports_nothing_that_only_a_clone_has():
    clone = {"benchmarks", "tools", "tests", "docs"}
    found = [each for path in MODULES.values() for each in imports_of(path)]
    assert [each for each in found if each[1].partition(".")[0] in clone] == []


def test_what_answers_at_once_imports_nothing_slow():
    wrong = []
    for module, path in MODULES.items():
        is_command = group_of(module) == "tfticket.cli" and module != "tfticket.cli.screen"
        if module in QUICK or is_command:
            for place, name in imports_of(path, top_only=True):
                top, _, below = name.partition(".")
                slow = top in SLOW or (below and top == "tfticket" and not is_quick(name))
                wrong += [f"{place}: {name} isn't quick"] if slow else []
    assert wrong == []


def is_quick(module: str) -> bool:
    return module in QUICK or group_of(module) == "tfticket.cli"


def test_reading_a_run_needs_no_tensorflow():
    wrong = [
        f"{place}: {name}"
        for module, path in MODULES.items()
        if module.startswith(NO_TENSORFLOW)
        for place, name in imports_of(path)
        if name.partition(".")[0] in TENSORFLOW
    ]
    assert wrong == []


def test_the_table_names_only_what_there_is():
    planned = {"tfticket.norms"}
    known = {prefix for module in MODULES for prefix in (module, module.rpartition(".")[0])}
    assert set(RANK) - planned <= known


def test_a_module_is_short_enough_to_be_read():
    modules = MODULES | TOOLS
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules.items()}
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def test_children_start_by_their_helper():
    # `python -m` would import from the current folder, which may be full of somebody else's files.
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for module, path in MODULES.items()
        if module != "tfticket.children"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.List)
        and any(isinstance(each, ast.Constant) and each.value == "-m" for each in node.elts)
    ]
    # Those of exports are started by a helper beside them.
    assert [place for place in wrong if not place.startswith("tfticket/export/")] == []
