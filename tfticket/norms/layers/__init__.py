"""Normalization layers beside those of Keras, each with its paper; for names see the catalog.

All of them are Keras layers with a complete config, work under any dtype policy (statistics are
taken in float32 at least), and pass masks on; a position that is masked never counts in a mean.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "ChannelNorm": "tfticket.norms.layers.channels",
        "FilterResponseNorm": "tfticket.norms.layers.response",
        "FrozenBatchNorm": "tfticket.norms.layers.batch",
        "FusedBatchNorm": "tfticket.norms.layers.fused",
        "GroupNorm": "tfticket.norms.layers.group",
        "LpBatchNorm": "tfticket.norms.layers.batch",
        "NoisyBatchNorm": "tfticket.norms.layers.noise",
        "StandardizedConv": "tfticket.norms.layers.convolution",
        "StandardizedConv1D": "tfticket.norms.layers.convolution",
        "StandardizedConv2D": "tfticket.norms.layers.convolution",
        "StandardizedConv3D": "tfticket.norms.layers.convolution",
        "covariate_noise": "tfticket.norms.layers.noise",
        "group_count": "tfticket.norms.layers.group",
        "plain_layer": "tfticket.norms.layers.plain",
        "standardized": "tfticket.norms.layers.convolution",
    },
)
