"""What a worker takes of an attack: SYNs, forged ACKs, and all of it at once.

    python tests/bench/rates.py [--family 4] [--rounds 5] [--seconds 1] [--json FILE]

Million frames a second of the worker's CPU time, beside testpmd's macswap on the same frames
through the same driver.  The frames are 4096 of as many clients, again and again.
"""

import multiprocessing
import random
import tempfile
from dataclasses import replace
from pathlib import Path

from arguments import parser_of
from beside import HEADER, beside, write
from contestants import Course, crowd_of
from pcap_file import pcap_write
from syn_pcap import SERVERS, SYNS, syn_pcap_write

RESULTS = Path("bench-results/rates.json")
GOAL = 0.55
# Of a hundred frames of a mixed attack: what meets which counter.
MIX = {"synack_sent": 60, "cookie_invalid": 25, "flags_invalid": 10, "tcp_checksum": 5}


def main() -> int:
    parser = parser_of(__doc__.splitlines()[0], RESULTS)
    parser.add_argument("--family", type=int, choices=(4, 6), help="only this one of both")
    given = parser.parse_args()
    print("one worker, million frames a second of its CPU time")
    print(HEADER)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for family in (given.family,) if given.family else SERVERS:
            for name, course in courses(Path(folder), family).items():
                results.append(beside(f"{name}, IPv{family}", course, given.rounds, given.seconds,
                                      GOAL))
    write(results, given.json, "An attack's frames answered or dropped by one worker")
    return 0


def courses(folder: Path, family: int) -> dict[str, Course]:
    course = Course(folder / f"syn{family}.pcap", servers=(SERVERS[family],), family=family,
                    options={"unknown_flow": "drop"})
    acks = replace(course, client=folder / f"ack{family}.pcap", fate=("cookie_invalid",))
    mixed = replace(course, client=folder / f"mixed{family}.pcap", fate=tuple(MIX))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        syns, forged = pool.apply(record, (course,))
    syn_pcap_write(course.client, servers=course.servers)
    pcap_write(acks.client, forged)
    pcap_write(mixed.client, mix(syns, forged))
    return {"SYN → SYN-ACK": course, "forged ACK → drop": acks, "mixed attack": mixed}


def record(course: Course) -> tuple[list[bytes], list[bytes]]:
    """SYNs, and ACKs that no SYN-ACK has gone before."""
    with crowd_of(course, SYNS) as crowd:
        return (crowd.frames_of(range(SYNS), "SYN"), crowd.frames_of(range(SYNS), "client's ACK"))


def mix(syns: list[bytes], acks: list[bytes]) -> list[bytes]:
    """In the shares of MIX, in a random order that is the same each time."""
    made = {
        "synack_sent": syns, "cookie_invalid": acks,
        "flags_invalid": [flagged(ack) for ack in acks],
        "tcp_checksum": [ack[:-1] + bytes([ack[-1] ^ 1]) for ack in acks],
    }
    frames = [made[fate][at] for fate, share in MIX.items() for at in range(SYNS * share // 100)]
    random.Random(1).shuffle(frames)
    return frames


def flagged(ack: bytes) -> bytes:
    """Its SYN, FIN set: a null scan's kind.  The checksum is mended (RFC 1624)."""
    at = 14 + (20 if ack[12:14] == b"\x08\x00" else 40)
    frame = bytearray(ack)
    frame[at + 13] = 0x03
    sum_ = int.from_bytes(frame[at + 16:at + 18], "big") + ack[at + 13] - 0x03
    frame[at + 16:at + 18] = (sum_ % 0xFFFF).to_bytes(2, "big")
    return bytes(frame)


if __name__ == "__main__":
    raise SystemExit(main())
