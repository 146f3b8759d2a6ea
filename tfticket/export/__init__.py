"""From a trained Keras model to a file that runs on the device, and is known to be right.

The names below are imported when they are first used.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "ExportReport": "tfticket.export.result",
        "FORMATS": "tfticket.export.result",
        "Preprocessing": "tfticket.export.result",
        "read_provenance": "tfticket.export.metadata",
        "save_keras": "tfticket.export.plain",
        "to_tflite": "tfticket.export.tflite",
    },
)
