"""What the programs that measure are told: how often, how long, and where the figures go."""

import argparse
from pathlib import Path

from appliance.lab.program import within


def arguments(words: str, results: Path) -> argparse.Namespace:
    """Of parser_of, where a program is told nothing else."""
    return parser_of(words, results).parse_args()


def parser_of(words: str, results: Path) -> argparse.ArgumentParser:
    """`words` say what is measured; of `rounds`, `seconds` each, the figures go to `json`."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--rounds", type=within(1, 1000), default=5, help="default %(default)s")
    parser.add_argument("--seconds", type=within(0.1, 60.0), default=1.0,
                        help="of each run; default %(default)s")
    parser.add_argument("--json", type=Path, default=results,
                        help="where the figures are written; default %(default)s")
    return parser


def family_add(parser: argparse.ArgumentParser) -> None:
    """Of a program that measures one of both."""
    parser.add_argument("--family", type=int, choices=(4, 6), default=4,
                        help="of addresses; default %(default)s")
