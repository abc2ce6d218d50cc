"""click's completion of bash, zsh and fish, with what OPTION=VALUE needs besides.

After "mss=" no space is to come.  And bash takes a line apart at "=" and ":" (COMP_WORDBREAKS): of
"sack=tr" the word to be completed is "tr", of "unix:/run/x" three are made.
"""

import os

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

PROGRAM = "synproxy"


@add_completion_class
class Bash(BashComplete):
    """The script hands over the line up to the cursor, and the word as bash has it."""

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response type value
    response=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_CWORD="${COMP_WORDS[COMP_CWORD]}" \\
        %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    for completion in $response; do
        IFS=, read -r type value <<< "$completion"
        if [[ $type == dir ]]; then
            compopt -o dirnames
        elif [[ $type == file ]]; then
            compopt -o default
        elif [[ $type == plain ]]; then
            COMPREPLY+=("$value")
            if [[ $value == *= ]]; then
                compopt -o nospace
            fi
        fi
    done
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        line, word = os.environ["COMP_WORDS"], os.environ["COMP_CWORD"]
        words = split_arg_string(line)[1:]
        incomplete = "" if not words or line[-1:].isspace() else words.pop()
        # bash replaces no more than its own word; the one after "=" or ":" is that itself.
        own = "" if word.strip("=:") == "" else word
        self._before = incomplete[: len(incomplete) - len(own)]
        return words, incomplete

    def format_completion(self, item: "CompletionItem[str]") -> str:
        return f"{item.type},{item.value.removeprefix(self._before)}"


@add_completion_class
class Zsh(ZshComplete):
    source_template = ZshComplete.source_template.replace(
        "    local -a response\n", "    local -a assignments described\n    local -a response\n",
    ).replace(
        """if [[ "$descr" == "_" ]]; then""",
        """if [[ "$key" == *= ]]; then
                assignments+=("$key")
                described+=("${(r:28:)key}-- $descr")
            elif [[ "$descr" == "_" ]]; then""",
    ).replace(
        """    if [ -n "$completions" ]; then""",
        """    if [ -n "$assignments" ]; then
        compadd -U -S '' -V assignments -l -d described -a assignments
    fi

    if [ -n "$completions" ]; then""",
    )


@add_completion_class
class Fish(FishComplete):
    # What a word means may have commas, too.
    source_template = FishComplete.source_template.replace(
        'string split ","', 'string split --max 1 ","')


def be_silent() -> None:
    """What would be written to stderr would land in the line that is being typed, and gRPC's core
    writes there by itself."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
