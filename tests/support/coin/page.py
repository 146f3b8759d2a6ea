"""The page of a run."""

from coin.summary import summarize
from tfticket.report.contents import Contents


def compose(files):
    """Fills the page and draws the count."""
    summary = summarize(files)
    sides = [
        {"side": "heads", "times": summary.heads},
        {"side": "tails", "times": summary.throws - summary.heads},
    ]
    figure = {
        "data": {"values": sides},
        "mark": "bar",
        "encoding": {
            "x": {"field": "side", "type": "nominal"},
            "y": {"field": "times", "type": "quantitative"},
        },
    }
    return Contents(
        summary=summary,
        values={"facts": [("Coins", len(files.recipe["seeds"]))]},
        figures={"coins": ("Coins", figure)},
    )
