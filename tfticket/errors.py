"""Errors that tfticket raises on purpose.

Each message is a sentence or more: what is wrong, the rule, and what to do. The command line prints
it and exits with status 1; any other exception is a bug and keeps its traceback.
"""

__all__ = [
    "DataError",
    "ExportError",
    "InvariantError",
    "MaskError",
    "ModelError",
    "RecipeError",
    "RunError",
    "TFTicketError",
    "TicketError",
]


class TFTicketError(Exception):
    """Base class of all errors of tfticket."""


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
    """An invariant is violated, so that the result would be wrong."""


class RunError(TFTicketError, RuntimeError):
    """A run directory is locked, changed, incomplete or unreadable."""


class ExportError(TFTicketError, RuntimeError):
    """An exported file can't be made, or fails its verification."""
