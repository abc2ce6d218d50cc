"""Tells systemd how far the daemon is: sd_notify(3)."""

import os
import socket


def notify(state: str) -> None:
    """`state` is "READY=1" or "STOPPING=1"; without systemd nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), address.replace("@", "\0", 1))
