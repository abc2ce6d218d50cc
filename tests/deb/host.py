"""A host that the package is installed on: a container in the lab's proxy namespace, whose first
process is systemd."""

import subprocess
from contextlib import AbstractContextManager

from appliance.lab.namespace import LabError, run_tool
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

from ..image.engine import ENGINE, ENVIRONMENT, engine

PACKAGE = "synproxy-appliance"
UNIT = "synproxyd.service"
FILE = "/etc/synproxy/synproxy.yaml"
# systemd's own, to give its units the namespaces that they ask for, and the daemon's.
CAPABILITIES = "SYS_ADMIN,NET_ADMIN,NET_RAW"
BOOT_S = 30


class Host(AbstractContextManager["Host"]):
    """Booted, for the length of a `with` statement; what is written to it is gone with it."""

    def __init__(self, lab: Lab, image: str) -> None:
        self._lab, self._image, self._name = lab, image, f"synlab-host-{lab.id}"

    def __enter__(self) -> "Host":
        engine("run", "--detach", "--name", self._name, "--pull", "never", "--systemd", "always",
               "--network", f"ns:/run/netns/{self._lab.proxy.name}", "--cap-add", CAPABILITIES,
               self._image)
        try:
            until(self._is_up, seconds=BOOT_S, what="systemd to have booted")
        except TimeoutError as error:
            failed = self.run("systemctl", "--failed", check=False).stdout
            self.__exit__()
            raise LabError(f"{error}; failed are: {failed}") from None
        return self

    def __exit__(self, *reason: object) -> None:
        engine("rm", "--force", self._name)

    def _is_up(self) -> bool:
        return self.run("systemctl", "is-system-running", check=False).stdout == "running\n"

    def run(self, *arguments: str, check: bool = True,
            text: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command in it, `text` on its stdin.  LabError where it fails, unless not to `check`."""
        return run_tool([ENGINE, "exec", "--interactive", self._name, *arguments],
                        called=arguments[0], check=check, input=text or "", env=ENVIRONMENT)

    def apt(self, *arguments: str) -> str:
        """What apt-get says; what it would ask for, it takes the default of."""
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes",
                        "--no-install-recommends", *arguments).stdout

    def install(self) -> None:
        """Nothing happens where it is installed."""
        self.apt("install", f"/root/{PACKAGE}.deb")

    def configure(self, text: str) -> None:
        self.run("install", "-m", "600", "/dev/stdin", FILE, text=text)

    def unit(self, name: str) -> str:
        """A property of the daemon's unit, as systemctl(1) shows it."""
        return self.run("systemctl", "show", "--property", name, "--value", UNIT).stdout.strip()

    def journal(self) -> str:
        """What the daemon, and systemd of it, have said."""
        return self.run("journalctl", "--output", "cat", "--unit", UNIT).stdout

    def processes(self) -> dict[str, int]:
        """Each one's id in there, and here."""
        listed = engine("top", self._name, "pid", "hpid")
        return {inside: int(outside) for inside, outside in map(str.split, listed.splitlines()[1:])}
