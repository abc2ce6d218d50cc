"""What --help shows as examples are commands that synproxy takes."""

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from appliance.cli.main import main
from appliance.exit_codes import ExitCode

COLUMNS = 80
# Up to what a shell or the prose has behind it.
EXAMPLE = re.compile(r"\bsynproxy ([^`\"|>()\n]+)")


def helps(command=main, path=()):
    """Each command's own, without the line of its usage."""
    result = CliRunner().invoke(main, [*path, "--help"], terminal_width=COLUMNS)
    usage, _, words = result.stdout.partition("\n\n")
    assert usage.startswith("Usage: ")
    yield path, words
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            for name in command.list_commands(ctx):
                yield from helps(command.get_command(ctx, name), (*path, name))


def examples():
    for path, words in helps():
        # Prose may be broken anywhere, between its backticks as well.
        one_line = re.sub(r"`[^`]+`", lambda found: " ".join(found[0].split()), words)
        for example in EXAMPLE.findall(one_line):
            yield pytest.param(example.strip(), id=f"{' '.join(path)}: {example.strip()}")


@pytest.mark.parametrize("example", list(examples()))
def test_an_example_is_taken(example, monkeypatch):
    monkeypatch.setattr(click.Command, "invoke", lambda self, ctx: None)
    result = CliRunner().invoke(main, shlex.split(example))
    assert result.exit_code == ExitCode.OK, result.output


def test_the_example_of_captures_is_one_that_a_shell_takes():
    (words,) = (words for path, words in helps() if path == ("capture",))
    lines = [line.strip() for line in words.splitlines()]
    at = lines.index("synproxy capture --reason unknown_rate --write - |")
    assert lines[at + 1] == "tshark -r - -T fields -e frame.comment"


def test_a_time_is_a_duration():
    (words,) = (words for path, words in helps() if path == ("capture",))
    assert re.search(r"--time DURATION +End after that time\.", words)
