"""Child processes that import this tfticket, and nothing that lies in the current folder.

`python -m` puts the current folder first on the path, so that a `statistics.py` in a folder of
somebody else's files would run. This file is also a script: it is what such a child starts with.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of tfticket in a Python of its own.

    Args:
        module: Full name of the module, which is run as `__main__`.
        *arguments: What it finds in `sys.argv[1:]`.

    >>> command("tfticket.recipe.executors.worker", "7")[1:2]
    ['-P']
    """
    return [sys.executable, "-P", __file__, module, *arguments]


def _run(module: str) -> None:
    """Runs a module of the package that this file lies in, wherever that is.

    It need not be on the path: who starts `python -m tfticket` in a checkout has it from there.
    """
    package = Path(__file__).parent
    spec = importlib.util.spec_from_file_location(
        "tfticket", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["tfticket"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["tfticket"])
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    del sys.argv[0]
    _run(sys.argv[0])
