"""Masks, who decides them, and what keeps pruned weights at zero."""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "ChannelGroup": "tfticket.sparsity.channel_group",
        "ERKPruner": "tfticket.sparsity.pruners",
        "GlobalPruner": "tfticket.sparsity.pruners",
        "KeepMask": "tfticket.sparsity.binding",
        "LayerwisePruner": "tfticket.sparsity.pruners",
        "Mask": "tfticket.sparsity.mask",
        "Masked": "tfticket.sparsity.wrapper",
        "Pruner": "tfticket.sparsity.pruners",
        "SaliencyScore": "tfticket.sparsity.saliency",
        "Slot": "tfticket.sparsity.channel_group",
        "get_mask": "tfticket.sparsity.convert",
        "grasp": "tfticket.sparsity.saliency",
        "magnitude": "tfticket.sparsity.scores",
        "magnitude_increase": "tfticket.sparsity.scores",
        "movement": "tfticket.sparsity.scores",
        "prune_by_saliency": "tfticket.sparsity.saliency",
        "set_mask": "tfticket.sparsity.convert",
        "snip": "tfticket.sparsity.saliency",
        "sparsify": "tfticket.sparsity.convert",
        "strip": "tfticket.sparsity.convert",
        "synflow": "tfticket.sparsity.saliency",
    },
)
