"""synproxy completion."""

import click
from click.shell_completion import get_completion_class

from appliance.cli import COMPLETE_VARIABLE, shells


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete synproxy's words.

    \b
    ~/.bashrc:  eval "$(synproxy completion bash)"
    ~/.zshrc:   eval "$(synproxy completion zsh)"      (after compinit)
    fish:       synproxy completion fish > ~/.config/fish/completions/synproxy.fish

    Names of services come from the daemon that --address or SYNPROXY_ADDRESS names, if it answers
    at once.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, shells.PROGRAM, COMPLETE_VARIABLE).source())
