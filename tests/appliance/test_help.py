"""The help of both commands, and of all below them."""

import re

import click
import pytest
from click.testing import CliRunner

from appliance.cli.main import COMMANDS, main
from appliance.daemon import main as synproxyd
from appliance.exit_codes import ExitCode


def below(command, words=()):
    """Each command with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from below(command.get_command(context, name), (*words, name))


CALLS = [
    pytest.param(program, words, command, id=" ".join((name, *words)))
    for name, program in (("synproxy", main), ("synproxyd", synproxyd))
    for words, command in below(program)
]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_the_command_itself_says(name):
    own = CliRunner().invoke(main, [name, "--help"]).stdout
    assert " ".join(COMMANDS[name][1].rstrip(".").split()[:5]) in own


@pytest.mark.parametrize(("program", "words", "command"), CALLS)
def test_h_is_help(program, words, command):
    short, long = (CliRunner().invoke(program, [*words, option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.output) == (ExitCode.OK, long.output)


@pytest.mark.parametrize(("program", "words", "command"), CALLS)
def test_what_a_command_is_for_is_said_whole_in_a_line(program, words, command):
    if isinstance(command, click.Group):
        said = CliRunner().invoke(program, [*words, "--help"], terminal_width=80).stdout
        rows = re.findall(r"^  (\S+) {2,}(.*)$", said.partition("Commands:\n")[2], re.MULTILINE)
        assert {name for name, _ in rows} == set(command.list_commands(click.Context(command)))
        assert [words for _, words in rows if not words.endswith(".") or "..." in words] == []
