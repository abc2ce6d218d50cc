"""A change where there is no memory for another snapshot: whole, or not at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

from .daemon_process import READY_S, two_cores

PROGRAM = Path(__file__).with_name("shortage_process.py")
SERVICES = 65_536
# mallopt(3): no thread has address space in reserve, and what is freed goes back to the system.
ENVIRONMENT = {"GLIBC_TUNABLES": ":".join((
    "glibc.malloc.arena_max=1", "glibc.malloc.mmap_threshold=65536",
    "glibc.malloc.trim_threshold=65536"))}


@two_cores
def test_it_changes_nothing_and_the_same_call_succeeds_afterwards(configure):
    config = configure()
    config.write_text(config.read_text().replace("limits: {", f"limits: {{services: {SERVICES}, "))
    done = subprocess.run(
        [sys.executable, "-P", str(PROGRAM), str(config)], capture_output=True, text=True,
        timeout=2 * READY_S, env=os.environ | ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    changes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(changes) == 5
    for change in changes:
        assert (change["code"], change["details"]) == (
            "RESOURCE_EXHAUSTED", "no memory for another snapshot, and nothing is changed: give the"
            " daemon more, or end what else takes it")
        assert change["failed"] == change["before"]
        assert change["done"] != change["before"]
