"""tfticket finds, studies and ships sparse, trainable Keras 3 networks.

The names below are imported when they are first used, so that `import tfticket` and the commands
that don't train anything never wait for TensorFlow.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
