"""What a refusal says of the fields that are wrong."""

import grpc
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status


def violations(error: grpc.RpcError) -> list[tuple[str, str]]:
    found = []
    for detail in rpc_status.from_call(error).details:
        request = BadRequest()
        assert detail.Unpack(request)
        found += [(one.field, one.description) for one in request.field_violations]
    return found
