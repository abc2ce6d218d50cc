"""The package put on a host, renewed there and taken away."""

from .conftest import CONFIGURATION, MISTAKEN
from .host import FILE, PACKAGE, UNIT, Host

STATE = "/var/lib/synproxy"


def upgrade(host: Host) -> str:
    """To what is installed already; returns what apt-get says."""
    return host.apt("install", "--reinstall", f"/root/{PACKAGE}.deb")


def there(host: Host, *paths: str) -> set[str]:
    return {path for path in paths if not host.run("test", "-e", path, check=False).returncode}


def test_all_that_it_needs_comes_along_and_nothing_is_started(host: Host) -> None:
    host.install()
    assert host.run("synproxyd", "check", "--config", FILE).stdout.startswith(f"{FILE}: ok")
    assert (host.unit("ActiveState"), host.unit("UnitFileState")) == ("inactive", "disabled")


def test_an_upgrade_keeps_the_file_and_starts_again_what_runs(started: Host) -> None:
    former = started.unit("MainPID")
    upgrade(started)
    assert started.run("cat", FILE).stdout == CONFIGURATION
    assert started.unit("ActiveState") == "active"
    assert started.unit("MainPID") != former


def test_an_upgrade_leaves_what_runs_where_its_file_has_a_mistake(started: Host) -> None:
    former = started.unit("MainPID")
    started.configure(MISTAKEN)
    upgrade(started)
    assert (started.unit("ActiveState"), started.unit("MainPID")) == ("active", former)
    assert started.run("dpkg-query", "--show", "--showformat", "${Status}",
                       PACKAGE).stdout == "install ok installed"


def test_removed_it_leaves_configuration_and_state_which_a_purge_takes_along(
        started: Host) -> None:
    started.run("systemctl", "enable", UNIT)
    started.apt("remove", PACKAGE)
    assert there(started, FILE, STATE, "/run/synproxy", "/opt/synproxy", "/opt") == {
        FILE, STATE, "/opt"}
    assert started.unit("LoadState") == "not-found"
    assert started.run("cat", FILE).stdout == CONFIGURATION
    started.apt("purge", PACKAGE)
    assert there(started, "/etc/synproxy", STATE) == set()
    assert UNIT not in started.run("ls", "/etc/systemd/system/multi-user.target.wants").stdout
