"""What the daemon says of its own work, on stderr, as far as its level lets it.

Apart from what it always says: that it is ready, what it refuses, and the lines of the audit log.
"""

import logging
import sys

from appliance.notify import say

# DPDK's words (rte_log.h) for Python's levels, so that one word says the same of both.
LEVELS = {
    "emergency": logging.CRITICAL, "alert": logging.CRITICAL, "critical": logging.CRITICAL,
    "error": logging.ERROR, "warning": logging.WARNING, "notice": logging.INFO,
    "info": logging.INFO, "debug": logging.DEBUG,
}
LEVEL_AT_START = "warning"


class _Stderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # What comes of callers stays behind the first line's beginning.
        text = self.format(record).replace("\n", "\n    ")
        say(f"synproxyd: {record.levelname.lower()}: {text}", sys.stderr)


def log_start() -> None:
    """What libraries say through Python's logging goes the same way."""
    logging.basicConfig(handlers=[_Stderr()], format="%(message)s")
    # At debug it tells of its own loop, call by call.
    logging.getLogger("grpc").setLevel(logging.WARNING)
    log_level_set(LEVEL_AT_START)


def log_level_set(level: str) -> None:
    logging.getLogger().setLevel(LEVELS[level])
