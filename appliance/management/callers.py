"""Who calls, as far as it can be known, and what the caller may do.

Over TCP with TLS a caller is who its certificate says.  At a Unix socket it is whoever could open
the file: the role is the socket's.  gRPC keeps the descriptor of a connection to itself, so the
peer's uid (SO_PEERCRED) can't be asked for; where several groups share a role and are to be told
apart in the log, each has a listener of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc
from synproxy.v1.rule_pb2 import ROLE_UNSPECIFIED, Role

from appliance.config.listening import Listening

# A certificate may hold thousands of names, and a line of the log none of them.
NAMES_SHOWN = 3
NAME_SHOWN = 100    # characters


@dataclass(frozen=True)
class Caller:
    role: Role
    seen: str           # "unix:/run/synproxy/viewer.sock", "certificate ci.example"
    peer: str = ""      # address and port; "" for a Unix socket, which has none


def caller_of(listening: Listening, context: grpc.aio.ServicerContext) -> Caller:
    """Of a call that came in at this listener."""
    if listening.socket:
        return Caller(listening.role, listening.address)
    if listening.tls is None:
        return Caller(listening.role, listening.address, context.peer())
    names = _names(context.auth_context())
    roles = {named.name: named.role for named in listening.tls.roles}
    known = [name for name in names if name in roles]
    role = max((roles[name] for name in known), default=ROLE_UNSPECIFIED)
    return Caller(role, f"certificate {_shown(known or names)}", context.peer())


def _names(proven: Mapping[str, Sequence[bytes]]) -> list[str]:
    """The certificate's own names: the common name counts where there are no others (RFC 9525
    has clients never look at it; callers here are enrolled name by name)."""
    names = (
        proven.get("x509_subject_alternative_name") or proven.get("x509_common_name") or ()
    )
    return [name.decode("utf-8", "replace") for name in names]


def _shown(names: Sequence[str]) -> str:
    words = [
        name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}..."
        for name in names[:NAMES_SHOWN]
    ]
    more = ["..."] if len(names) > NAMES_SHOWN else []
    return ", ".join([*words, *more]) or "without a name"
