"""What README shows of access works as it stands there."""

import json
import re
import subprocess
from pathlib import Path

from synproxy.v1.rule_pb2 import ROLE_OPERATOR, ROLE_VIEWER
from synproxy.v1.services_service_pb2 import UpdateServiceRequest
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.config.load import config_parse
from appliance.exit_codes import ExitCode
from appliance.host.certificates import holds_authority, pair_misfit
from cython_core.dataplane import COUNTERS, EVENT_REASONS

from .doors import channel_with

README = (Path(__file__).parents[2] / "README.md").read_text()
ACCESS = README.partition("## Who may manage it\n")[2].partition("\n## ")[0]


def block(kind):
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", ACCESS, re.MULTILINE | re.DOTALL)
    return found


def test_its_configuration_is_taken(minimal):
    config = config_parse((minimal + block("yaml")).encode(), "f")
    viewers, controllers = config.management.listeners
    assert (viewers.group, viewers.role) == ("synproxy-viewers", ROLE_VIEWER)
    assert {named.name: named.role for named in controllers.tls.roles} == {
        "controller.example": ROLE_OPERATOR, "grafana.example": ROLE_VIEWER,
    }


def test_its_commands_make_certificates(tmp_path):
    commands = block("sh").replace("\\\n", " ").splitlines()
    for command in commands:
        if command.startswith("openssl "):
            subprocess.run(command, shell=True, check=True, cwd=tmp_path, capture_output=True)
    assert pair_misfit(f"{tmp_path}/controller.pem", f"{tmp_path}/controller.key") is None
    assert holds_authority((tmp_path / "callers-ca.pem").read_bytes())
    shown = subprocess.run(
        ["openssl", "x509", "-in", "controller.pem", "-noout", "-ext", "subjectAltName"],
        check=True, cwd=tmp_path, capture_output=True, text=True,
    )
    assert "DNS:controller.example" in shown.stdout


def test_the_reasons_that_it_watches_and_captures_are_seen_with_the_default():
    """Where unknown_flow is FORWARD, no cookie is invalid."""
    reasons = set(re.findall(r"--reason (\w+)", README))
    assert reasons
    assert reasons <= {*EVENT_REASONS} - {"cookie_invalid"}


def test_what_grows_at_night_is_counted():
    night = README.partition("## At 3 a.m., under attack\n")[2].partition("\n## ")[0]
    grows = [row.split("|")[1] for row in night.splitlines() if row.startswith("| `")]
    names = {name for cell in grows for name in re.findall(r"`(\w+)`", cell)}
    assert len(grows) > 5
    assert names <= {*COUNTERS}


def test_each_exit_code_is_told():
    table = README.partition("| exit code | |\n")[2].partition("\n\n")[0]
    assert sorted(int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)) == [
        *map(int, ExitCode)]


def test_its_line_of_the_log_is_one(doors, authority):
    """The same fields in the same order, and the same change."""
    caller = authority.certificate("controller", "DNS:operator.example")
    request = UpdateServiceRequest()
    request.service.name, request.service.options.mss = "web", 1300
    with channel_with(doors.tls, authority, caller) as channel:
        ServicesServiceStub(channel).UpdateService(request, timeout=10)
    (line,), shown = doors.daemon.lines(1), json.loads(block("json"))
    assert list(line) == list(shown)
    assert (line["audit"], line["method"]) == (shown["audit"], shown["method"])
    assert {name: list(fields) for name, fields in shown["resources"].items()} == {
        name: list(fields) for name, fields in line["resources"].items()
    }
