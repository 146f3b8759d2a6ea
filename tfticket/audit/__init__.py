"""How bad the labels of a data set are, and which ones.

Data and networks come together here with what `noisy` knows: `LabelAudit` trains networks that
predict what they weren't trained on, `RowAudit` teaches simpler learners rows of numbers, and all
else follows from their predictions.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
