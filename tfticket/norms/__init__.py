"""Normalization that can be swapped, and measurements of what it does to the loss landscape."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
