"""synproxy port list."""

import click
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.output import format_option, table_text
from appliance.cli.watch import look, watch_options


@click.group("port")
def command() -> None:
    """Show the two ports."""


@command.command("list")
@click.option("--counters", is_flag=True, help="Show what the NIC counts itself, too.")
@watch_options()
@format_option
@click.pass_obj
def list_ports(
    address: str | None, counters: bool, watch: bool, interval: float, output: str
) -> None:
    """List the ports with their link, driver, queues and offloads.

    SPEED is in Mbit/s.  QUEUES and DESCRIPTORS are for receiving and sending; RSS is symmetric
    where both directions of a flow come to the worker that owns it; OFFLOADS are those in use.
    Counters that are 0 are left out.
    """
    with connected(address) as channel:
        stub = SystemServiceStub(channel)
        look(
            channel, lambda: stub.ListPorts(api.ListPortsRequest(), timeout=TIMEOUT_S),
            _with_counters if counters else _ports, output, interval if watch else None)


def _with_counters(listed: api.ListPortsResponse) -> str:
    return f"{_ports(listed)}\n\n{_counters(listed)}"


def _ports(listed: api.ListPortsResponse) -> str:
    rows = [
        (
            port.role, port.device, port.driver, "up" if port.link_up else "down",
            port.speed_mbps if port.HasField("speed_mbps") else "-", port.mac, port.mtu_bytes,
            f"{port.rx_queues}/{port.tx_queues}", f"{port.rx_descriptors}/{port.tx_descriptors}",
            "symmetric" if port.symmetric_rss else "-", " ".join(port.tx_offloads) or "-",
        )
        for port in listed.ports
    ]
    head = ("PORT", "DEVICE", "DRIVER", "LINK", "SPEED", "MAC", "MTU", "QUEUES", "DESCRIPTORS",
            "RSS", "OFFLOADS")
    return table_text(head, rows, numbers=(4, 6))


def _counters(listed: api.ListPortsResponse) -> str:
    rows = [
        (port.role, name, count)
        for port in listed.ports for name, count in sorted(port.nic_counters.items()) if count
    ]
    return table_text(("PORT", "COUNTER", "TOTAL"), rows, numbers=(2,))
