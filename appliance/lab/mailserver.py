"""An SMTP server in the server namespace that keeps what it is sent in a maildir.

aiosmtpd takes one address a process, so one serves each family; the maildir is shared.
"""

from pathlib import Path

from appliance.lab.listening import start_server
from appliance.lab.namespace import python_module
from appliance.lab.topology import Lab

PORT = 7063


def start_mailserver(lab: Lab) -> Path:
    """Serve until the lab ends; returns the maildir."""
    maildir = lab.directory / "maildir"
    for sockets, address in enumerate(("0.0.0.0", "::"), 1):
        start_server(lab, f"smtpd-{sockets}", python_module(
            "aiosmtpd", "--nosetuid", "--listen", f"{address}:{PORT}",
            "--class", "aiosmtpd.handlers.Mailbox", str(maildir)), PORT, sockets=sockets)
    return maildir
