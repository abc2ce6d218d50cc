"""The engine that has built the image, podman or docker, as a command, and all in which they
differ."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.lab import record
from appliance.lab.namespace import NAMED, Namespace, run_tool
from appliance.lab.waiting import until

ENGINE = os.environ["LAB_ENGINE"]
ENVIRONMENT = {
    **os.environ, "CONTAINERS_CONF": str(Path(__file__).with_name("containers.conf")),
    # podman's checks of a container's health are timers of systemd's, which a lab may lack.
    "DISABLE_HC_SYSTEMD": "true"}
# What podman grants a user is ambient; Docker's has it by the program's file alone, which
# no-new-privileges forbids.
AMBIENT = ENGINE == "podman"
# podman would have /run, /tmp and /var/tmp writable all the same.
READ_ONLY = ["--read-only", *(["--read-only-tmpfs=false"] if ENGINE == "podman" else [])]
# Docker has it asked by itself.
CHECKS = [] if ENGINE == "podman" else ["--health-interval", "1s"]
HOLDER = "-holder"
HELD_S = 10
# A container of a lab's has the lab's id in its name.
OF_A_LAB = re.compile(r"synlab-(?:[a-z]+-)?(\d+-[0-9a-f]{6})\b")


def engine(*arguments: str) -> str:
    return run_tool([ENGINE, *arguments], env=ENVIRONMENT).stdout


def image_facts(image: str) -> dict[str, Any]:
    (facts,) = json.loads(engine("image", "inspect", image))
    # Docker has them there alone, podman not the health check.
    return {**facts, **facts["Config"]}


def container_facts(name: str) -> dict[str, Any]:
    (facts,) = json.loads(engine("container", "inspect", name))
    return dict(facts)


def container_log(name: str) -> str:
    said = subprocess.run([ENGINE, "logs", name], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=True, env=ENVIRONMENT)
    return said.stdout


def is_healthy(name: str) -> bool:
    """As the image's own HEALTHCHECK finds it."""
    if ENGINE == "podman":
        return not run_tool([ENGINE, "healthcheck", "run", name], check=False,
                            env=ENVIRONMENT).returncode
    return str(container_facts(name)["State"]["Health"]["Status"]) == "healthy"


def sweep() -> None:
    """Remove the containers of labs that are no more, which a crash has left; those that hold a
    network behind those that are in it."""
    names = engine("ps", "--all", "--format", "{{.Names}}").split()
    for name in sorted(names, key=lambda name: name.endswith(HOLDER)):
        found = OF_A_LAB.match(name)
        if found and not (record.RECORDS / f"{found[1]}.json").exists():
            engine("rm", "--force", name)


@contextmanager
def network_of(place: Namespace, image: str) -> Iterator[str]:
    """A namespace of the lab's, as `--network` takes it, for the length of a `with` statement:
    Docker knows none by its path, but each engine knows that of a container, and one goes there."""
    name = f"{place.name}{HOLDER}"
    engine("run", "--detach", "--name", name, "--pull", "never", "--no-healthcheck",
           "--stop-signal", "KILL", "--network", "none", "--read-only", "--user", "0",
           "--cap-drop", "all", "--cap-add", "SYS_ADMIN",
           "--volume", f"{NAMED / place.name}:/place:ro",
           "--entrypoint", "/usr/bin/nsenter", image, "--net=/place", "sleep", "infinity")
    try:
        first = container_facts(name)["State"]["Pid"]
        until(lambda: first in place.processes(), seconds=HELD_S, what=f"{name} to be there")
        yield f"container:{name}"
    finally:
        engine("rm", "--force", name)
