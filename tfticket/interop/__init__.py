"""Models of other libraries, brought to Keras 3 with their masks.

The names below are imported when they are first used.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "ImportReport": "tfticket.interop.report",
        "ImportedModel": "tfticket.interop.tfmot",
        "import_tfmot": "tfticket.interop.tfmot",
    },
)
