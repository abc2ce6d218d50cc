"""synproxy: the commands' table.  A command's module is imported when it is called."""

import errno
import importlib
import os
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from appliance.cli import COMPLETE_VARIABLE, HELP, TLS_FILES
from appliance.exit_codes import ExitCode

# Name → (module, what its help says).  Kept here so that --help imports none of them.
COMMANDS = {
    "capture": ("appliance.cli.capture", "Write frames to a file for Wireshark."),
    "completion": (
        "appliance.cli.completion", "Print the script that lets a shell complete synproxy's words."
    ),
    "config": ("appliance.cli.config", "Show, compare, apply and roll back what runs."),
    "connection": ("appliance.cli.connections", "List connections, and end them."),
    "doctor": ("appliance.cli.doctor", "Find what is wrong with this host, and say what to do."),
    "drain": ("appliance.cli.drain", "Take no new connections; those there are go on."),
    "event": ("appliance.cli.event", "Watch what happens on the workers."),
    "explain": ("appliance.cli.explain", "Say what a setting, method or counter means."),
    "health": ("appliance.cli.health", "Show whether the daemon is alive and ready."),
    "log-level": ("appliance.cli.log_level", "Show or set how much is logged."),
    "mempool": ("appliance.cli.mempool", "Show the pools of packet buffers."),
    "pmd": ("appliance.cli.pmd", "Show DPDK's poll-mode drivers."),
    "port": ("appliance.cli.port", "Show the two ports."),
    "secret": ("appliance.cli.secret", "Change the secret of the cookies."),
    "server": ("appliance.cli.server", "Show what is learned of the servers."),
    "service": ("appliance.cli.service", "List, show and change the protected services."),
    "stats": ("appliance.cli.stats", "Show what the workers count."),
    "system": ("appliance.cli.system", "Show what the daemon runs on."),
    "top": ("appliance.cli.top", "Watch the proxy at work, on the whole screen."),
    "undrain": ("appliance.cli.undrain", "Take new connections again."),
    "worker": ("appliance.cli.worker", "Show the workers."),
}


# As those know them who follow logs: the noun and the verb.
OTHER_NAMES = {"events": ("event", "watch")}


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in OTHER_NAMES:
            noun, verb = OTHER_NAMES[cmd_name]
            group = self.get_command(ctx, noun)
            assert isinstance(group, click.Group)
            return group.get_command(ctx, verb)
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> "list[CompletionItem[str]]":
        """Of the table; click would import every command to ask whether it is hidden."""
        return [
            *(CompletionItem(name, help=words) for name, (_, words) in COMMANDS.items()
              if name.startswith(incomplete)),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def main(self, *args: Any, **extra: Any) -> Any:
        if COMPLETE_VARIABLE in os.environ:
            from appliance.cli.shells import be_silent

            be_silent()
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except OSError as error:
            # What is still to be written goes nowhere, or Python complains once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if error.errno == errno.EPIPE:      # `| head`: the reader has seen enough
                ctx.exit(ExitCode.OK)
            click.echo(f"synproxy: can't write: {error.strerror}", err=True)
            ctx.exit(ExitCode.FAILED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


_ENDS = ", ".join(
    f"{code.value} {code.name.lower().replace('_', ' ')}" for code in sorted(ExitCode)
    if code != ExitCode.STALLED)


@click.group(cls=LazyGroup, context_settings=HELP, epilog=f"Exit codes: {_ENDS}.")
@click.option(
    "--address", envvar="SYNPROXY_ADDRESS", metavar="ADDRESS",
    help="Where the daemon listens: unix:/path or host:port.  [env: SYNPROXY_ADDRESS; "
         "default: the daemon's own default]",
)
@click.option(
    "--tls-ca", envvar="SYNPROXY_TLS_CA", metavar="FILE",
    help="Over TCP with TLS: the authority of the daemon's certificate.  [env: SYNPROXY_TLS_CA]",
)
@click.option(
    "--tls-cert", envvar="SYNPROXY_TLS_CERT", metavar="FILE",
    help="The certificate that says who calls.  [env: SYNPROXY_TLS_CERT]",
)
@click.option(
    "--tls-key", envvar="SYNPROXY_TLS_KEY", metavar="FILE",
    help="Its private key.  [env: SYNPROXY_TLS_KEY]",
)
@click.version_option(package_name="synproxy-appliance", prog_name="synproxy")
@click.pass_context
def main(
    ctx: click.Context, address: str | None,
    tls_ca: str | None, tls_cert: str | None, tls_key: str | None,
) -> None:
    """Look at and change a running synproxyd."""
    ctx.obj = address
    ctx.meta[TLS_FILES] = (tls_ca, tls_cert, tls_key)
