"""A server's start in the lab: it listens, or its last words say why not."""

import re
from collections.abc import Sequence

from appliance.lab.namespace import LabError
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

START_S = 10


def start_server(lab: Lab, name: str, arguments: Sequence[str], *ports: int,
                 sockets: int = 2) -> None:
    """Run a command in the server namespace until the lab ends; returns once `sockets` listen on
    each of `ports`: one for each family, where one takes not both.  Its words are kept in the
    lab's directory."""
    words = lab.directory / f"{name}.log"
    with words.open("wb") as log:
        process = lab.start(lab.server, arguments, stdout=log, stderr=log)
    until(lambda: process.poll() is not None or _listen(lab, ports, sockets), seconds=START_S,
          what=f"{name} to listen")
    if process.poll() is not None:
        raise LabError(f"{name} ended at once: {words.read_text().strip()}")


def _listen(lab: Lab, ports: Sequence[int], sockets: int) -> bool:
    shown = lab.server.run(["ss", "-Hltn"]).stdout
    return all(len(re.findall(rf":{port}\s", shown)) == sockets for port in ports)
