"""Counts heads, from the files alone."""

import json
from dataclasses import dataclass

from tfticket.report.contents import Summary


@dataclass(frozen=True)
class CoinSummary(Summary):
    """How often heads were up."""

    heads: int
    throws: int

    @property
    def missing(self):
        """See `report.contents.Summary`."""
        return ()

    @property
    def headline(self):
        """See `report.contents.Summary`."""
        return f"{self.heads} heads of {self.throws} throws."

    def results(self):
        """See `report.contents.Summary`."""
        return {"heads": self.heads, "throws": self.throws}


def summarize(files):
    """Reads the coins of a run."""
    coins = [json.loads(file.read_text()) for file in (files.path / "coins").glob("*.json")]
    heads = sum(coin["heads"] for coin in coins)
    return CoinSummary(files, heads, throws=files.recipe["throws"] * len(coins))
