"""Labels that are wrong: how many, which ones, and how to train well regardless."""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "CleanSplit": "tfticket.noisy.clean_split",
        "CoTeaching": "tfticket.noisy.coteaching",
        "CollapseEvent": "tfticket.noisy.monitors",
        "Corruption": "tfticket.noisy.receipt",
        "ForgetRate": "tfticket.noisy.forgetting",
        "ForwardCorrection": "tfticket.noisy.losses",
        "GeneralizedCrossentropy": "tfticket.noisy.losses",
        "INCV": "tfticket.noisy.incv",
        "NoiseEstimate": "tfticket.noisy.estimate",
        "SelectionMonitor": "tfticket.noisy.monitors",
        "Suspects": "tfticket.noisy.suspects",
        "TransitionMatrix": "tfticket.noisy.transition",
        "cifar10_asymmetric": "tfticket.noisy.transition",
        "corrupt": "tfticket.noisy.corruption",
        "estimate_noise": "tfticket.noisy.estimate",
        "fit_in_stages": "tfticket.noisy.staging",
        "find_suspects": "tfticket.noisy.suspects",
        "given_labels": "tfticket.noisy.receipt",
        "instance_dependent": "tfticket.noisy.corruption",
        "open_set": "tfticket.noisy.corruption",
        "pair": "tfticket.noisy.transition",
        "read_label_file": "tfticket.noisy.labels",
        "read_transition_file": "tfticket.noisy.transition_file",
        "stages": "tfticket.noisy.staging",
        "symmetric": "tfticket.noisy.transition",
        "theory": "tfticket.noisy.theory",
    },
)
