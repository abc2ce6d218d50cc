"""Where the management plane listens, and what its listeners' fields forbid each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from synproxy.v1.config_pb2 import Config, Listener, Management, NamedRole, Tls
from synproxy.v1.rule_pb2 import ROLE_ADMIN, ROLE_UNSPECIFIED, ROLE_VIEWER, Role

from appliance.config.formats import is_loopback, listener_address_parse
from appliance.config.options import complete
from appliance.config.violation import Violation


@dataclass(frozen=True)
class Listening:
    """One listener.  `path` is where the configuration says so, "management" for its own."""

    path: str
    address: str
    role: Role = ROLE_ADMIN     # of everyone who comes, where there is no `tls`
    group: str = ""             # "": the Unix socket is the owner's alone
    tls: Tls | None = None
    health: bool = False        # the health service is all that it serves

    @property
    def highest_role(self) -> Role:
        """That a caller may have; none where `tls` names nobody."""
        if self.tls:
            return max((named.role for named in self.tls.roles), default=ROLE_UNSPECIFIED)
        return self.role

    @property
    def field(self) -> str:
        """The path of its address."""
        return f"{self.path}.{'health_address' if self.health else 'address'}"

    @property
    def socket(self) -> str:
        """The path of the Unix socket; "" for TCP."""
        return listener_address_parse(self.address)


def listening_of(config: Config) -> list[Listening]:
    """Of a checked configuration; the admins' own address comes first."""
    whole = Config()
    whole.CopyFrom(config)
    complete(whole)
    management = whole.management
    return [
        Listening("management", management.address),
        *(
            Listening(
                f"management.listeners[{index}]", one.address, one.role, one.group,
                one.tls if one.HasField("tls") else None,
            )
            for index, one in enumerate(management.listeners)
        ),
        *([Listening("management", management.health_address, ROLE_VIEWER, health=True)]
          if management.HasField("health_address") else []),
    ]


def management_violations(management: Management) -> Iterator[Violation]:
    """`management` is complete, but fields that were wrong may be missing."""
    seen: dict[str, str] = {}
    for name in ("address", "metrics_address", "health_address"):
        address = getattr(management, name)
        first = seen.setdefault(address, f"management.{name}")
        if address and first != f"management.{name}":
            yield Violation(f"management.{name}", f"{address} is {first} already")
    for index, listener in enumerate(management.listeners):
        path = f"management.listeners[{index}]"
        first = seen.setdefault(listener.address, f"{path}.address")
        if listener.address and first != f"{path}.address":
            yield Violation(f"{path}.address", f"{listener.address} is {first} already")
        yield from _listener_violations(listener, path)
        yield from _role_violations(listener.tls.roles, f"{path}.tls.roles")


def _listener_violations(listener: Listener, path: str) -> Iterator[Violation]:
    try:
        socket = listener_address_parse(listener.address)
    except ValueError:
        return      # told by the field's own rule
    if listener.HasField("group") and not socket:
        yield Violation(f"{path}.group", "goes with a Unix socket only")
    if listener.HasField("tls") and socket:
        yield Violation(f"{path}.tls", "goes with TCP only; a Unix socket has a role")
    if listener.HasField("role") and not socket and not is_loopback(listener.address):
        yield Violation(
            f"{path}.address",
            f"must be a loopback address or have tls, not role: {listener.address}",
        )


def _role_violations(roles: Sequence[NamedRole], path: str) -> Iterator[Violation]:
    names: dict[str, int] = {}
    for index, named in enumerate(roles):
        first = names.setdefault(named.name, index)
        if named.name and first != index:
            yield Violation(
                f"{path}[{index}].name", f"{named.name} has its role from {path}[{first}] already"
            )
