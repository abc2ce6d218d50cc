"""What refusals say: of what the host lacks, and of a request's fields that are wrong."""

from collections.abc import Iterable

import grpc
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status

from appliance.refusal import Refusal


def said(refusals: Iterable[Refusal]) -> list[str]:
    return [str(refusal) for refusal in refusals]


def violations(error: grpc.RpcError) -> list[tuple[str, str]]:
    found = []
    for detail in rpc_status.from_call(error).details:
        request = BadRequest()
        assert detail.Unpack(request)
        found += [(one.field, one.description) for one in request.field_violations]
    return found
