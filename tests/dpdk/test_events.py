"""Events of a flood: what a worker passes over is counted on from one watch to the next."""

from ..proxy.segments import Segment
from .conftest import pcap_write

BROKEN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="FS")


def test_what_is_passed_over_counts_on_from_watch_to_watch(plane, tmp_path):
    source, empty = tmp_path / "flood.pcap", tmp_path / "empty.pcap"
    pcap_write(source, [BROKEN.frame()])
    pcap_write(empty, [])
    told = plane(watches=2, client_port=f"net_pcap0,rx_pcap={source},infinite_rx=1",
                 server_port=f"net_pcap1,rx_pcap={empty}")
    (none, *first), (before, *second) = told.watched
    assert none == 0
    assert 0 < first[-1] <= before < second[-1]
    assert first == sorted(first)
    assert second == sorted(second)
