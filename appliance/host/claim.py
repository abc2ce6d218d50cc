"""Keeps two daemons off one port.

A claim is a Unix socket in the abstract namespace (unix(7)): it belongs to the network namespace,
as the interface does, only one process can bind it, and the kernel drops it with the process,
however that ends.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from appliance.config.attachment import Attachment
from appliance.refusal import Refusal


@contextmanager
def claimed(attachments: Sequence[Attachment]) -> Iterator[None]:
    """Raises Refusal where another daemon has one of them."""
    with ExitStack() as held:
        for one in attachments:
            name = one.interface or one.pci
            if not name:
                continue
            claim = held.enter_context(socket.socket(socket.AF_UNIX))
            try:
                claim.bind(f"\0synproxy/port/{name}")
            except OSError:
                raise Refusal(
                    f"{name}: is in use by another synproxyd; stop that one, or name another port"
                ) from None
        yield
