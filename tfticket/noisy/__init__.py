"""Labels that are wrong: how many, which ones, and how to train well regardless."""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Corruption": "tfticket.noisy.receipt",
        "TransitionMatrix": "tfticket.noisy.transition",
        "cifar10_asymmetric": "tfticket.noisy.transition",
        "corrupt": "tfticket.noisy.corruption",
        "given_labels": "tfticket.noisy.receipt",
        "instance_dependent": "tfticket.noisy.corruption",
        "open_set": "tfticket.noisy.corruption",
        "pair": "tfticket.noisy.transition",
        "read_label_file": "tfticket.noisy.labels",
        "symmetric": "tfticket.noisy.transition",
        "theory": "tfticket.noisy.theory",
    },
)
