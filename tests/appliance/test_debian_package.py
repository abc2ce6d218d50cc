"""`make deb`: what the package holds, what it needs, and that it runs where it is installed."""

import subprocess
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from .daemon_process import as_root

TREE = Path(__file__).parents[2]
UNIT = "docker/systemd/synproxyd.service"
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/synproxy",
    "zsh": "usr/share/zsh/vendor-completions/_synproxy",
    "fish": "usr/share/fish/vendor_completions.d/synproxy.fish",
}


@pytest.fixture(scope="module")
def package() -> Path:
    subprocess.run(["make", "--silent", "deb"], cwd=TREE, check=True, timeout=280)
    (built,) = (TREE / "build" / "deb").glob("*.deb")
    return built


@pytest.fixture(scope="module")
def root(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that it puts into a host's root, and its scripts."""
    folder = tmp_path_factory.mktemp("package")
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def control(root: Path) -> Message:
    return Parser().parsestr((root / "DEBIAN" / "control").read_text())


def names(relations: str) -> set[str]:
    return {one.split()[0] for one in relations.split(",")}


def test_it_needs_dpdk_its_drivers_and_the_python_that_it_was_built_with(control):
    needs = control["Depends"]
    drivers = [one for one in names(needs)
               if one.startswith(("librte-net-af-xdp", "librte-net-af-packet"))]
    assert len(drivers) == 2
    assert {name.rstrip("0123456789.") for name in names(needs)} >= {
        "libc", "librte-eal", "librte-ethdev", "librte-mempool-ring", "python"}
    assert needs.count("python3 (") == 2
    assert any(name.startswith("librte-net-ixgbe") for name in names(control["Recommends"]))


def test_its_configuration_is_the_hosts_to_keep(root):
    conffiles = (root / "DEBIAN" / "conffiles").read_text().split()
    (here,) = (root / "etc").rglob("*.*")
    assert conffiles == [f"/{here.relative_to(root)}"] == ["/etc/synproxy/synproxy.yaml"]
    assert here.stat().st_mode & 0o777 == 0o600
    assert here.read_text() == (TREE / "examples" / "synproxy.yaml").read_text()


def test_its_unit_is_ours_and_calls_what_it_installs_or_needs(root, control):
    unit = (root / "usr/lib/systemd/system/synproxyd.service").read_text()
    assert unit == (TREE / UNIT).read_text().replace("/usr/local/bin/", "/usr/bin/")
    calls = {line.split("=")[1].split()[0] for line in unit.splitlines()
             if line.startswith("Exec")}
    assert calls == {"/usr/bin/synproxyd", "/bin/kill"}
    assert "procps" in names(control["Depends"])    # has kill; a minimal Debian has it not
    assert (root / "usr/bin/synproxyd").readlink() == Path("/opt/synproxy/bin/synproxyd")
    assert (root / "opt/synproxy/bin/synproxyd").exists()


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_its_scripts_are_of_a_shell_that_every_host_has(root, script):
    subprocess.run(["dash", "-n", root / "DEBIAN" / script], check=True)


@as_root
@pytest.mark.parametrize(("active", "checks", "restarts"), [
    (True, True, True), (True, False, False), (False, True, False)])
def test_an_upgrade_restarts_what_runs_and_would_come_back(
        root, tmp_path, active, checks, restarts):
    """It is done even where the restart fails.  /run is the script's own, and so are the commands
    that it calls."""
    calls = tmp_path / "calls"
    codes = {"is-active": 0 if active else 3, "try-restart": 1, "check": 0 if checks else 5}
    for program in ("systemctl", "synproxyd"):
        (tmp_path / program).write_text(
            f'#!/bin/sh\necho "$*" >> {calls}\ncase "$*" in\n'
            + "".join(f"*{word}*) exit {code};;\n" for word, code in codes.items()) + "esac\n")
        (tmp_path / program).chmod(0o755)
    subprocess.run(
        ["unshare", "--mount", "sh", "-ec",
         'mount -t tmpfs run /run; mkdir -p /run/systemd/system; exec "$0" configure 0.0.9',
         root / "DEBIAN/postinst"], check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert ("try-restart synproxyd.service" in calls.read_text().splitlines()) == restarts


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_it_completes_in_each_shell(root, shell):
    subprocess.run([shell, "-n", root / COMPLETIONS[shell]], check=True)


def test_nothing_of_it_is_of_the_place_where_it_was_built(root):
    found = subprocess.run(
        ["grep", "--recursive", "--files-with-matches", "--fixed-strings", str(TREE), root],
        capture_output=True, text=True, check=False)
    assert found.stdout == ""


@as_root
def test_it_runs_where_it_is_installed(root):
    """/opt is the package's in a mount namespace of the commands' own."""
    commands = """
        mount --bind "$0/opt" /opt
        "$0/usr/bin/synproxy" --version
        "$0/usr/bin/synproxyd" check --config "$0/etc/synproxy/synproxy.yaml"
        /opt/synproxy/bin/python3 -P -c 'import cython_core.dataplane'
    """
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", commands, root],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("synproxy, version ")
