from .catalog import find as find
from .catalog import list_recipes as list_recipes
from .parsing import diff as diff
from .parsing import load as load
from .parsing import parse as parse
from .parsing import resolve as resolve
from .schema import Recipe as Recipe
