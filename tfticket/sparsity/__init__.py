"""Masks, who decides them, and what keeps pruned weights at zero."""

from tfticket.sparsity.convert import get_mask, masked_layers, set_mask, sparsify, strip
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.pruners import ERKPruner, GlobalPruner, LayerwisePruner, Pruner
from tfticket.sparsity.wrapper import Masked

__all__ = [
    "ERKPruner",
    "GlobalPruner",
    "LayerwisePruner",
    "Mask",
    "Masked",
    "Pruner",
    "get_mask",
    "masked_layers",
    "set_mask",
    "sparsify",
    "strip",
]
