"""Old name of the part of `tfticket.noise` that audits the labels of a data set."""

from __future__ import annotations

from typing import Any

from tfticket import noise

_NAMES = {
    "Diagnosis": "Diagnosis",
    "LabelAudit": "LabelAudit",
    "Network": "Network",
    "RowAudit": "RowAudit",
    "Subject": "LabeledData",
    "compare_with_cleanlab": "compare_with_cleanlab",
    "diagnose": "diagnose",
    "write_findings": "write_label_report",
}
__all__ = [*_NAMES, "suspects_of"]


def suspects_of(split: noise.CleanSplit) -> noise.LabelIssues:
    """Old name of `CleanSplit.label_issues`."""
    return split.label_issues()


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(noise, _NAMES[name])


def __dir__() -> list[str]:
    return sorted(__all__)
