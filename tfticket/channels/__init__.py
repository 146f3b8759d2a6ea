"""Channels followed through a model's graph: which belong together, and which can go.

The names below are imported when they are first used.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Flow": "tfticket.channels.flow",
        "LayerChange": "tfticket.channels.shrinking",
        "Shrunk": "tfticket.channels.shrinking",
        "channel_groups": "tfticket.channels.groups",
        "shrink": "tfticket.channels.shrinking",
    },
)
