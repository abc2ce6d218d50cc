"""A wire of the lab that does harm on order: one relay, told and read while it runs."""

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import Any

from appliance.lab.faults import Harm, Way
from appliance.lab.namespace import LabError, python_module

# The relay's interfaces in its namespace.
CLIENT_END, SERVER_END = "client", "server"

RELAY = python_module("appliance.lab.wire_relay", CLIENT_END, SERVER_END)


@dataclass(frozen=True)
class Carried:
    """What a wire has carried so far, by direction and fate (see wire_relay), and for each rule
    of the present harm how often it has hit."""

    to_server: Counter[str]
    to_client: Counter[str]
    rule_hits: list[int]

    @property
    def both_ways(self) -> Counter[str]:
        return self.to_server + self.to_client


class Wire:
    """Orders for a relay process that was started with pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        if self._read() != b"ready\n":
            raise LabError("the relay did not start")

    def obey(self, harm: Harm) -> None:
        """Returns once the wire does this harm, and no other.  Counts run on."""
        self._ask({"harm": harm.to_json()})

    def carried(self) -> Carried:
        said = self._ask({})
        return Carried(Counter(said[Way.TO_SERVER]), Counter(said[Way.TO_CLIENT]),
                       said["rule_hits"])

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        line = self._read()
        if not line:
            raise LabError("the relay has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read(self) -> bytes:
        assert self._process.stdout
        return self._process.stdout.readline()
