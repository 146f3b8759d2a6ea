"""The page of a run of the kind `memorization`."""

from __future__ import annotations

from tfticket.report.contents import Contents
from tfticket.report.reading import RunFiles
from tfticket.studies.memorization.summary import Summary
from tfticket.studies.variants.page import contents

_COMPARED = ("memorized", "accuracy", "calibration_error")


def compose(files: RunFiles) -> Contents:
    """Summarize and draw."""
    drawn = dict.fromkeys((*_COMPARED, "accuracy_at_early_stop"), ())
    return contents(Summary.read(files), "Noise", drawn=drawn, compared=_COMPARED)
