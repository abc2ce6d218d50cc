"""Redis in the server namespace, in memory only.

Debian's redis-tools has the program: one binary that is the server, or a checker of its files,
by the name that it is called by.  So the server comes without a service on the host.
"""

from appliance.lab.listening import start_server
from appliance.lab.namespace import require
from appliance.lab.topology import Lab

PORT = 7064
BINARY = "/usr/bin/redis-check-rdb"


def start_datastore(lab: Lab) -> None:
    require(BINARY)
    directory = lab.directory / "redis"
    directory.mkdir()
    command = directory / "redis-server"
    command.symlink_to(BINARY)
    start_server(lab, "redis", [
        str(command), "--port", str(PORT), "--bind", "0.0.0.0", "::", "--protected-mode", "no",
        "--dir", str(directory), "--save", "", "--appendonly", "no"], PORT)
