"""`tfticket completion SHELL`."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from tfticket.errors import TFTicketError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    eval "$(tfticket completion bash)"                                      # in ~/.bashrc
    eval "$(tfticket completion zsh)"                                       # in ~/.zshrc
    tfticket completion fish > ~/.config/fish/completions/tfticket.fish
    """
    made_by = get_completion_class(shell)
    assert made_by is not None  # click knows all three
    click.echo(made_by(context.find_root().command, {}, "tfticket", "_TFTICKET_COMPLETE").source())


def complete_recipe(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of built-in recipes, and files, that begin like what is typed."""
    from tfticket.recipe import catalog

    try:
        entries = catalog.list_recipes()
    except TFTicketError:
        entries = []
    items = [
        CompletionItem(entry.name, help=entry.title)
        for entry in entries
        if entry.name.startswith(incomplete)
    ]
    return items or [CompletionItem(incomplete, type="file")]
