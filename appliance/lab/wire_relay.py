"""The relay: `python -m appliance.lab.wire_relay --help`, in a namespace of its own.

It carries the frames of two interfaces to and fro through a fault model.  An order is a line
of JSON on stdin, {"harm": …} or {} to read only, and is answered by a line of JSON on stdout
once it holds: the counts of each direction and how often each rule has hit.  The end of stdin
is the relay's end.

Besides the model's counts:
    sent        given to the interface on the other side
    overflow    not taken there, by the socket (ENOBUFS, EAGAIN) or by the interface (its
                tx_dropped: veth's far end has no room)
    missed      arrived while our receive buffer was full
At a quiet moment arrived + duplicated = lost + crowded + sent + overflow.
"""

import argparse
import errno
import json
import select
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from appliance.lab.fault_model import FaultModel
from appliance.lab.faults import Harm, Way
from appliance.lab.packet_socket import missed_frames, open_packet_socket, receive

BURST = 64                      # frames from one side before the other has its turn
NS_PER_S = 1_000_000_000
NO_ROOM = {errno.ENOBUFS, errno.EAGAIN}
# An interface that is down for a moment loses what it is given, as a pulled cable does.
DOWN = {errno.ENETDOWN, errno.ENXIO}


class End:
    """An interface of the wire, and what leaves there."""

    def __init__(self, interface: str) -> None:
        self.packets = open_packet_socket(interface)
        self.packets.setblocking(False)
        self.sent = self.refused = self._missed = 0
        self._statistics = Path(f"/sys/class/net/{interface}/statistics/tx_dropped")
        self._dropped_before = self._dropped()

    def send(self, frame: bytes) -> None:
        try:
            self.packets.send(frame)
            self.sent += 1
        except OSError as error:
            if error.errno not in NO_ROOM | DOWN:
                raise
            self.refused += 1

    def receive_burst(self) -> list[bytes]:
        frames: list[bytes] = []
        try:
            while len(frames) < BURST:
                frames.append(receive(self.packets))
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in DOWN:
                raise
        return frames

    def dropped(self) -> int:
        """Of those sent, the ones that the interface has dropped since we began."""
        return self._dropped() - self._dropped_before

    def missed(self) -> int:
        self._missed += missed_frames(self.packets)
        return self._missed

    def _dropped(self) -> int:
        return int(self._statistics.read_text())


class Relay:
    """Two ends and the model between them."""

    def __init__(self, client: End, server: End) -> None:
        self._model = FaultModel(Harm())
        self._from = {Way.TO_SERVER: client, Way.TO_CLIENT: server}
        self._to = {Way.TO_SERVER: server, Way.TO_CLIENT: client}

    def run(self) -> None:
        ways = {end.packets: way for way, end in self._from.items()}
        while True:
            readable, _, _ = select.select([sys.stdin.buffer, *ways], [], [], self._patience_s())
            now_ns = time.monotonic_ns()
            for packets, way in ways.items():
                if packets in readable:
                    for frame in self._from[way].receive_burst():
                        self._model.take(way, frame, now_ns)
            for way, frame in self._model.due(time.monotonic_ns()):
                self._to[way].send(frame)
            if sys.stdin.buffer in readable:
                line = sys.stdin.buffer.readline()
                if not line:
                    return
                print(json.dumps(self._answer(line)), flush=True)

    def _patience_s(self) -> float | None:
        due_ns = self._model.next_due_ns()
        return None if due_ns is None else max(0, due_ns - time.monotonic_ns()) / NS_PER_S

    def _answer(self, line: bytes) -> dict[str, Any]:
        order = json.loads(line)
        if "harm" in order:
            self._model.obey(Harm.from_json(order["harm"]))
        return {"rule_hits": self._model.rule_hits, **{way: self._counts(way) for way in Way}}

    def _counts(self, way: Way) -> Counter[str]:
        end, dropped = self._to[way], self._to[way].dropped()
        return self._model.counts[way] + Counter(
            sent=end.sent - dropped, overflow=end.refused + dropped,
            missed=self._from[way].missed())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m appliance.lab.wire_relay",
                                     description="Carry frames through a fault model.")
    parser.add_argument("client", help="the interface toward the client")
    parser.add_argument("server", help="the interface toward the server")
    given = parser.parse_args()
    # Its receive queues fill from here on, so who waits for "ready" loses nothing.
    relay = Relay(End(given.client), End(given.server))
    print("ready", flush=True)
    relay.run()


if __name__ == "__main__":
    main()
