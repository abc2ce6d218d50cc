"""Whatever a caller sends to whatever method, the answer is a documented one, and what is refused
changes nothing.

Requests come of the schema, field by field, from values that are right, at an edge or wrong; their
bytes are sent as they are, or damaged.  FUZZ_EXAMPLES says how many each method gets.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from .config_client import Client
from .conftest import Daemon
from .documented import PACKAGE, callers_codes, changes_codes, own_codes
from .methods import CALL_S, methods

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
STREAM_S = 0.05         # one that says nothing by then has been taken
DEPTH_MAX = 4           # of messages in messages

# Mostly such as are right, by the field's name.
WORDS = {
    "name": ["web", "mail", "dns", "dns2", "nope", "Web", "a" * 64, ""],
    "service": ["web", "mail", "nope", ""],
    "services": ["web", "mail", "nope", ""],
    "prefixes": ["192.0.2.0/24", "192.0.2.53", "2001:db8::/32", "10.0.0.1/8", "x", "::/0"],
    "ports": ["443", "53", "8000-8100", "0", "9-1", "65536"],
    "etag": ["", "", "x"],
    "page_token": ["", "", "x", "MQ"],
    "reasons": ["cookie_invalid", "land", "nope"],
    "daemon": ["debug", "info", "warning", "loud", ""],
    "eal": ["debug", "warning", "loud", ""],
}
PATHS = ["name", "options", "options.mss", "prefixes", "ports", "etag", "nope", "", "*"]
# None of them a time in which something would happen by itself meanwhile.
DURATIONS = [
    (0, 0), (0, 100_000_000), (600, 0), (3600, 0), (86_401, 0), (-1, 0), (600, -5), (600, 1),
    (2**40, 0), (0, 2**31 - 1)]
INTEGERS = [0, 1, 2, 7, 14, 536, 1400, 8960, 65_535, 65_536, 2**31 - 1, 2**32 - 1, 2**63 - 1,
            2**64 - 1, -1, -2**31, -2**63]
BITS = {FieldDescriptor.CPPTYPE_INT32: (-2**31, 2**31), FieldDescriptor.CPPTYPE_INT64:
        (-2**63, 2**63), FieldDescriptor.CPPTYPE_UINT32: (0, 2**32),
        FieldDescriptor.CPPTYPE_UINT64: (0, 2**64)}


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.cpp_type in BITS:
        low, end = BITS[field.cpp_type]
        return st.sampled_from([one for one in INTEGERS if low <= one < end])
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values] + [99])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type == field.TYPE_BYTES:
        return st.binary(max_size=20)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        words = st.sampled_from(WORDS.get(field.name, ["", "x", "127.0.0.1:1", "/dev/null"]))
        return st.integers(0, 9).flatmap(lambda n: words if n else st.text(max_size=20))
    return st.floats()


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    kind = field.message_type
    one = messages(kind, depth + 1) if kind else scalars(field)
    if kind and kind.GetOptions().map_entry:
        return st.nothing()         # none of a request's
    return st.lists(one, max_size=3) if field.is_repeated else one


def messages(kind: Descriptor, depth: int = 0) -> st.SearchStrategy[Message]:
    if kind.full_name == Duration.DESCRIPTOR.full_name:
        return st.sampled_from(DURATIONS).map(lambda at: Duration(seconds=at[0], nanos=at[1]))
    if kind.full_name == FieldMask.DESCRIPTOR.full_name:
        paths = st.lists(st.sampled_from(PATHS), max_size=3)
        return paths.map(lambda chosen: FieldMask(paths=chosen))
    if depth == DEPTH_MAX:
        return st.just(GetMessageClass(kind)())
    fields = {field.name: values(field, depth) for field in kind.fields}
    return st.fixed_dictionaries({}, optional=fields).map(
        lambda chosen: GetMessageClass(kind)(**chosen))


def damaged(body: bytes) -> st.SearchStrategy[bytes]:
    if not body:
        return st.binary(max_size=40)
    return st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)).map(
        lambda at: body[:at[0]] + bytes([at[1]]) + body[at[0] + 1:])


def bodies(kind: Descriptor) -> st.SearchStrategy[bytes]:
    whole = messages(kind).map(lambda message: message.SerializeToString())
    return whole | whole | whole.flatmap(damaged) | st.binary(max_size=40)


class Faults(logging.Handler):
    """What is logged of mistakes of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for all, and for all that they change."""
    folder = tmp_path_factory.mktemp("fuzz")
    with Daemon(folder / "api.sock", state=folder / "state") as daemon:
        yield daemon


@pytest.fixture
def faults() -> Iterator[Faults]:
    root, faults = logging.getLogger(), Faults()
    level = root.level
    root.addHandler(faults)
    yield faults
    root.removeHandler(faults)
    root.setLevel(level)


def standing(daemon: Daemon) -> list[Any]:
    """All that a change changes."""
    got = Client(daemon.channel).get()
    plane = daemon.plane
    return [
        got.config.SerializeToString(deterministic=True), got.etag, got.revision.number,
        len(plane.published), list(plane.drains), plane.rotations, plane.log_level,
        list(plane.deleted)]


def ended(daemon: Daemon, path: str, streams: bool, body: bytes) -> grpc.StatusCode:
    try:
        if not streams:
            daemon.channel.unary_unary(path)(body, timeout=CALL_S)
            return grpc.StatusCode.OK
        stream = daemon.channel.unary_stream(path)(body, timeout=STREAM_S)
        next(stream)
        stream.cancel()
    except grpc.RpcError as error:
        taken = streams and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return grpc.StatusCode.OK if taken else error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("path", methods())
def test_any_request_has_a_documented_answer(running, faults, path):
    method, name = methods()[path], path.removeprefix(PACKAGE)
    documented = own_codes(name) | changes_codes(name) | callers_codes() | {"OK"}

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(bodies(method.input_type))
    def sent(body):
        before = standing(running)
        code = ended(running, path, method.server_streaming, body)
        assert code.name in documented
        if code is not grpc.StatusCode.OK:
            assert standing(running) == before
        names = {spec.name for spec in running.plane.published[-1]}
        assert names == {service.name for service in Client(running.channel).running()}
        assert faults.lines == []

    sent()
