"""Normalization that can be swapped, and measurements of what it does to the loss landscape."""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "LandscapeTracker": "tfticket.norms.tracker",
        "NORMS": "tfticket.norms.catalog",
        "Norm": "tfticket.norms.catalog",
        "ShiftRecord": "tfticket.norms.shift",
        "ShiftTracker": "tfticket.norms.shift_tracker",
        "SmoothnessRecord": "tfticket.norms.landscape",
        "assert_no_trace": "tfticket.norms.trace",
        "diagnose": "tfticket.norms.doctor",
        "fold_batch_norm": "tfticket.norms.folding",
        "norm_layer": "tfticket.norms.catalog",
        "swap_norm": "tfticket.norms.swap",
    },
)
