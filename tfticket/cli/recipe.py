"""`tfticket recipe`: list, show, check, copy; `run` is in `run.py`."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from tfticket.cli.common import ListByDefault, json_option, print_columns, print_json
from tfticket.cli.completion import complete_recipe
from tfticket.cli.run import run
from tfticket.errors import RecipeError

recipe_argument = click.argument("recipe", shell_complete=complete_recipe)


@click.group(cls=ListByDefault)
def recipe() -> None:
    """List, check and run recipes.

    A RECIPE is the name of a built-in one, or a path that ends in .toml. `tfticket recipe` is
    `tfticket recipe list` and takes its options.
    """


recipe.add_command(run)


@recipe.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the built-in recipes.

    \b
    tfticket recipe list
    """
    from tfticket.recipe import catalog

    entries = catalog.list_recipes()
    if as_json:
        print_json([{**vars(entry), "path": str(entry.path)} for entry in entries])
    else:
        print_columns((entry.name, entry.title) for entry in entries)


@recipe.command()
@recipe_argument
@json_option
def show(recipe: str, as_json: bool) -> None:
    """Print a recipe; with --json, with every default filled.

    \b
    tfticket recipe show lth_digits
    """
    from tfticket.recipe import catalog

    path = catalog.find(recipe)
    if as_json:
        from tfticket.recipe import parsing

        print_json(parsing.resolve(parsing.load(path)))
    else:
        click.echo(catalog.read_text(path), nl=False)


@recipe.command()
@click.argument("recipes", nargs=-1, shell_complete=complete_recipe)
def check(recipes: tuple[str, ...]) -> None:
    """Check recipes, by default the built-in ones, and tell all mistakes.

    \b
    tfticket recipe check lth_digits my_recipe.toml
    """
    from tfticket.recipe import catalog, parsing

    mistakes = []
    for name in recipes or [entry.name for entry in catalog.list_recipes()]:
        try:
            parsing.load(catalog.find(name))
            click.echo(f"{name}: valid")
        except RecipeError as error:
            mistakes.append(str(error))
    if mistakes:
        raise RecipeError("\n".join(mistakes))


@recipe.command()
@recipe_argument
@click.argument("destination", type=click.Path(path_type=Path), default=Path())
def copy(recipe: str, destination: Path) -> None:
    """Copy a recipe to a file or folder of yours, to change it there.

    \b
    tfticket recipe copy lth_digits my_recipe.toml
    """
    from tfticket.recipe import catalog

    source = catalog.find(recipe)
    target = destination / source.name if destination.is_dir() else destination
    if target.suffix != ".toml":
        raise RecipeError(f"A recipe's name must end in .toml. Received: {target}.")
    if target.exists():
        raise RecipeError(f"The copy must not replace a file. Received: {target}, which exists.")
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise RecipeError(f"{target} could not be written: {error.strerror}.") from error
    click.echo(target)
