"""Thirty combinations of faults on the client's wire: are the bytes right, are handshakes done?

    python tests/bench/faults.py [streams|handshakes|all] [--direct] [--flows 20] [--mib 1]

Each combination carries its flows at once, so many MiB both ways each, over IPv4 and IPv6; at no
more than 5 % loss it is asked for handshakes as well.  `--direct` puts a bridge in the proxy's
place.  Exits 0 only if every byte was right and 99.9 % of the handshakes were done in time.
"""

import argparse

from rich.console import Console

from appliance.lab.bridge import bridged
from appliance.lab.peers import start_peers
from appliance.lab.program import lab_program, within
from appliance.lab.proxy import Proxy
from appliance.lab.topology import Lab
from appliance.lab.trials import (
    COMBINATIONS,
    FLOWS,
    HANDSHAKE_S,
    handshake_trial,
    start_patient_peers,
    stream_trial,
)

ASKED = [faults for faults in COMBINATIONS if faults.loss <= 0.05]     # for handshakes
HANDSHAKE_GOAL = 0.999
HANDSHAKES_AT_ONCE = 250
FIRST_PORT = 10_000         # trials of a lab share no port: former ones are in TIME-WAIT
PORTS = (1 << 16) - FIRST_PORT
MIB = 1 << 20


def main() -> int:
    given = arguments()
    return lab_program(Console(), lambda: run(given))


def run(given: argparse.Namespace) -> int:
    between = bridged if given.direct else lambda lab: Proxy(lab, "AF_XDP")
    right = True
    if given.part != "handshakes":
        with Lab(wires=("client",)) as lab, between(lab):
            start_patient_peers(lab)
            right &= streams(lab, given.flows, int(given.mib * MIB))
    if given.part != "streams":
        with Lab(wires=("client",)) as lab, between(lab):
            start_peers(lab)
            right &= handshakes(lab, given.handshakes)
    return 0 if right else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=("streams", "handshakes", "all"),
                        default="all")
    parser.add_argument("--direct", action="store_true", help="without the proxy")
    parser.add_argument("--flows", type=within(1, PORTS // len(COMBINATIONS)), default=FLOWS,
                        help="default %(default)s")
    parser.add_argument("--mib", type=within(0.0, 64.0), default=1,
                        help="of each flow, each way; default 1")
    parser.add_argument("--handshakes", type=within(1, PORTS // len(ASKED)), default=1000,
                        help="default %(default)s")
    return parser.parse_args()


def streams(lab: Lab, flows: int, stream_bytes: int) -> bool:
    """A line for each combination; true if every stream of all came back as it was sent."""
    print(f"{flows} streams of {stream_bytes / MIB:g} MiB both ways, at once")
    print(f"{'whole':>9} {'s':>6} {'arrived':>8} {'lost':>7} {'doubled':>8} {'overtaken':>10} "
          f"{'corrupted':>10}")
    whole = 0
    for number, faults in enumerate(COMBINATIONS):
        trial = stream_trial(lab, "client", faults, flows=flows, stream_bytes=stream_bytes,
                             first_port=FIRST_PORT + number * flows)
        right, did = flows - len(trial.failures), trial.carried
        whole += right
        print(f"{right:4} of {flows:2} {trial.seconds:6.1f} {did['arrived']:8} {did['lost']:7} "
              f"{did['duplicated']:8} {did['reordered']:10} {did['corrupted']:10}  {faults}",
              flush=True)
        for outcome in trial.failures:
            print(f"          {outcome}")
        if did["overflow"] or did["missed"]:
            print(f"          and not on order: {did['overflow']} overflow, {did['missed']} missed")
    print(f"{whole} of {flows * len(COMBINATIONS)} streams whole")
    return whole == flows * len(COMBINATIONS)


def handshakes(lab: Lab, count: int) -> bool:
    """A line for each combination of little loss; true if enough were done in time."""
    print(f"{count} handshakes, until the server's first byte, {HANDSHAKES_AT_ONCE} at once")
    print(f"{'in time':>8} {'median s':>9} {'99 % s':>7} {'all s':>6}")
    in_time = asked = 0
    for faults in ASKED:
        trial = handshake_trial(lab, "client", faults, count=count, at_once=HANDSHAKES_AT_ONCE,
                                first_port=FIRST_PORT + asked)
        share = trial.share_within(HANDSHAKE_S)
        heard_s = sorted(outcome.first_byte_s if outcome.first_byte_s is not None else float("inf")
                         for outcome in trial.outcomes)
        asked += count
        in_time += round(share * count)
        print(f"{share:8.2%} {heard_s[count // 2]:9.3f} {heard_s[count * 99 // 100]:7.2f} "
              f"{heard_s[-1]:6.2f}  {faults}", flush=True)
    print(f"{in_time} of {asked} within {HANDSHAKE_S} s: {in_time / asked:.3%}")
    return in_time >= HANDSHAKE_GOAL * asked


if __name__ == "__main__":
    raise SystemExit(main())
