"""Masks, who decides them, and what keeps pruned weights at zero."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
