"""The role that each method needs: stated in the schema (rule.proto), read from descriptors."""

from typing import Any, cast

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from synproxy.v1 import rule_pb2
from synproxy.v1.rule_pb2 import ROLE_UNSPECIFIED, ROLE_VIEWER, Role

# Services of others, whose schema says nothing of roles; they change nothing.
_FOREIGN = {
    "grpc.health.v1.Health": ROLE_VIEWER,
    "grpc.reflection.v1.ServerReflection": ROLE_VIEWER,
    "grpc.reflection.v1alpha.ServerReflection": ROLE_VIEWER,
}


def method_role(method: str) -> Role:
    """Of "/package.Service/Method"; ROLE_UNSPECIFIED where nobody has said, so that nobody may."""
    service, _, name = method.removeprefix("/").partition("/")
    if service in _FOREIGN:
        return _FOREIGN[service]
    try:
        # The stubs don't know this one.
        pool = cast(Any, descriptor_pool.Default())
        return declared_role(pool.FindMethodByName(f"{service}.{name}"))
    except KeyError:
        return ROLE_UNSPECIFIED


def declared_role(method: MethodDescriptor | Any) -> Role:
    role: Role = method.GetOptions().Extensions[cast(Any, rule_pb2.role)]
    return role


def role_word(role: Role) -> str:
    """ "viewer"; "no role" where there is none."""
    return Role.Name(role).removeprefix("ROLE_").lower() if role else "no role"
