"""Counts heads, from the files alone."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class CoinSummary:
    """How often heads were up."""

    name: str
    run: str
    title: str
    heads: int
    throws: int
    complete: bool
    missing: tuple[str, ...] = ()

    @property
    def headline(self):
        """See `report.contents.Summary`."""
        return f"{self.heads} heads of {self.throws} throws."

    def to_dict(self):
        """See `report.contents.Summary`."""
        return {"kind": "coin", "headline": self.headline, **asdict(self)}


def summarize(files):
    """Reads the coins of a run."""
    coins = [json.loads(file.read_text()) for file in (files.path / "coins").glob("*.json")]
    heads = sum(coin["heads"] for coin in coins)
    recipe = files.recipe
    throws = recipe["throws"] * len(coins)
    return CoinSummary(
        recipe["name"], files.path.name, recipe["title"], heads, throws, files.complete
    )
