"""The program that is counted: each case's bursts through the stages of a proxy of their own.

    valgrind ... python tests/bench/instruction_driver.py CASES VECTOR

CASES is a pickle of dicts: Case's fields (instruction_cases); VECTOR one of workers.vector.  It
imports little, since all of it runs under valgrind.
"""

import pickle
import sys
from pathlib import Path

from cython_core._testing_proxy import Box


def main() -> None:
    for case in pickle.loads(Path(sys.argv[1]).read_bytes()):
        box = Box(case["services"], case["now_ms"], vector=sys.argv[2], **case["sizes"])
        for from_client, frames in case["before"]:
            box.run(frames, from_client)
        verdicts = set(box.run_stages(case["bursts"], case["from_client"]))
        if verdicts != {case["verdict"]}:
            raise SystemExit(f"{case['name']}: {verdicts} instead of {case['verdict']}")


if __name__ == "__main__":
    main()
