"""nginx behind the proxy, asked by curl and wrk."""

import hashlib
import re
from collections.abc import Callable

import pytest

from appliance.lab.topology import Lab, Server

Figure = Callable[[str], None]

pytestmark = pytest.mark.usefixtures("proxy", "large_sha256")


def test_one_byte_arrives(lab: Lab, server: Server) -> None:
    assert lab.client.run(["curl", "-sS", "-m", "5", server.url("one")]).stdout == "1"


def test_a_hundred_megabytes_arrive_unharmed(lab: Lab, server: Server, large_sha256: str,
                                             figure: Figure) -> None:
    path = lab.directory / "fetched"
    seconds = lab.client.run(["curl", "-sS", "-m", "60", "-o", str(path), "-w", "%{time_total}",
                              server.url("large")]).stdout
    assert hashlib.sha256(path.read_bytes()).hexdigest() == large_sha256
    figure(f"100 MB in {float(seconds):.2f} s")


def test_a_hundred_requests_at_once_are_all_served(lab: Lab, server: Server) -> None:
    codes = lab.client.run(["curl", "-sS", "-m", "20", "--parallel", "--parallel-immediate",
                            "--parallel-max", "100", "-o", "/dev/null", "-w", "%{http_code}\n",
                            server.url("one?[1-100]")]).stdout
    assert codes.split() == ["200"] * 100


@pytest.mark.parametrize(("connection", "seconds"), [("keep-alive", 10), ("close", 5)])
def test_a_load_brings_no_error(lab: Lab, server: Server, connection: str, seconds: int,
                                figure: Figure) -> None:
    report = lab.client.run(["wrk", "-t1", "-c32", f"-d{seconds}s", "--timeout", "5s", "-H",
                             f"Connection: {connection}", server.url("one")]).stdout
    # wrk writes these two lines only where there were any.
    assert "Socket errors" not in report, report
    assert "Non-2xx" not in report, report
    (rate,) = re.findall(r"Requests/sec:\s+(\S+)", report)
    assert float(rate) > 0
    figure(f"{rate} requests/s")
