"""Makes a checkout of https://github.com/facebookresearch/open_lth run with today's libraries.

The environment variable `OPEN_LTH` names its folder. Its files stay as they are. What is mended
when they are imported:

- `numpy.product` is gone from NumPy 2; it was `numpy.prod`.
- `models.base.Model` names its bases in an order that PyTorch no longer allows.
- torchvision from PyPI can't load its compiled operators under a PyTorch that was built for
  processors only, and then fails to describe two of them. They are declared; nothing calls them.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import torch

_OLD_BASES = b"class Model(abc.ABC, torch.nn.Module):"
_NEW_BASES = b"class Model(torch.nn.Module, abc.ABC):"
_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def make_importable() -> None:
    """Lets `import training`, `import models` and so on find the checkout."""
    vars(np)["product"] = np.prod
    _import_torchvision()
    sys.path.insert(0, os.environ["OPEN_LTH"])
    sys.meta_path.insert(0, _ModelBase())


def _import_torchvision() -> None:
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", _BOXES)
        importlib.import_module("torchvision")


class _Mended(importlib.machinery.SourceFileLoader):
    """Compiles a source file after the order of the bases has been changed."""

    def get_code(self, fullname: str) -> Any:
        text = self.get_data(self.path).replace(_OLD_BASES, _NEW_BASES)
        return self.source_to_code(text, self.path)


class _ModelBase:
    """Finds `models.base` in the checkout."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name != "models.base":
            return None
        path = str(Path(os.environ["OPEN_LTH"]) / "models" / "base.py")
        return importlib.util.spec_from_file_location(name, path, loader=_Mended(name, path))
