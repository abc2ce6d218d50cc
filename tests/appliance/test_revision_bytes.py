"""A revision as bytes and back: whole or none, and no secret in it."""

import hashlib

import pytest
from synproxy.v1.config_service_pb2 import GetConfigResponse
from synproxy.v1.revision_pb2 import Difference, Revision, StoredRevision
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.live import Live
from appliance.config.schema import fields_of, is_group
from appliance.state.record import DamagedError, RecordEncoder, record_of, stored_decode

from .revisions import live, record


@pytest.mark.parametrize("file", [
    live(), live(1300), live(one="192.0.2.1"), Live(ServiceOptions(), {}),
    Live(ServiceOptions(mss=1400), {"web": Service(name="web", ports=["1"])}),
])
@pytest.mark.parametrize("running", [live(), live(two="192.0.2.2"), Live(ServiceOptions(), {})])
def test_a_revision_comes_back_as_it_was(running, file):
    before = record(7, running, file)
    after = record_of(stored_decode(RecordEncoder().encode(before)))
    assert after == before
    assert list(after.live.services) == list(before.live.services)


def test_what_is_remembered_of_former_revisions_shows_in_none():
    encoder = RecordEncoder()
    for number, running in enumerate((
            live(), live(1300), live(two="192.0.2.2"), live(two="192.0.2.3"), live())):
        one = record(number, running, live(1300))
        assert encoder.encode(one) == RecordEncoder().encode(one)
        assert record_of(stored_decode(encoder.encode(one))) == one


def test_cut_at_any_length_it_is_no_revision():
    content = RecordEncoder().encode(record())
    for length in range(len(content)):
        with pytest.raises(DamagedError):
            stored_decode(content[:length])


def test_with_any_byte_changed_it_is_no_revision():
    content = RecordEncoder().encode(record())
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x20
        with pytest.raises(DamagedError):
            stored_decode(bytes(changed))


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "is torn"), (b"synproxy rev", "is torn"),
    (b"hello", "is no revision of synproxy"), (b"\0" * 4096, "is no revision of synproxy"),
    (b"synproxy revision 2 " + b"0" * 64 + b"\n", "is of format 2, which this version"),
    (b"synproxy revision 1 " + b"0" * 64 + b"\nx", "is torn or was changed"),
])
def test_what_it_is_instead_is_said(content, reason):
    with pytest.raises(DamagedError, match=reason):
        stored_decode(content)


def test_what_has_a_right_checksum_and_no_sense_is_no_revision():
    body = b"\x0a\xff"
    head = f"synproxy revision 1 {hashlib.sha256(body).hexdigest()}\n".encode()
    with pytest.raises(DamagedError, match="is no revision of synproxy"):
        stored_decode(head + body)


@pytest.mark.parametrize("message", [Revision, StoredRevision, GetConfigResponse, Difference])
def test_no_field_of_what_is_kept_or_shown_holds_a_secret(message):
    """A field that does says `debug_redact`: it would have to be left out here first."""
    def below(kind):
        for field in fields_of(kind):
            yield field
            if is_group(field):
                yield from below(field.message_type)

    for field in below(message.DESCRIPTOR):
        assert not field.GetOptions().debug_redact, field.full_name
