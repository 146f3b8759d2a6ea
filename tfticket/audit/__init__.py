"""How bad the labels of a data set are, and which ones.

Data and networks come together here with what `noisy` knows: `LabelAudit` trains networks that
predict what they weren't trained on, `RowAudit` teaches simpler learners rows of numbers, and all
else follows from their predictions.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Diagnosis": "tfticket.audit.diagnosis",
        "LabelAudit": "tfticket.audit.held_out",
        "Network": "tfticket.audit.network",
        "RowAudit": "tfticket.audit.rows",
        "Subject": "tfticket.audit.subject",
        "compare_with_cleanlab": "tfticket.audit.peers",
        "diagnose": "tfticket.audit.diagnosis",
        "suspects_of": "tfticket.audit.findings",
        "write_findings": "tfticket.audit.findings",
    },
)
