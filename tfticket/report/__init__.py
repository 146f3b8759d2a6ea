"""Reads the files of a run and tells what came out: numbers, tables, figures, one page.

Nothing here imports Keras or TensorFlow. Only what draws imports matplotlib: `canvas`, `plots`,
`curves`, `insides` and the `page` that asks them.
"""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Summary": "tfticket.report.summary",
        "render": "tfticket.report.page",
        "summarize": "tfticket.report.summary",
    },
)
