"""The methods of the API, as the schema has them, and how a call of one ends."""

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from synproxy.v1.rule_pb2 import ROLE_VIEWER

from appliance.api import SERVICE_NAMES
from appliance.management.roles import method_role

CALL_S = 10


def methods() -> dict[str, MethodDescriptor]:
    """By path."""
    pool = descriptor_pool.Default()
    return {
        f"/{name}/{method.name}": method
        for name in SERVICE_NAMES for method in pool.FindServiceByName(name).methods
    }


def changing() -> set[str]:
    """The paths of those that change anything: what is for viewers looks, as does a capture."""
    return {path for path, method in methods().items()
            if method_role(path) > ROLE_VIEWER and not method.server_streaming}


def code_of(
    channel: grpc.Channel, path: str, streams: bool, body: bytes = b""
) -> grpc.StatusCode:
    """How a request of these bytes is met; of a stream, with its first answer."""
    try:
        if streams:
            stream = channel.unary_stream(path)(body, timeout=CALL_S)
            next(stream)
            stream.cancel()
        else:
            channel.unary_unary(path)(body, timeout=CALL_S)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
