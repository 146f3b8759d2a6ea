"""Audits of the labels of a data set, by models that weren't trained on what they predict."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
