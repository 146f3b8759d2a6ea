"""Data sets by name, held in memory and fed by index.

`load` gives plain NumPy arrays and needs no TensorFlow; `Feed` and `batches` turn them into what
`model.fit` and `model.evaluate` take.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
