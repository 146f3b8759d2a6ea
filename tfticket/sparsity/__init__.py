"""Masks, who decides them, and what keeps pruned weights at zero."""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Blocks": "tfticket.sparsity.structure",
        "ChannelGroup": "tfticket.sparsity.channel_group",
        "Channels": "tfticket.sparsity.channels",
        "ERKPruner": "tfticket.sparsity.pruners",
        "GlobalPruner": "tfticket.sparsity.pruners",
        "KeepMask": "tfticket.sparsity.binding",
        "LayerwisePruner": "tfticket.sparsity.pruners",
        "Mask": "tfticket.sparsity.mask",
        "Masked": "tfticket.sparsity.wrapper",
        "NOfM": "tfticket.sparsity.structure",
        "Pruner": "tfticket.sparsity.pruner",
        "SaliencyScore": "tfticket.sparsity.saliency",
        "Slot": "tfticket.sparsity.channel_group",
        "Structure": "tfticket.sparsity.structure",
        "Unstructured": "tfticket.sparsity.structure",
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
