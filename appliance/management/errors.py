"""Errors as google.rpc.Status, with every field that is wrong named at once (AIP-193)."""

from collections.abc import Sequence
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.code_pb2 import INVALID_ARGUMENT
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from appliance.config.violation import Violation

# An error travels in HTTP/2 headers, of which gRPC takes 8 KiB for certain, and both the message
# and the details hold every violation.
VIOLATIONS_MAX = 16
REASON_CHARACTERS_MAX = 150


async def abort_invalid(
    context: grpc.aio.ServicerContext, violations: Sequence[Violation]
) -> NoReturn:
    if len(violations) > VIOLATIONS_MAX:
        more = f"{len(violations) - VIOLATIONS_MAX + 1} more violations are not shown"
        violations = [*violations[: VIOLATIONS_MAX - 1], Violation("", more)]
    violations = [
        Violation(violation.path, _shortened(violation.reason)) for violation in violations
    ]
    detail = Any()
    detail.Pack(
        BadRequest(
            field_violations=[
                BadRequest.FieldViolation(field=violation.path, description=violation.reason)
                for violation in violations
            ]
        )
    )
    message = "; ".join(f"{violation.path}: {violation.reason}" for violation in violations)
    status = rpc_status.to_status(
        Status(code=INVALID_ARGUMENT, message=message, details=[detail])
    )
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort returns never")


def _shortened(reason: str) -> str:
    if len(reason) <= REASON_CHARACTERS_MAX:
        return reason
    return f"{reason[:REASON_CHARACTERS_MAX - 3]}..."
