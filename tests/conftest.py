"""What holds for every test: a program that a test starts can be interrupted.

Whoever runs the tests in the background of a script has SIGINT ignored (POSIX.1-2017, Shell §2.11),
and every program they start inherits that.
"""

import signal


def pytest_configure() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
