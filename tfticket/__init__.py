"""tfticket finds, studies and ships sparse, trainable Keras 3 networks.

The names below are imported when they are first used, so that `import tfticket` and the commands
that don't train anything never wait for TensorFlow.
"""

from tfticket._lazy import lazy_names

__version__ = "0.1.0"

_MODULES = (
    "data",
    "errors",
    "export",
    "interop",
    "lottery",
    "metrics",
    "models",
    "norms",
    "recipe",
    "report",
    "schedules",
    "sparsity",
    "state",
    "statistics",
)

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        **{name: f"tfticket.{name}" for name in _MODULES},
        "LandscapeTracker": "tfticket.norms.tracker",
        "Mask": "tfticket.sparsity.mask",
        "Masked": "tfticket.sparsity.wrapper",
        "ShiftTracker": "tfticket.norms.shift_tracker",
        "Ticket": "tfticket.lottery.ticket",
        "TicketSearch": "tfticket.lottery.search",
        "sparsify": "tfticket.sparsity.convert",
        "strip": "tfticket.sparsity.convert",
        "swap_norm": "tfticket.norms.swap",
    },
)
