"""Normalization layers beside those of Keras, each with its paper; for names see the catalog.

All of them are Keras layers with a complete config, work under any dtype policy (statistics are
taken in float32 at least), and pass masks on; a position that is masked never counts in a mean.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
