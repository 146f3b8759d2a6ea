"""Batch statistics after the fact: taken again, corrected, or those of the batch at hand.

Training normalizes by the statistics of its batches, evaluation by moving averages of them. The
averages are wrong for weights that no training led to (pruned, rewound, interpolated), for weights
that moved faster than they did, and mean something else when batches were small. What is here
changes moving statistics, or for a while the way that layers normalize; no other bit of a model.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "KeepsScale": "tfticket.statistics.moments",
        "batch_statistics": "tfticket.statistics.evaluation",
        "eval_norm": "tfticket.statistics.evaluation",
        "normalizes_by_batch": "tfticket.statistics.moments",
        "predict": "tfticket.statistics.evaluation",
        "recalibrate": "tfticket.statistics.population",
    },
)
