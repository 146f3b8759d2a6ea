"""The networks of the papers, and any `.keras` file in place of one.

All of them end in logits, without a softmax: train them with a loss that has `from_logits=True`,
such as `loss_for` gives (and `dln`, for regression, with `SummedSquares`). Layer names are stable,
so that keys read `conv1/kernel`.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "MODELS": "tfticket.models.zoo",
        "NORMS": "tfticket.models.parts",
        "SummedSquares": "tfticket.models.losses",
        "build": "tfticket.models.zoo",
        "check_fits": "tfticket.models.files",
        "cnn9": "tfticket.models.cnn",
        "conv2": "tfticket.models.lottery",
        "conv4": "tfticket.models.lottery",
        "conv6": "tfticket.models.lottery",
        "gives_probabilities": "tfticket.models.traits",
        "jit_choice": "tfticket.models.traits",
        "lenet_300_100": "tfticket.models.lottery",
        "load_file": "tfticket.models.files",
        "loss_for": "tfticket.models.losses",
        "measured_jit": "tfticket.models.measured",
        "resnet20": "tfticket.models.resnet",
        "resnet32": "tfticket.models.resnet",
        "save_file": "tfticket.models.files",
        "takes_whole_numbers": "tfticket.models.traits",
        "vgg": "tfticket.models.vggnet",
    },
)
