"""What a host's TCP offers, switched by sysctl: timestamps, SACK, window scaling."""

from itertools import product

from appliance.lab.namespace import Namespace

OPTIONS = ("timestamps", "sack", "window_scaling")
COMBINATIONS = list(product((True, False), repeat=len(OPTIONS)))
ALL = (True, True, True)


def named(enabled: tuple[bool, ...]) -> str:
    return "+".join(name for name, on in zip(OPTIONS, enabled, strict=True) if on) or "none"


def configure(host: Namespace, enabled: tuple[bool, ...]) -> None:
    """For the connections to come, of both families."""
    host.configure({f"net/ipv4/tcp_{name}": str(int(on))
                    for name, on in zip(OPTIONS, enabled, strict=True)})
