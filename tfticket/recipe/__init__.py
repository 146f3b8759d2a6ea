"""Recipes: experiments written down as data, and the directories that their runs leave."""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Recipe": "tfticket.recipe.schema",
        "RunDir": "tfticket.recipe.rundir",
        "diff": "tfticket.recipe.parsing",
        "find": "tfticket.recipe.catalog",
        "list_recipes": "tfticket.recipe.catalog",
        "load": "tfticket.recipe.parsing",
        "parse": "tfticket.recipe.parsing",
        "resolve": "tfticket.recipe.parsing",
    },
)
