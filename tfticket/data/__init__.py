"""Data sets by name, held in memory and fed by index.

`load` gives plain NumPy arrays and needs no TensorFlow; `Feed` and `batches` turn them into what
`model.fit` and `model.evaluate` take.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "AUGMENTATIONS": "tfticket.data.augment",
        "ChunkedFit": "tfticket.data.chunked",
        "DataSet": "tfticket.data.dataset",
        "Feed": "tfticket.data.feed",
        "Split": "tfticket.data.dataset",
        "batches": "tfticket.data.ordered",
        "load": "tfticket.data.loading",
        "load_whole": "tfticket.data.loading",
    },
)
