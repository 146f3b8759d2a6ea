"""A kind of study in one folder: a coin is thrown for every seed."""

from typing import Literal

from tfticket.recipe.schema import Recipe
from tfticket.recipe.table import Count
from tfticket.studies.kind import Kind


class CoinRecipe(Recipe):
    """How often the coin is thrown."""

    kind: Literal["coin"]
    throws: Count


KIND = Kind(
    name="coin",
    recipe=CoinRecipe,
    table="",
    unit="coin",
    study="coin.study:CoinStudy",
    summary="coin.summary:summarize",
    page="coin.page:compose",
)
