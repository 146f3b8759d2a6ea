"""The page of a run."""

from matplotlib.figure import Figure

from coin.summary import summarize
from tfticket.report.contents import Contents


def compose(files):
    """Fills the page and draws the count."""
    summary = summarize(files)
    figure = Figure()
    figure.add_subplot().bar(["heads", "tails"], [summary.heads, summary.throws - summary.heads])
    return Contents(
        summary=summary,
        values={"facts": [("Coins", len(files.recipe["seeds"]))]},
        figures={"coins": ("Coins", figure)},
    )
