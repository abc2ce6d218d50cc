"""What holds for every test: a program that a test starts can be interrupted, and no example of
hypothesis's fails by the time that it took, since a busy machine is no defect.

Whoever runs the tests in the background of a script has SIGINT ignored (POSIX.1-2017, Shell §2.11),
and every program they start inherits that.
"""

import signal

from hypothesis import settings


def pytest_configure() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")
