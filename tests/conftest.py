"""What holds for every test: a program that a test starts can be interrupted, no example of
hypothesis's fails by the time that it took, since a busy machine is no defect, and what a test has
measured stands at the end of the run.

Whoever runs the tests in the background of a script has SIGINT ignored (POSIX.1-2017, Shell §2.11),
and every program they start inherits that.
"""

import signal
from collections.abc import Callable

import pytest
from hypothesis import settings

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash[FIGURES]
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a measured figure under the test's name, for the end of the run."""
    figures = request.config.stash[FIGURES]
    return lambda text: figures.append(f"{request.node.name}: {text}")
