"""Who follows docs/container.md has the appliance at work: its commands, as they stand there, with
the names of this lab."""

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.lab.namespace import LabError
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.waiting import until

from .container import READY_S
from .engine import ENGINE, container_facts, container_log, engine
from .traffic import Ask, connect, mss_told

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/container.md").read_text()
FOLDER = "docker/synproxy"
REQUESTS = 100


def commands() -> list[list[str]]:
    """This engine's, in words, in the page's order."""
    text = PAGE.partition("## Start it\n")[2].partition("\n## ")[0]
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
             for line in block.replace("\\\n", " ").splitlines()]
    words = (shlex.split(line.replace("$PWD", str(ROOT)), comments=True) for line in lines)
    return [rest for called, *rest in words if called == ENGINE]


@pytest.fixture
def told(lab: Lab, network: str, image: str, tmp_path: Path) -> Iterator[list[list[str]]]:
    folder = tmp_path / "synproxy"
    shutil.copytree(ROOT / FOLDER, folder)
    file = folder / "synproxy.yaml"
    file.write_text(file.read_text().replace("eth1", "client").replace("eth2", "server")
                    .replace("192.0.2.0/24", SERVER_IPV4))
    name = f"synlab-page-{lab.id}"
    ours = {"proxy": name, "host": network, "localhost/synproxy-appliance": image,
            f"{ROOT}/{FOLDER}:/etc/synproxy:ro": f"{folder}:/etc/synproxy:ro",
            "proxy-state:/var/lib/synproxy": f"{name}:/var/lib/synproxy"}
    yield [[ours.get(word, word) for word in words] for words in commands()]
    engine("rm", "--force", name)
    engine("volume", "rm", name)


def test_its_commands_start_manage_and_stop_it(
        told: list[list[str]], lab: Lab, ask: Ask) -> None:
    run, logs, health, stats, change, stop = told
    name = logs[-1]

    def healthy() -> bool:
        with suppress(LabError):
            return "SERVING" in engine(*health)
        return False

    engine(*run)
    until(healthy, seconds=READY_S, what="it to serve", seen=lambda: container_log(name))
    assert "ready: " in container_log(name)
    assert ask(REQUESTS).succeeded == REQUESTS
    assert re.search(rf"^cookie_valid +{REQUESTS} ", engine(*stats), re.MULTILINE)
    engine(*change)
    with connect(lab) as client:
        assert mss_told(client) == int(change[-1].removeprefix("mss="))
    engine(*stop)
    assert container_facts(name)["State"]["ExitCode"] == 0
