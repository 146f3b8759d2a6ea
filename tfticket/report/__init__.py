"""Reads the files of a run and tells what came out: numbers, tables, figures, one page.

Nothing here imports Keras or TensorFlow. Only what draws imports matplotlib: `canvas`, `plots`,
`curves`, `insides` and the `page` that asks them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
