"""Recipes: experiments written down as data, and the directories that their runs leave."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
