"""The daemon takes the ports, and gives them back however it is asked to end."""

import signal

import pytest

from appliance.lab.bridge import bridged
from appliance.lab.namespace import LabError
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, Lab


def interfaces(lab: Lab) -> str:
    return lab.proxy.run(["ip", "-details", "link", "show"]).stdout


def refused(proxy: Proxy) -> list[str]:
    """What a daemon said that would not start."""
    with pytest.raises(LabError), proxy:
        pass
    assert proxy.process.returncode > 0
    words = proxy.log()
    assert "Traceback" not in words
    return words.splitlines()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(lab: Lab, driver: str, how: signal.Signals) -> None:
    with Proxy(lab, driver) as proxy:
        lab.client.run(["ping", "-c", "1", "-W", "2", SERVER_IPV4])
        received = proxy.counters()["received"]
        assert proxy.stop(how) == 0
        printed = proxy.log()
    assert received > 0
    assert "received" in printed, printed
    assert "xdp" not in interfaces(lab)
    assert "promiscuity 0" in interfaces(lab)


def test_the_kernel_has_the_ports_back(lab: Lab, driver: str) -> None:
    with Proxy(lab, driver):
        pass
    with bridged(lab):
        lab.client.run(["ping", "-c", "1", "-w", "5", SERVER_IPV4])


def test_it_starts_again_at_once(lab: Lab, driver: str) -> None:
    for _ in range(2):
        with Proxy(lab, driver):
            lab.client.run(["ping", "-c", "1", "-W", "2", SERVER_IPV4])


def test_a_busy_interface_is_refused_in_clear_lines(lab: Lab, driver: str) -> None:
    with Proxy(lab, driver) as first:
        words = refused(Proxy(lab, driver, name="second"))
        assert any("client: " in line for line in words), words
        # The first one has not felt it.
        lab.client.run(["ping", "-c", "1", "-W", "2", SERVER_IPV4])
        assert first.stop(signal.SIGTERM) == 0
