"""Prefixes, port ranges and listen addresses: what is taken, and as what."""

import pytest
from synproxy.v1.rule_pb2 import (
    FORMAT_CERTIFICATE_NAME,
    FORMAT_FILE,
    FORMAT_GROUP,
    FORMAT_VECTOR,
)
from synproxy.v1.service_pb2 import Service

from appliance.config.constraints import value_reason
from appliance.config.formats import (
    PARSERS,
    http_address_parse,
    listen_address_parse,
    listener_address_parse,
    port_range_parse,
    prefix_parse,
)
from appliance.config.schema import fields_of


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"), ("192.0.2.1", "192.0.2.1/32"), ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::/32", "2001:db8::/32"), ("2001:db8:0::1", "2001:db8::1/128"),
        ("2000::/3", "2000::/3"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8/128"),
    ],
)
def test_a_prefix_is_made_canonical(text, canonical):
    assert str(prefix_parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "/", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/024", "192.0.2.0/255.255.255.0",
     "192.0.2.0/0.0.0.255", "192.0.2", "010.0.0.1", "fe80::1%eth0", "2001:db8::/129", "::1/ 128",
     "192.0.2.0/-1", "example.org"],
)
def test_no_prefix(text):
    with pytest.raises(ValueError, match="must be an IP address or prefix"):
        prefix_parse(text)


@pytest.mark.parametrize(
    ("text", "network"), [("192.0.2.1/24", "192.0.2.0/24"), ("2001:db8::1/32", "2001:db8::/32")]
)
def test_host_bits_are_refused_with_the_prefix_that_was_meant(text, network):
    with pytest.raises(ValueError, match=f"host bits set; did you mean {network}"):
        prefix_parse(text)


@pytest.mark.parametrize("text", ["::/0", "::ffff:192.0.2.1", "::ffff:0:0/96", "::/64"])
def test_ipv4_is_not_written_as_ipv6(text):
    with pytest.raises(ValueError, match="holds the IPv6 form of IPv4 addresses"):
        prefix_parse(text)


@pytest.mark.parametrize(
    ("text", "ends"),
    [("1", (1, 1)), ("443", (443, 443)), ("8000-8100", (8000, 8100)), ("1-65535", (1, 65535)),
     ("80-80", (80, 80))],
)
def test_a_port_range_has_both_ends(text, ends):
    assert port_range_parse(text) == ends


@pytest.mark.parametrize(
    "text",
    ["", "0", "65536", "0-1", "1-65536", "80-", "-80", "80:90", "http", "80 - 90", "0443", "80-090",
     "81-80", "1-2-3", "80,81", "9" * 21],
)
def test_no_port_range(text):
    with pytest.raises(ValueError, match=r"must be|backwards"):
        port_range_parse(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [("unix:/run/synproxy/api.sock", "/run/synproxy/api.sock"), ("127.0.0.1:50051", ""),
     ("127.9.9.9:1", ""), ("[::1]:65535", "")],
)
def test_a_listen_address(text, path):
    assert listen_address_parse(text) == path


@pytest.mark.parametrize(
    "text",
    ["", "unix:api.sock", "unix:/" + "a" * 107, "0.0.0.0:1", "[::]:1", "192.0.2.1:1", "127.0.0.1",
     "127.0.0.1:0", "127.0.0.1:65536", "localhost:1", "::1:50051", "[127.0.0.1]:x"],
)
def test_no_listen_address(text):
    with pytest.raises(ValueError, match=r"must be|at most"):
        listen_address_parse(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [("unix:/run/synproxy/viewer.sock", "/run/synproxy/viewer.sock"), ("192.0.2.1:50051", ""),
     ("0.0.0.0:1", ""), ("[::]:65535", ""), ("[2001:db8::1]:50051", ""), ("127.0.0.1:1", "")],
)
def test_a_listeners_address(text, path):
    assert listener_address_parse(text) == path


@pytest.mark.parametrize(
    "text", ["", "unix:api.sock", "unix:/" + "a" * 107, "example.org:1", "[::]", "1.2.3.4:0", "::1"]
)
def test_no_listeners_address(text):
    with pytest.raises(ValueError, match=r"must be|at most"):
        listener_address_parse(text)


@pytest.mark.parametrize(
    ("format", "good", "bad"),
    [
        (FORMAT_GROUP, ["wheel", "_x", "Net.Admins-1"], ["1a", "a b", "a" * 33, "-a"]),
        (FORMAT_FILE, ["/a", "/etc/x y.pem"], ["a", "./a", "/", "~/a"]),
        (FORMAT_CERTIFICATE_NAME, ["a", "only a name", "spiffe://a/b"], [" a", "a ", "a\nb", "é"]),
        (FORMAT_VECTOR, ["auto", "baseline", "x86-64-v4"], ["avx2", "x86-64", "AUTO", "auto|x"]),
    ],
)
def test_words_with_a_form(format, good, bad):
    for text in good:
        PARSERS[format](text)
    for text in bad:
        with pytest.raises(ValueError, match="must be"):
            PARSERS[format](text)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9105", ("127.0.0.1", 9105)), ("192.0.2.7:1", ("192.0.2.7", 1)),
     ("0.0.0.0:65535", ("0.0.0.0", 65535)), ("[::]:80", ("::", 80)), ("[::1]:80", ("::1", 80))],
)
def test_an_http_address_may_be_any_of_the_host(text, address):
    assert http_address_parse(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "9105", ":9105", "*:9105", "localhost:9105", "127.0.0.1", "127.0.0.1:0", "[::1]",
     "127.0.0.1:65536", "::1:9105", "[127.0.0.1]:80", "unix:/run/metrics.sock"],
)
def test_no_http_address(text):
    with pytest.raises(ValueError, match="must be an IP address and a port"):
        http_address_parse(text)


@pytest.mark.parametrize("text", ["127.0.0.1", "224.0.0.0/4", "0.0.0.0", "::1", "ff02::/16", "::"])
def test_where_no_host_can_be_is_no_prefix(text):
    with pytest.raises(ValueError, match="can be no host's"):
        prefix_parse(text)


def test_an_empty_text_is_told_as_such():
    (field,) = (one for one in fields_of(Service.DESCRIPTOR) if one.name == "prefixes")
    assert value_reason(field, "") == "must not be empty"
