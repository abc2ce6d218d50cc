"""A server's options change while traffic runs: nothing stalls, and the proxy follows.

The server's kernel is told by sysctl to answer without SACK, window scaling or timestamps, or with
another window scale, and back again.  The first connection to each server after a change is
translated and counted, and what its SYN-ACK said is announced to the next; connections that stood
before go on as they were.  A server is an address and a port, so here are four.

Where the server has no timestamps its clients are offered none, and a cookie without timestamps
has no room to say what was learned: their connections are translated for as long as SACK or scale
differ from the service's.  From the next epoch of cookies on one client asks again.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import pytest

from appliance.lab.epochs import CLOCKS_APART_S, EPOCH_S, epoch_await
from appliance.lab.namespace import Namespace
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, SERVER_IPV6, Lab
from appliance.lab.traffic import Kind, Lane, Traffic, Transfer, transfer_all
from appliance.lab.waiting import until

Figure = Callable[[str], None]

# Hosts that send no more at once than every queue between them holds: so no frame is lost, and
# nothing waits for a timer of TCP's.  A handshake's is 1 s (RFC 6298 §2).
SMALL_BUFFERS = {"net/ipv4/tcp_wmem": "4096 16384 65536"}
LARGE_BUFFERS = {"net/ipv4/tcp_wmem": "4096 16384 4194304"}     # Linux's default
STALL_S = 1
ORDER_S = 15                        # no test takes longer after its beginning
ADDRESSES = (SERVER_IPV4, SERVER_IPV6)
SERVERS = list(product(ADDRESSES, (Kind.UP, Kind.DOWN)))
LONG_LIVED = [Lane(address, Kind.TO_AND_FRO) for address in ADDRESSES]
TRANSFERS = 3                       # one after the other, to each server
ABREAST = 3                         # lanes to each server, where many run at once
BULK_BYTES = 4 << 20
PATIENCE_S = 30
COUNTED = ("options_differ", "options_learned", "server_rst_sent")

SACK, SCALING, TIMESTAMPS = (
    f"net/ipv4/tcp_{name}" for name in ("sack", "window_scaling", "timestamps"))
RMEM = "net/ipv4/tcp_rmem"
SERVICE_WSCALE = 7


def scale(wscale: int) -> dict[str, str]:
    """The receive buffer that makes a host offer this scale: what 16 bits hold of it."""
    return {RMEM: f"4096 131072 {1 << 15 + wscale}"}


def switched(on: bool, *options: str) -> dict[str, str]:
    return dict.fromkeys(options, str(int(on)))


# As the service has it where nothing is learned yet.
AS_ANNOUNCED = {**switched(True, SACK, SCALING, TIMESTAMPS), **scale(SERVICE_WSCALE)}
CHANGES_AMID_TRAFFIC = (
    switched(False, SACK), switched(False, SCALING), switched(True, SACK), switched(True, SCALING),
    scale(12), scale(SERVICE_WSCALE), switched(False, TIMESTAMPS),
)
AS_BEFORE = {**AS_ANNOUNCED, **scale(10)}       # Linux's default

# What the server says of segments that make no sense to it: none of these ever moves.  TcpOutRsts
# is not among them: a tail loss probe repeats the FIN to a busy client, which acknowledges it
# twice, and the second ACK finds no connection.
ODD = (
    "TcpInErrs", "TcpEstabResets", "TcpExtTSEcrRejected", "TcpExtPAWSEstab",
    "TcpExtPAWSActive", "TcpExtTCPSACKDiscard", "TcpExtTCPSACKReneging", "TcpExtTCPChallengeACK",
    "TcpExtTCPSYNChallenge", "TcpExtTCPAbortOnData", "TcpExtTCPAbortOnClose",
    "TcpExtTCPAbortOnTimeout", "TcpExtTCPZeroWindowDrop", "TcpExtTCPRcvQDrop",
    "TcpExtBeyondWindow", "TcpExtTCPACKSkippedPAWS", "TcpExtTCPACKSkippedSeq",
    "TcpExtTCPACKSkippedSynRecv", "TcpExtTCPACKSkippedChallenge",
)

# What ends a stall of less than STALL_S: a segment's timer, a SYN's or SYN-ACK's (RFC 6298), a shut
# window's (RFC 9293 §3.8.6.1).
TIMERS = ("TcpExtTCPTimeouts", "TcpExtTCPSynRetrans", "TcpExtTCPWinProbe")


@dataclass(frozen=True)
class Change:
    """What is set at the server, and what that does to each of SERVERS.  As a rule the first of
    its connections differs and the next does no more."""

    name: str
    sysctls: Mapping[str, str]
    differing: int = 1              # of TRANSFERS, one after the other
    learned: int = 1
    asked_again: int = 0            # SYNs anew, for want of timestamps


ORDERS = {
    "SACK first": (
        Change("SACK off", switched(False, SACK)),
        Change("SACK on", switched(True, SACK)),
        Change("scaling off", switched(False, SCALING)),
        Change("SACK off as well", switched(False, SACK)),
        Change("both on", switched(True, SACK, SCALING)),
    ),
    "scaling first": (
        Change("scaling off", switched(False, SCALING)),
        Change("scaling on", switched(True, SCALING)),
        Change("both off", switched(False, SACK, SCALING)),
        Change("scaling on, SACK not yet", switched(True, SCALING)),
        Change("SACK on", switched(True, SACK)),
    ),
    "scales": tuple(Change(f"scale {wscale}", scale(wscale)) for wscale in (11, 14, 9, 7)),
    "timestamps first": (
        Change("timestamps off", switched(False, TIMESTAMPS), asked_again=1),
        Change("nothing", {}, differing=0, learned=0),
        Change("SACK off", switched(False, SACK), differing=TRANSFERS),
        Change("SACK on", switched(True, SACK), differing=0),
        Change("scaling off", switched(False, SCALING), differing=TRANSFERS),
        Change("scaling on", switched(True, SCALING), differing=0),
        Change("scale 11", scale(11), differing=TRANSFERS),
    ),
    "all at once": (
        Change("all off", switched(False, SACK, SCALING, TIMESTAMPS), differing=TRANSFERS,
               asked_again=1),
        # Timestamps are not asked for before the next epoch; what is learned is the rest.
        Change("all on", switched(True, SACK, SCALING, TIMESTAMPS), differing=0),
    ),
}


@pytest.fixture(scope="module", params=["AF_XDP"])
def driver() -> str:
    """What the options become is the same over any driver."""
    return "AF_XDP"


@pytest.fixture
def daemon(lab: Lab, driver: str) -> Iterator[Proxy]:
    """One that knows of no server yet, and servers that are as it takes them to be."""
    lab.server.configure({**AS_ANNOUNCED, **SMALL_BUFFERS})
    lab.client.configure(SMALL_BUFFERS)
    with Proxy(lab, driver) as running:
        yield running
        # Whoever still closes would meet a proxy that knows nothing of it.
        until(lambda: not connected(lab), seconds=PATIENCE_S, what="every connection to end")
    lab.server.configure({**AS_BEFORE, **LARGE_BUFFERS})
    lab.client.configure(LARGE_BUFFERS)


def connected(lab: Lab) -> str:
    """What is open or closing on either host; TIME-WAIT says nothing by itself."""
    return "".join(host.run(["ss", "-Htn", "state", "connected", "exclude", "time-wait"]).stdout
                   for host in (lab.client, lab.server))


@pytest.fixture
def _early_in_an_epoch(daemon: Proxy) -> None:
    """Each epoch asks for timestamps anew: these tests count what happens in one."""
    epoch_await(ORDER_S)


def transport(host: Namespace) -> Counter[str]:
    """TCP's own counters, over both families."""
    shown = json.loads(host.run(["nstat", "-jas"]).stdout)["kernel"]
    return Counter({name: int(value) for name, value in shown.items() if name.startswith("Tcp")})


class Observer:
    """What the proxy and the server's kernel count, from one change to the next; and what waited
    for a timer since the first look."""

    def __init__(self, lab: Lab, proxy: Proxy) -> None:
        self._lab, self._proxy = lab, proxy
        self._before = proxy.counters(), transport(lab.server)
        self._first = [transport(host) for host in (lab.client, lab.server)]
        self._retransmitted_first = self._retransmitted()

    def change(self, sysctls: Mapping[str, str]) -> None:
        self._before = self._proxy.counters(), transport(self._lab.server)
        self._lab.server.configure(sysctls)

    def counted(self) -> Counter[str]:
        return self._proxy.counters() - self._before[0]

    def oddities(self) -> Counter[str]:
        """At the server.  A SYN comes to nothing there only where we have taken it back."""
        gained = transport(self._lab.server) - self._before[1]
        odd = Counter({name: gained[name] for name in ODD if gained[name]})
        if gained["TcpAttemptFails"] != self.counted()["server_rst_sent"]:
            odd["TcpAttemptFails"] = gained["TcpAttemptFails"]
        return odd

    def stalls(self) -> Counter[str]:
        """On either host; and our own SYNs that were sent again for want of an answer."""
        waited = Counter({"server_syn_retrans": self._retransmitted() - self._retransmitted_first})
        for host, first in zip((self._lab.client, self._lab.server), self._first, strict=True):
            gained = transport(host) - first
            waited.update({f"{name} at {host.name}": gained[name] for name in TIMERS})
        return +waited

    def _retransmitted(self) -> int:
        """But for those that ask anew, behind the RST that takes the former one back."""
        counters = self._proxy.counters()
        return counters["server_syn_retrans"] - counters["server_rst_sent"]


def longest_silence_s(transfers: Iterable[Transfer]) -> float:
    """Of transfers that have ended, each with every byte as it was sent."""
    transfers = list(transfers)
    assert not [transfer for transfer in transfers if transfer.failure]
    silence_s = max(transfer.silence_s for transfer in transfers)
    assert silence_s < STALL_S
    return silence_s


@pytest.mark.usefixtures("_early_in_an_epoch", "journal")
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_change_is_followed_after_one_connection(
        lab: Lab, proxy: Proxy, order: tuple[Change, ...], figure: Figure) -> None:
    lanes = [Lane(*server, transfers=TRANSFERS) for server in SERVERS]
    observer = Observer(lab, proxy)
    with Traffic(lab, LONG_LIVED) as beside:
        longest_silence_s(transfer_all(lab, lanes))
        until(lambda: proxy.counters()["server_established"] == len(LONG_LIVED)
              + len(SERVERS) * TRANSFERS, seconds=PATIENCE_S, what="the first connections")
        assert observer.counted()["options_differ"] == 0
        for change in order:
            observer.change(change.sysctls)
            longest_silence_s(transfer_all(lab, lanes))
            counted = observer.counted()
            assert (change.name, *(counted[name] / len(SERVERS) for name in COUNTED)) == (
                change.name, change.differing, change.learned, change.asked_again)
            assert not observer.oddities()
    silence_s = longest_silence_s(beside.transfers())
    assert not observer.stalls()
    assert len(beside.transfers()) == len(LONG_LIVED), "each outlived all changes"
    carried = sum(transfer.carried_bytes for transfer in beside.transfers())
    figure(f"beside it {carried / 1e6:.0f} MB to and fro, longest silence {silence_s:.2f} s")


@pytest.mark.usefixtures("_early_in_an_epoch", "journal")
def test_many_connections_at_once_stall_at_no_change(lab: Lab, proxy: Proxy,
                                                     figure: Figure) -> None:
    """A lane opens its next connection when the former one has ended: so, of each lane, one at
    most is under way while a change becomes known; and no sysctl is set at once with another."""
    lanes = [Lane(*server, BULK_BYTES) for server in SERVERS * ABREAST]
    observer = Observer(lab, proxy)
    with Traffic(lab, [*lanes, *LONG_LIVED]) as traffic:
        until(lambda: begun_and_ended(traffic, lanes, since_s=0), seconds=PATIENCE_S,
              what="transfers before the first change")
        for sysctls in CHANGES_AMID_TRAFFIC:
            since_s = time.monotonic()
            observer.change(sysctls)
            until(lambda: begun_and_ended(traffic, lanes, since_s),  # noqa: B023
                  seconds=PATIENCE_S, what=f"transfers after {sysctls}")
            counted = observer.counted()
            assert len(SERVERS) <= counted["options_differ"] <= len(lanes)
            assert counted["options_learned"] == len(SERVERS)
            assert not observer.oddities()
    transfers = traffic.transfers()
    assert not observer.stalls()
    figure(f"{len(transfers)} transfers amid {len(CHANGES_AMID_TRAFFIC)} changes, "
           f"longest silence {longest_silence_s(transfers):.2f} s")


def begun_and_ended(traffic: Traffic, lanes: Sequence[Lane], since_s: float) -> bool:
    """Two transfers of each lane: whatever was under way at `since_s` is over."""
    new = Counter(transfer.lane for transfer in traffic.transfers() if transfer.began_s > since_s)
    return all(new[lane] >= 2 for lane in range(len(lanes)))


@pytest.mark.usefixtures("_early_in_an_epoch", "journal")
def test_timestamps_are_asked_for_again_in_the_next_epoch(lab: Lab, proxy: Proxy) -> None:
    lanes = [Lane(*server, transfers=1) for server in SERVERS]
    observer = Observer(lab, proxy)
    observer.change(switched(False, TIMESTAMPS))
    longest_silence_s(transfer_all(lab, lanes))
    assert observer.counted()["server_rst_sent"] == len(SERVERS)
    epoch = time.time() // EPOCH_S
    observer.change(switched(True, TIMESTAMPS))
    longest_silence_s(transfer_all(lab, lanes))
    assert observer.counted()["options_learned"] == 0
    until(lambda: (time.time() - CLOCKS_APART_S) // EPOCH_S > epoch,
          seconds=EPOCH_S + CLOCKS_APART_S, what="the next epoch")
    longest_silence_s(transfer_all(lab, lanes))
    assert observer.counted()["options_learned"] == len(SERVERS)
    assert observer.counted()["options_differ"] == 0
    assert not observer.oddities()
    assert not observer.stalls()
