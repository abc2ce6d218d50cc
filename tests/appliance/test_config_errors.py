"""Each thing that can be wrong in a file, as a row: the line, and what is said of it."""

import gc
import textwrap

import pytest

from appliance.config import rules
from appliance.config.document import document_parse

TLS = (
    "{certificate_file: /c, key_file: /k, client_ca_file: /a, roles: [{name: a, role: VIEWER}]}"
)
SERVICE = "{name: web, prefixes: [192.0.2.0/24], ports: [443]}"

# What is added to the minimal configuration, from its line 4 on.
ROWS = {
    # Keys.
    "unknown key": ("limit: {}", "4:1: limit: unknown key; did you mean limits?"),
    "unknown key far from all": (
        "limits: {zzzz: 1}",
        "4:10: limits.zzzz: unknown key; known here: connections, half_open, early_segments,"
        " services, servers",
    ),
    "JSON name": (
        "limits: {halfOpen: 64}", "4:10: limits.halfOpen: unknown key; did you mean half_open?",
    ),
    "key twice": (
        "limits:\n  half_open: 64\n  half_open: 65",
        "6:3: limits.half_open: stands twice, first in line 5",
    ),
    "merge key": (
        "limits: {<<: {half_open: 64}}",
        "4:10: limits.<<: unknown key; keys aren't merged, write them out",
    ),
    "output only": (
        "services: [{name: a, prefixes: [10.0.0.1], ports: [1], effective_options: {}}]",
        "4:56: services[0].effective_options: unknown key;"
        " known here: name, prefixes, ports, options",
    ),
    # Types.
    "list for a mapping": (
        "limits: []", "4:9: limits: must be a mapping of keys to values, not a list",
    ),
    "nothing for a mapping": (
        "limits:", "4:8: limits: has no value; give it one or remove the key",
    ),
    "nothing for a list": (
        "services: ", "4:10: services: has no value; give it one or remove the key",
    ),
    "nothing for an item": (
        "services: [{name: web, prefixes: [192.0.2.1], ports: [1]}, ~]",
        "4:60: services[1]: must be a mapping of keys to values, not nothing",
    ),
    "scalar for a list": ("services: 5", "4:11: services: must be a list, not the single value 5"),
    "mapping for a scalar": (
        "limits: {half_open: {a: 1}}",
        "4:21: limits.half_open: must be a single value, not a mapping",
    ),
    "nothing for a scalar": (
        "limits: {half_open: }",
        "4:21: limits.half_open: has no value; give it one or remove the key",
    ),
    "tag": (
        "limits: {half_open: !x 64}",
        "4:21: limits.half_open: must be a single value, not the tag !x",
    ),
    # YAML 1.1's guesses.
    "octal": (
        "limits: {half_open: 0100}",
        "4:21: limits.half_open: must be written without leading zeros, not 0100",
    ),
    "hexadecimal": (
        "limits: {half_open: 0x64}",
        "4:21: limits.half_open: must be a whole number in decimal digits, not 0x64",
    ),
    "underscores": (
        "limits: {half_open: 1_000}",
        "4:21: limits.half_open: must be a whole number in decimal digits, not 1_000",
    ),
    "sexagesimal": (
        "limits: {half_open: 1:40}",
        "4:21: limits.half_open: must be a whole number in decimal digits, not 1:40",
    ),
    "float": (
        "limits: {half_open: 64.0}",
        "4:21: limits.half_open: must be a whole number in decimal digits, not 64.0",
    ),
    "number in quotes": (
        'limits: {half_open: "64"}', "4:21: limits.half_open: must be written without quotes: 64",
    ),
    "word in quotes": (
        'limits: {half_open: "many"}',
        "4:21: limits.half_open: must be a whole number in decimal digits, not many",
    ),
    "yes in quotes": (
        'memory: {hugepages: "yes"}', "4:21: memory.hugepages: must be true or false, not yes",
    ),
    "yes": (
        "memory: {hugepages: yes}", "4:21: memory.hugepages: must be true or false, not yes",
    ),
    "boolean for a string": (
        "eal: {file_prefix: on}",
        '4:20: eal.file_prefix: plain on is a boolean in YAML; write "on"',
    ),
    "number for a string": (
        "eal: {arguments: [5]}", '4:19: eal.arguments[0]: plain 5 is a number in YAML; write "5"',
    ),
    "date for a string": (
        "eal: {arguments: [2024-01-02]}",
        '4:19: eal.arguments[0]: plain 2024-01-02 is a date in YAML; write "2024-01-02"',
    ),
    # Ranges.
    "below": (
        "defaults: {mss: 535}", "4:17: defaults.mss: must be 536..8960 bytes, not 535",
    ),
    "above": (
        "defaults: {mss_ipv6: 8941}", "4:22: defaults.mss_ipv6: must be 1220..8940 bytes, not 8941",
    ),
    "negative": (
        "defaults: {wscale: -1}", "4:20: defaults.wscale: must be 0..14 bits, not -1",
    ),
    "beyond 32 bits": (
        "defaults: {wscale: 4294967296}",
        "4:20: defaults.wscale: must be 0..14 bits, not 4294967296",
    ),
    "section twice": ("ports: {}", "4:1: ports: stands twice, first in line 1"),
    "duration without unit": (
        "defaults: {syn_timeout: 1}",
        "4:25: defaults.syn_timeout: must be a duration such as 30s, 5m or 1h30m, not 1;"
        " it needs a unit",
    ),
    "duration too short": (
        "defaults: {timeouts: {established: 3s}}",
        "4:36: defaults.timeouts.established: must be 4s..48h in steps of 1s, not 3s",
    ),
    "duration too fine": (
        "defaults: {timeouts: {closed: 4500ms}}",
        "4:31: defaults.timeouts.closed: must be 4s..1h in steps of 1s, not 4.5s",
    ),
    # Words.
    "log level": (
        "eal: {log_level: loud}",
        "4:18: eal.log_level: must be one of emergency, alert, critical, error, warning, notice,"
        " info, debug, not loud",
    ),
    "address beyond loopback": (
        "management: {address: 192.0.2.1:50051}",
        "4:23: management.address: must be a loopback address, since callers aren't"
        " authenticated: 192.0.2.1:50051",
    ),
    "address without port": (
        "management: {address: 127.0.0.1}",
        "4:23: management.address: must be unix:/absolute/path, 127.0.0.1:port or [::1]:port,"
        " not 127.0.0.1",
    ),
    # Listeners.
    "listener without role or tls": (
        "management: {listeners: [{address: 127.0.0.1:1}]}",
        "4:26: management.listeners[0]: needs one of role, tls",
    ),
    "listener with both": (
        f"management: {{listeners: [{{address: 127.0.0.1:1, role: ADMIN, tls: {TLS}}}]}}",
        "4:62: management.listeners[0].tls: excludes role, which is set as well",
    ),
    "listener without address": (
        "management: {listeners: [{role: VIEWER}]}",
        "4:26: management.listeners[0].address: is required",
    ),
    "address of two listeners": (
        'management: {listeners: [{address: "unix:/a", role: VIEWER},'
        ' {address: "unix:/a", role: ADMIN}]}',
        "4:72: management.listeners[1].address: unix:/a is management.listeners[0].address"
        " already",
    ),
    "a listener where the admins' own is": (
        'management: {listeners: [{address: "unix:/run/synproxy/api.sock", role: VIEWER}]}',
        "4:36: management.listeners[0].address: unix:/run/synproxy/api.sock is"
        " management.address already",
    ),
    "health at a name": (
        "management: {health_address: localhost:50052}",
        "4:30: management.health_address: must be an IP address and a port such as 127.0.0.1:9105"
        " or [::]:9105, not localhost:50052",
    ),
    "health at a socket": (
        'management: {health_address: "unix:/run/synproxy/health.sock"}',
        "4:30: management.health_address: must be an IP address and a port such as 127.0.0.1:9105"
        " or [::]:9105, not unix:/run/synproxy/health.sock",
    ),
    "health where metrics are": (
        'management: {metrics_address: "[::]:9105", health_address: "[::]:9105"}',
        "4:60: management.health_address: [::]:9105 is management.metrics_address already",
    ),
    "a listener where health is": (
        'management: {health_address: "127.0.0.1:1",'
        ' listeners: [{address: "127.0.0.1:1", role: VIEWER}]}',
        "4:67: management.listeners[0].address: 127.0.0.1:1 is management.health_address already",
    ),
    "role for all the world": (
        "management: {listeners: [{address: 192.0.2.1:1, role: VIEWER}]}",
        "4:36: management.listeners[0].address: must be a loopback address or have tls, not role:"
        " 192.0.2.1:1",
    ),
    "unknown role": (
        "management: {listeners: [{address: 127.0.0.1:1, role: ROOT}]}",
        "4:55: management.listeners[0].role: must be VIEWER or OPERATOR or ADMIN, not ROOT",
    ),
    "group of a TCP listener": (
        "management: {listeners: [{address: 127.0.0.1:1, role: VIEWER, group: wheel}]}",
        "4:70: management.listeners[0].group: goes with a Unix socket only",
    ),
    "tls at a Unix socket": (
        f'management: {{listeners: [{{address: "unix:/a", tls: {TLS}}}]}}',
        "4:52: management.listeners[0].tls: goes with TCP only; a Unix socket has a role",
    ),
    "tls for nobody": (
        "management: {listeners: [{address: 192.0.2.1:1,"
        " tls: {certificate_file: /c, key_file: /k, client_ca_file: /a}}]}",
        "4:54: management.listeners[0].tls.roles: is required",
    ),
    "two roles for a name": (
        "management: {listeners: [{address: 192.0.2.1:1,"
        " tls: {certificate_file: /c, key_file: /k, client_ca_file: /a,"
        " roles: [{name: a, role: VIEWER}, {name: a, role: ADMIN}]}}]}",
        "4:151: management.listeners[0].tls.roles[1].name: a has its role from"
        " management.listeners[0].tls.roles[0] already",
    ),
    # Services.
    "service without ports": (
        "services: [{name: web, prefixes: [192.0.2.1]}]", "4:12: services[0].ports: is required",
    ),
    "service with empty prefixes": (
        "services: [{name: web, prefixes: [], ports: [443]}]",
        "4:34: services[0].prefixes: is required",
    ),
    "name": (
        "services: [{name: Web_1, prefixes: [192.0.2.1], ports: [443]}]",
        "4:19: services[0].name: must be 1..63 lower case letters, digits and inner hyphens,"
        " from a letter on, not Web_1",
    ),
    "name twice": (
        f"services:\n- {SERVICE}\n- {{name: web, prefixes: [192.0.2.1], ports: [1]}}",
        "6:10: services[1].name: web is the name of services[0], too",
    ),
    "host bits": (
        "services: [{name: web, prefixes: [192.0.2.1/24], ports: [443]}]",
        "4:35: services[0].prefixes[0]: 192.0.2.1/24 has host bits set;"
        " did you mean 192.0.2.0/24?",
    ),
    "prefix twice": (
        "services: [{name: web, prefixes: [192.0.2.1, 192.0.2.1/32], ports: [443]}]",
        "4:46: services[0].prefixes[1]: 192.0.2.1/32 stands twice",
    ),
    "ports backwards": (
        "services: [{name: web, prefixes: [192.0.2.1], ports: [81-80]}]",
        "4:55: services[0].ports[0]: 81-80 runs backwards; did you mean 80-81?",
    ),
    "own ports overlap": (
        "services: [{name: web, prefixes: [192.0.2.1], ports: [80-90, 85]}]",
        "4:62: services[0].ports[1]: 85 overlaps 80-90",
    ),
    "services overlap": (
        f"services:\n- {SERVICE}\n- {{name: b, prefixes: [192.0.2.0/24], ports: [400-500]}}",
        "6:24: services[1].prefixes[0]: 192.0.2.0/24 with port 443 belongs to web already",
    ),
    # What fields forbid each other.
    "half open above connections": (
        "limits: {connections: 1024, half_open: 2048}",
        "4:40: limits.half_open: must not exceed limits.connections, 1024",
    ),
    "plain number for a word": (
        "defaults: {activation: 0}",
        "4:24: defaults.activation: must be ALWAYS or AUTO or MONITOR or OFF, not 0",
    ),
    "limits above memory": (
        "limits: {connections: 67108864}",
        "4:23: limits.connections: connections, buffers, early segments, servers and services take"
        " at least 4176 MiB; memory.size_mib is 512",
    ),
    "buffers above memory": (
        "memory: {buffers: 1000000}",
        "4:19: memory.buffers: connections, buffers, early segments, servers and services take"
        " at least 2269 MiB; memory.size_mib is 512",
    ),
    "too few buffers": (
        "memory: {buffers: 1023}",
        "4:19: memory.buffers: must be 6144 at least, which the queues' descriptors can hold",
    ),
    "worker on the control core": (
        "workers: {lcores: [0]}",
        "4:20: workers.lcores[0]: 0 is the control core; a worker needs one of its own",
    ),
    "worker twice": ("workers: {lcores: [1, 1]}", "4:23: workers.lcores[1]: 1 stands twice"),
}

MANY = """\
ports:
  client: {interfce: eth1}
  server: {interface: eth1, driver: AF_PAKET}
limits:
  half_open: 010
services:
  - name: web
    prefixes: [192.0.2.0/24, 10.1.1.1/8]
    ports: [443]
    options: {mss: 100, timeouts: {established: 49h}}
  - name: web
    prefixes: [192.0.2.0/24]
    ports: [400-500, 70000]
managment: {}
"""
MANY_LISTENERS = """\
ports: {client: {device: net_ring0}, server: {device: net_ring1}}
management:
  address: 192.0.2.1:1
  listeners:
    - {address: "unix:a", role: VIEW}
    - {address: 192.0.2.1:1, group: 5, role: VIEWER}
    - address: 192.0.2.1:2
      tls:
        certificate_file: daemon.pem
        roles: [{name: a}, {name: a, role: ADMIN}]
"""
MANY_LISTENERS_PLACES = [
    "3:12: management.address",
    "5:17: management.listeners[0].address",
    "5:33: management.listeners[0].role",
    "6:17: management.listeners[1].address",
    "6:37: management.listeners[1].group",
    "9:9: management.listeners[2].tls.key_file",
    "9:9: management.listeners[2].tls.client_ca_file",
    "9:27: management.listeners[2].tls.certificate_file",
    "10:17: management.listeners[2].tls.roles[0].role",
    "10:35: management.listeners[2].tls.roles[1].name",
]
MANY_REASONS = """\
2:12: ports.client.interfce: unknown key; did you mean interface?
3:37: ports.server.driver: must be AF_XDP or AF_PACKET, not AF_PAKET
5:14: limits.half_open: must be written without leading zeros, not 010
8:30: services[0].prefixes[1]: 10.1.1.1/8 has host bits set; did you mean 10.0.0.0/8?
10:20: services[0].options.mss: must be 536..8960 bytes, not 100
10:49: services[0].options.timeouts.established: must be 4s..48h in steps of 1s, not 49h
11:11: services[1].name: web is the name of services[0], too
12:16: services[1].prefixes[0]: 192.0.2.0/24 with port 443 belongs to web already
13:22: services[1].ports[1]: ports must be 1..65535, not 70000
14:1: managment: unknown key; did you mean management?
"""


@pytest.mark.parametrize(("addition", "problem"), ROWS.values(), ids=ROWS.keys())
def test_it_is_told_where_it_stands(problems, minimal, addition, problem):
    assert problems(minimal + addition) == [problem]


def test_all_are_told_at_once_in_the_order_of_the_file(problems):
    assert problems(MANY) == MANY_REASONS.splitlines()
    told = [": ".join(line.split(": ")[:2]) for line in problems(MANY_LISTENERS)]
    assert told == MANY_LISTENERS_PLACES


@pytest.mark.parametrize(
    ("services", "line"),
    [
        ([f"{{name: s{n}, prefixes: [10.0.0.{n}], ports: [1]}}" for n in range(5)],
         "5:3: services: 5 services; limits.services is 4"),
        (["{name: a, prefixes: [10.0.0.1], ports: [1, 3, 5, 7]}"],
         "5:44: services[0].ports: 4 port ranges; 3 are the most"),
        (["{name: a, prefixes: [10.0.0.1, 10.0.0.2], ports: [1, 3, 5]}"],
         "5:3: services: 6 pairs of a prefix and a port range; 5 are the most"),
    ],
)
def test_the_data_planes_bounds_are_held(problems, minimal, monkeypatch, services, line):
    for name, bound in (("PORT_RANGES_MAX", 3), ("RULES_MAX", 5)):
        monkeypatch.setattr(rules, name, bound)
    text = minimal + "services:\n" + "".join(f"  - {service}\n" for service in services)
    assert problems(text + "limits: {services: 4}\n") == [line]


def test_an_alias_is_read_where_it_is_used(problems, minimal):
    text = """\
    services:
      - {name: a, prefixes: &hosts [192.0.2.1], ports: [80]}
      - {name: b, prefixes: *hosts, ports: [81]}
    """
    assert problems(minimal + textwrap.dedent(text)) == []


@pytest.mark.parametrize("text", ["", "limits: {zzzz: 1}", "{"], ids=repr)
def test_pythons_collector_rests_while_a_file_is_read(problems, minimal, monkeypatch, text):
    collected = []

    def watched(content):
        collected.append(gc.isenabled())
        return document_parse(content)

    monkeypatch.setattr("appliance.config.load.document_parse", watched)
    assert bool(problems(minimal + text)) == bool(text)
    assert (collected, gc.isenabled()) == ([False], True)
