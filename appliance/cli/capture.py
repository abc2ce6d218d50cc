"""synproxy capture."""

from typing import BinaryIO

import click
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import capture_service_pb2 as api
from synproxy.v1.capture_service_pb2_grpc import CaptureServiceStub

from appliance.cli.complete import drop_reasons, service_names
from appliance.cli.connection import connected
from appliance.cli.duration_value import duration_value
from appliance.cli.interrupt import until_ctrl_c
from appliance.cli.ranges import number_option
from appliance.config.schema import fields_of, rule_of

_FIELDS = {field.name: field for field in fields_of(api.CaptureRequest.DESCRIPTOR)}


@click.command("capture")
# Lazy: what is there is kept until the daemon has taken the call and the first part has come.
@click.option("-w", "--write", "file", type=click.File("wb", lazy=True), required=True,
              metavar="FILE", help="The pcapng file to write; - for standard output.")
@click.option("--service", default="", metavar="NAME", shell_complete=service_names,
              help="Only frames of this service.")
@click.option("--prefix", default="", metavar="PREFIX", help="Only frames with an end in it.")
@number_option("--port", field=_FIELDS["port"], words="Only segments with this port.")
@click.option("--reason", "reasons", multiple=True, metavar="NAME", shell_complete=drop_reasons,
              help="Only frames that are dropped for this reason.  May be given again.")
@click.option("--direction", type=click.Choice(["received", "sent"]),
              help="Only frames that come, or that leave.")
@number_option("-c", "--count", field=_FIELDS["packets"], words="End after so many packets.")
@click.option("--time", default=rule_of(_FIELDS["time"]).default, show_default=True,
              callback=duration_value, metavar="DURATION", help="End after that time.")
@number_option("-s", "--snap", field=_FIELDS["snap_bytes"],
               words="Capture so many bytes of each frame.")
@click.pass_obj
def command(
    address: str | None, file: BinaryIO, service: str, prefix: str, port: int | None,
    reasons: tuple[str, ...], direction: str | None, count: int, time: Duration, snap: int,
) -> None:
    """Write frames to a file for Wireshark.

    They are told as they come from the wire and as they leave, until Ctrl-C at the latest.  Why a
    frame was dropped is its comment:

    \b
        synproxy capture --reason unknown_rate --write - |
            tshark -r - -T fields -e frame.comment
    """
    request = api.CaptureRequest(
        service=service, prefix=prefix, port=port, reasons=reasons, packets=count,
        time=time, snap_bytes=snap,
        direction=f"DIRECTION_{direction.upper()}" if direction else None,
    )
    packets = lost = 0
    with connected(address) as channel, until_ctrl_c(channel):
        for answer in CaptureServiceStub(channel).Capture(request):
            file.write(answer.pcapng)
            file.flush()
            packets, lost = answer.packets, answer.lost
    click.echo(f"{packets} packets, {lost} lost", err=True)
