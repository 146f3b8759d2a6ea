"""The networks of the papers, and any `.keras` file in place of one.

All of them end in logits, without a softmax: train them with a loss that has `from_logits=True`,
such as `loss_for` gives (and `dln`, for regression, with `SummedSquares`). Layer names are stable,
so that keys read `conv1/kernel`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
