"""From a trained Keras model to a file that runs on the device, and is known to be right.

The names below are imported when they are first used.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Comparison": "tfticket.export.comparison",
        "Conditions": "tfticket.export.comparison",
        "EnergyModel": "tfticket.export.energy",
        "ExportReport": "tfticket.export.result",
        "Exported": "tfticket.export.facade",
        "FORMATS": "tfticket.export.result",
        "FineTuning": "tfticket.export.finetune",
        "Network": "tfticket.export.comparison",
        "Preprocessing": "tfticket.export.result",
        "TARGETS": "tfticket.export.targets",
        "check_file": "tfticket.export.check",
        "choose": "tfticket.export.choice",
        "compare": "tfticket.export.comparison",
        "explain_file": "tfticket.export.explain",
        "export": "tfticket.export.facade",
        "fine_tune": "tfticket.export.finetune",
        "pareto_front": "tfticket.export.choice",
        "prepare": "tfticket.export.preparation",
        "read_provenance": "tfticket.export.metadata",
        "run_on_micro": "tfticket.export.micro_run",
        "save_keras": "tfticket.export.plain",
        "shrink": "tfticket.channels.shrinking",
        "to_tflite": "tfticket.export.tflite",
        "write_c_array": "tfticket.export.carray",
    },
)
