"""Run directories: their files, locks and tasks, and what is published of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
