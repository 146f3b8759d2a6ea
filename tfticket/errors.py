"""The errors that tfticket raises on purpose.

Each message is a complete sentence or two: the rule, what was received, and what to do. The command
line prints it and exits with status 1; anything else that escapes is a bug and keeps its traceback.
"""


class TFTicketError(Exception):
    """Base of all errors raised by tfticket."""


class RecipeError(TFTicketError, ValueError):
    """A recipe can't be found, read or validated."""


class DataError(TFTicketError, ValueError):
    """A data set can't be found, read or used as asked."""


class ModelError(TFTicketError, ValueError):
    """A model can't be built, loaded or treated as asked."""


class MaskError(TFTicketError, ValueError):
    """A mask doesn't fit, isn't a subset, or has a wrong count."""


class TicketError(TFTicketError, ValueError):
    """A ticket or snapshot file is damaged, foreign, or doesn't fit a model."""


class InvariantError(TFTicketError, AssertionError):
    """Something that always holds did not hold; the result would have been wrong."""


class RunError(TFTicketError, RuntimeError):
    """A run directory is locked, changed, incomplete or unreadable."""


class ExportError(TFTicketError, RuntimeError):
    """An exported file could not be made or failed its verification."""
