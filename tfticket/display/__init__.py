"""Results in words, tables and figures, in a notebook and in files.

Nothing here imports Keras or TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
