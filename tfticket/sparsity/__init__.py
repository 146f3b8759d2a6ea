"""Masks, who decides them, and what keeps pruned weights at zero."""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "ERKPruner": "tfticket.sparsity.pruners",
        "GlobalPruner": "tfticket.sparsity.pruners",
        "KeepMask": "tfticket.sparsity.binding",
        "LayerwisePruner": "tfticket.sparsity.pruners",
        "Mask": "tfticket.sparsity.mask",
        "Masked": "tfticket.sparsity.wrapper",
        "Pruner": "tfticket.sparsity.pruners",
        "get_mask": "tfticket.sparsity.convert",
        "magnitude": "tfticket.sparsity.scores",
        "magnitude_increase": "tfticket.sparsity.scores",
        "movement": "tfticket.sparsity.scores",
        "set_mask": "tfticket.sparsity.convert",
        "sparsify": "tfticket.sparsity.convert",
        "strip": "tfticket.sparsity.convert",
    },
)
