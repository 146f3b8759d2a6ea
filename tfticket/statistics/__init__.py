"""Batch statistics after the fact: taken again, corrected, or those of the batch at hand.

Training normalizes by the statistics of its batches, evaluation by moving averages of them. The
averages are wrong for weights that no training led to (pruned, rewound, interpolated), for weights
that moved faster than they did, and mean something else when batches were small. What is here
changes moving statistics, or for a while the way that layers normalize; no other bit of a model.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
