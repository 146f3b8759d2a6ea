"""Batch statistics after training: recomputed, corrected, or those of the current batch.

Training normalizes by the statistics of its batches, evaluation by moving averages of them. The
averages are wrong for weights that no training led to (pruned, rewound, interpolated), lag behind
weights that move fast, and mean something else for small batches. These functions change moving
statistics, or temporarily how layers normalize, and nothing else of a model.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
