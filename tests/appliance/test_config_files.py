"""Whole files that can't be used: their syntax, and their two ports."""

from pathlib import Path

import pytest

from appliance.config.load import ConfigError, config_load

FILES = {
    "no file content": ("", ["1:1: document: is empty"]),
    "no mapping": (
        "- 1", ["1:1: document: must be a mapping of keys to values, not a list"],
    ),
    "nothing that is required": ("services: []", ["1:1: ports: is required"]),
    "syntax": (
        "ports: [1\n",
        ["2:1: document: while parsing a flow sequence, did not find expected ',' or ']'"],
    ),
    "tab": (
        "ports:\n\tclient: {}\n",
        ["2:1: document: is indented with a tab; YAML takes spaces alone"],
    ),
    "tab after spaces": (
        "ports:\n  client: {}\n  \tserver: {}\n",
        ["3:3: document: is indented with a tab; YAML takes spaces alone"],
    ),
    "item indented by less": (
        "services:\n  - name: web\n   ports: [80]\n",
        ["3:4: document: while parsing a block collection, did not find expected '-' indicator;"
         " is it indented like what it belongs to, which begins in line 2?"],
    ),
    "key indented by less": (
        "ports:\n  client: {}\n server: {}\n",
        ["3:2: document: while parsing a block mapping, did not find expected key;"
         " is it indented like what it belongs to, which begins in line 1?"],
    ),
    "key without a colon": (
        "limits: {}\nports\nmemory: {}\n",
        ["3:1: document: while scanning a simple key, could not find expected ':';"
         " behind a key there is a colon and a space"],
    ),
    "address that begins with colons": (
        "services: [{prefixes: [::1]}]\n",
        ["1:24: document: while parsing a flow node, did not find expected node content;"
         " write in quotes what isn't plain letters and digits"],
    ),
    "two documents": (
        "a: 1\n---\nb: 2\n",
        ["2:1: document: expected a single document in the stream, but found another document"],
    ),
    "control character": ("a:\n  \x01", ["2:3: document: holds a control character"]),
    "deeply nested": ("[" * 500, ["1:65: document: is nested more than 64 levels deep"]),
    "one port": ("ports: {client: {pci: 0000:03:00.0}}", ["1:8: ports.server: is required"]),
    "no attachment": (
        "ports: {client: {}, server: {pci: 0000:03:00.0}}",
        ["1:17: ports.client: needs one of interface, pci, device"],
    ),
    "two attachments": (
        "ports: {client: {interface: a, device: net_null0}, server: {interface: b}}",
        ["1:32: ports.client.device: excludes interface, which is set as well"],
    ),
    "driver without interface": (
        "ports: {client: {device: net_null0, driver: AF_XDP}, server: {interface: b}}",
        ["1:45: ports.client.driver: goes with interface only"],
    ),
    "unknown driver": (
        "ports: {client: {interface: a, driver: af_xdp}, server: {interface: b}}",
        ["1:40: ports.client.driver: must be AF_XDP or AF_PACKET, not af_xdp"],
    ),
    "same interface": (
        "ports: {client: {interface: a}, server: {interface: a, driver: AF_PACKET}}",
        ["1:53: ports.server.interface: a is the client port already"],
    ),
    "same interface by vdev": (
        'ports: {client: {interface: a}, server: {device: "net_af_packet7,iface=a"}}',
        ["1:50: ports.server.device: a is the client port already"],
    ),
    "same vdev": (
        "ports: {client: {device: net_ring0}, server: {device: net_ring0}}",
        ["1:55: ports.server.device: net_ring0 is the client port already"],
    ),
    "PCI address": (
        "ports: {client: {pci: 03:00.0}, server: {interface: b}}",
        ["1:23: ports.client.pci: must be a PCI address such as 0000:03:00.0, not 03:00.0"],
    ),
    "interface name": (
        "ports: {client: {interface: abcdefghijklmnop}, server: {interface: b}}",
        ["1:29: ports.client.interface: must be the name of an interface, 1..15 characters,"
         " not abcdefghijklmnop"],
    ),
    "descriptors": (
        "ports: {client: {interface: a}, server: {interface: b}, rx_descriptors: 1000}",
        ["1:73: ports.rx_descriptors: must be 64..32768 descriptors, a power of two, not 1000"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES.keys())
def test_a_whole_file(problems, text, expected):
    assert problems(text) == expected


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_whatever_is_nested_without_end_is_refused(problems, opening):
    """Some parser's own bound may come first: the reason is the same."""
    (problem,) = problems(opening * 5000)
    assert problem.endswith(": document: is nested more than 64 levels deep")


def test_bytes_that_are_not_utf8_are_placed(tmp_path):
    path = tmp_path / "latin1.yaml"
    path.write_bytes("a: 1\nb: é".encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        config_load(path)
    assert str(error.value) == f"{path}:2:4: document: is not UTF-8"


def test_a_file_without_end_is_refused():
    with pytest.raises(ConfigError) as error:
        config_load(Path("/dev/zero"))
    assert "is longer than 16 MiB" in str(error.value)


@pytest.mark.timeout(20)
def test_thousands_of_mistakes_are_told_in_bounded_time(problems, minimal):
    services = "".join(
        f"- {{name: s{n}, prefixes: [10.0.0.0/33], ports: [0]}}\n" for n in range(10_000)
    )
    assert len(problems(f"{minimal}services:\n{services}")) >= 20_000
