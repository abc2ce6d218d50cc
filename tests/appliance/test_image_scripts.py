"""What docker's scripts do with a host, seen by commands in the place of its own."""

import os
import subprocess
from pathlib import Path

import pytest

from .daemon_process import as_root

DOCKER = Path(__file__).parents[2] / "docker"
AUTHORITIES = Path("/etc/ssl/certs")


@pytest.fixture
def put(tmp_path):
    """Puts a shell script into a folder, the first of PATH in `environment`."""

    def write(name, script):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return write


@pytest.fixture
def environment(tmp_path):
    return os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}


@as_root
@pytest.mark.parametrize(("prepare", "trusted"), [
    ("touch {folder}/ca-certificates.crt", True), ("true", False)])
def test_a_build_trusts_the_hosts_authorities_where_it_has_them(put, environment, prepare, trusted):
    put("engine", 'echo "$@"')
    script = (f"mount -t tmpfs tmpfs {AUTHORITIES} && {prepare.format(folder=AUTHORITIES)}"
              f" && exec {DOCKER}/image.sh engine ours base")
    built = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        env=environment, capture_output=True, text=True, check=True).stdout
    assert built.startswith("build ")
    assert (f" --secret id=ca,src={AUTHORITIES}/ca-certificates.crt " in built) is trusted
    assert built.endswith(" --file docker/Dockerfile --tag ours .\n")


def test_docker_is_asked_for_the_builder_that_knows_secrets(put, environment):
    put("docker", 'echo "$1 $DOCKER_BUILDKIT"')
    built = subprocess.run([DOCKER / "image.sh", "docker", "ours", "base"],
                           env=environment, capture_output=True, text=True, check=True).stdout
    assert built.splitlines()[-1] == "build 1"


@as_root
def test_what_an_interrupted_debootstrap_left_mounted_is_not_removed(put, environment, tmp_path):
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "file").touch()
    put("debootstrap", f'mkdir "$3/proc" && mount --bind {tmp_path}/host "$3/proc" && exit 1')
    script = f"{DOCKER}/base_image.sh engine debian:trixie-slim"
    made = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        env=environment, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (1, "")
    assert (tmp_path / "host" / "file").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "host"]
