"""Whether the API socket can be made where the configuration wants it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from appliance.config.formats import listen_address_parse
from appliance.exit_codes import ExitCode
from appliance.refusal import Refusal


def listening_refusals(address: str) -> Iterator[Refusal]:
    """For Unix sockets; a TCP port that is taken shows when it is bound."""
    name = listen_address_parse(address)
    if not name:
        return
    path = Path(name)
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        yield Refusal(f"management.address: {folder} is no folder; choose another path")
    elif not folder.exists():
        yield Refusal(
            f"management.address: the folder {folder} doesn't exist; create it with"
            f" `mkdir -p {folder}` (RuntimeDirectory= of systemd)"
        )
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Refusal(
            f"management.address: no right to write to {folder}; run as its owner",
            ExitCode.DENIED,
        )
    elif path.exists() and not path.is_socket():
        yield Refusal(
            f"management.address: {path} exists and is no socket;"
            " choose another path, or move it away"
        )
    elif path.exists() and _answers(path):
        yield Refusal(
            f"management.address: another daemon listens at {path}; stop it, or choose another"
        )


def _answers(path: Path) -> bool:
    """False for the socket that a daemon which was killed left behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
