"""A configuration in the data plane's own terms."""

import pytest
from synproxy.v1.config_pb2 import DRIVER_AF_PACKET, DRIVER_AF_XDP, Config, Port

from appliance.config.attachment import attachment_of, port_device
from appliance.config.listening import Listening, listening_of
from appliance.config.load import config_parse
from appliance.config.settings import metrics_address_of, service_spec, settings_of

FULL = """\
ports:
  client: {interface: eth1}
  server: {interface: eth2, driver: AF_PACKET}
  rx_descriptors: 512
  tx_descriptors: 256
workers: {lcores: [2, 3], control_lcore: 1, vector: x86-64-v2, on_stall: REPORT}
memory: {hugepages: false, size_mib: 256, buffers: 8191, shard_file: /dev/shm/s}
limits: {connections: 65536, half_open: 4096, early_segments: 512, services: 99, servers: 8192}
management: {address: "127.0.0.1:50051"}
eal: {log_level: error, file_prefix: lab, arguments: [--no-telemetry]}
services:
  - {name: web, prefixes: [192.0.2.1, 2001:DB8::/32], ports: [443, 8000-8100]}
  - {name: mail, prefixes: [192.0.2.0/24], ports: ["25"]}
"""


def test_every_setting_of_a_file_reaches_the_data_plane():
    settings = settings_of(config_parse(FULL.encode(), "f"))
    flat = {**vars(settings), "client_port": settings.client_port.device,
            "server_port": settings.server_port.device}
    assert flat == {
        "client_port": "net_af_xdp0,iface=eth1", "server_port": "net_af_packet1,iface=eth2",
        "main_lcore": 1, "worker_lcores": (2, 3), "vector": "x86-64-v2",
        "hugepages": False, "memory_mib": 256, "shard_file": "/dev/shm/s", "file_prefix": "lab",
        "connections": 65536, "half_open": 4096,
        "early_segments": 512, "services": 99, "servers": 8192, "mbufs": 8191,
        "rx_descriptors": 512, "tx_descriptors": 256, "eal_log_level": "error",
        "extra_eal_args": ("--no-telemetry",), "stall_exit": 8,
        "stall_only_told": True,
    }


def test_a_services_addresses_and_ports_become_canonical():
    config = config_parse(FULL.encode(), "f")
    spec = service_spec(5, config.services[0], config.defaults)
    assert (spec.slot, spec.name) == (5, "web")
    assert list(spec.prefixes) == ["192.0.2.1/32", "2001:db8::/32"]
    assert list(spec.ports) == [(443, 443), (8000, 8100)]


def test_the_api_has_an_address_by_default():
    assert listening_of(Config()) == [Listening("management", "unix:/run/synproxy/api.sock")]


def test_metrics_are_served_where_the_file_says_and_else_nowhere():
    assert metrics_address_of(Config()) == ""
    told = config_parse(FULL.replace("50051", '50051", metrics_address: "[::]:9105').encode(), "f")
    assert metrics_address_of(told) == "[::]:9105"


@pytest.mark.parametrize(
    ("port", "device"),
    [
        (Port(interface="e"), "net_af_xdp1,iface=e"),
        (Port(interface="e", driver=DRIVER_AF_XDP), "net_af_xdp1,iface=e"),
        (Port(interface="e", driver=DRIVER_AF_PACKET), "net_af_packet1,iface=e"),
        (Port(pci="0000:03:00.0"), "0000:03:00.0"),
        (Port(device="net_pcap0,iface=e"), "net_pcap0,iface=e"),
    ],
)
def test_a_port_becomes_a_device(port, device):
    assert port_device(port, 1) == device


@pytest.mark.parametrize(
    ("device", "driver", "interface", "pci"),
    [
        ("net_af_xdp0,iface=eth1,start_queue=2", "net_af_xdp", "eth1", ""),
        ("eth_af_packet3,qpairs=2,iface=eth1", "net_af_packet", "eth1", ""),
        ("net_pcap0,rx_iface=eth1,tx_pcap=a.pcap", "net_pcap", "eth1", ""),
        ("net_tap0,iface=made0", "net_tap", "", ""),
        ("net_ring12", "net_ring", "", ""),
        ("0000:03:00.0", "", "", "0000:03:00.0"),
    ],
)
def test_a_device_tells_what_it_stands_on(device, driver, interface, pci):
    attachment = attachment_of(device)
    assert (attachment.driver, attachment.interface, attachment.pci) == (driver, interface, pci)
