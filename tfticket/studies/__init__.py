"""The kinds of studies: a folder each, from the schema of its recipes to the page of its runs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
