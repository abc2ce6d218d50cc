"""The daemon does all of its work under the container's seccomp profile, and under the unit's
filter."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.lab.namespace import python_module, run_tool, synproxy_command
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVERS, Lab
from appliance.lab.waiting import until

from ..appliance.confinement import CAPABILITIES, container_profile, unit_profile
from .test_flood import start_flood

FILTER = "2"                # Seccomp of proc(5): a filter is in force
METRICS = "127.0.0.1:9105"
FLOOD_PPS = 5000
FLOOD_S = 60            # at most: it is ended when enough of it is captured
REQUESTS = 20
SOON_S = 10
PROFILES = {"container": container_profile, "unit": unit_profile}

pytestmark = pytest.mark.usefixtures("large_sha256")


@pytest.fixture(params=PROFILES)
def confined(request: pytest.FixtureRequest, lab: Lab, driver: str) -> Iterator[Proxy]:
    """With all that may be kept of it kept."""
    profile, state = lab.directory / "profile.json", lab.directory / "confined"
    profile.write_text(json.dumps(PROFILES[request.param]()))
    state.mkdir(exist_ok=True)
    shards = Path(f"/dev/shm/synlab-{lab.id}")
    before = python_module(
        "appliance.lab.confined", str(profile), ",".join(CAPABILITIES[driver]))
    with Proxy(lab, driver, name="confined", metrics_address=METRICS, state_folder=str(state),
               shard_file=str(shards), before=before) as proxy:
        yield proxy
    for path in (shards, Path(f"{shards}.lock")):
        path.unlink(missing_ok=True)


def asked(proxy: Proxy, *arguments: str) -> str:
    return run_tool(synproxy_command(*arguments, address=proxy.address)).stdout


def test_it_serves_is_managed_and_goes_on_after_a_kill(confined: Proxy, lab: Lab) -> None:
    status = Path(f"/proc/{confined.process.pid}/status").read_text()
    assert f"Seccomp:\t{FILTER}\n" in status
    for server in SERVERS.values():
        flood = start_flood(lab, server.address, FLOOD_PPS, FLOOD_S)
        asked(confined, "capture", "--count", "10", "--write", "/dev/null")
        flood.send_signal(signal.SIGINT)
        assert json.loads(flood.communicate(timeout=SOON_S)[0])["sent"] > 0
        report = json.loads(lab.client.run(python_module(
            "appliance.lab.prober", server.address, "--count", str(REQUESTS))).stdout)
        assert report["succeeded"] == REQUESTS, report
    counted = confined.counters()
    assert counted["cookie_valid"] >= len(SERVERS) * REQUESTS
    assert counted["synack_sent"] > counted["cookie_valid"]
    assert "mss" in asked(confined, "service", "set", "lab", "mss=1400")
    asked(confined, "secret", "rotate")
    asked(confined, "port", "list", "--counters")
    assert "synproxy_ready 1" in lab.proxy.run(
        ["curl", "-sS", "-m", "5", f"http://{METRICS}/metrics"]).stdout
    confined.file.write_text(confined.file.read_text().replace("7001-7099", "7001-7098"))
    confined.process.send_signal(signal.SIGHUP)
    until(lambda: "7001-7098" in asked(confined, "service", "list"), seconds=SOON_S,
          what="the file to be taken")

    confined.kill()
    confined.start()
    assert confined.beginning().warm
    for server in SERVERS.values():
        assert lab.client.run(["curl", "-sS", "-m", "5", server.url("one")]).stdout == "1"
    assert "not permitted" not in confined.log()
