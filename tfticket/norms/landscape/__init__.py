"""The loss and its gradient along the steps of a training: trackers and their records."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
