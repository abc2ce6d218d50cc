"""synproxy over TLS, and how it tells that somebody may not."""

import os
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from synproxy.v1.rule_pb2 import ROLE_VIEWER

from appliance.cli.main import main
from appliance.exit_codes import ExitCode
from appliance.lab.namespace import synproxy_command

from .daemon_process import opened
from .doors import install

UPDATE = ("service", "set", "web", "mss=1300")


def run(*arguments, **environment):
    return CliRunner().invoke(main, [str(one) for one in arguments], env=environment)


def tls_options(authority, caller):
    return ("--tls-ca", authority.file, "--tls-cert", caller.file, "--tls-key", caller.key)


@pytest.fixture
def operator(authority):
    return tls_options(authority, authority.certificate("operator", "DNS:operator.example"))


def test_with_its_certificate_it_may_what_its_role_may(doors, operator):
    result = run("--address", doors.tls, *operator, *UPDATE)
    assert result.exit_code == ExitCode.OK, result.stderr
    assert doors.daemon.lines(1)[0]["by"] == "certificate operator.example"


def test_the_files_come_from_the_environment_too_and_a_socket_needs_none(doors, operator):
    names = ("SYNPROXY_TLS_CA", "SYNPROXY_TLS_CERT", "SYNPROXY_TLS_KEY")
    environment = dict(zip(names, map(str, operator[1::2]), strict=True))
    for address in (doors.tls, doors.sockets[ROLE_VIEWER]):
        result = run("service", "list", SYNPROXY_ADDRESS=address, **environment)
        assert result.exit_code == ExitCode.OK, result.stderr


class TestASocketOfOthers:
    """Each denial has its remedy."""

    @pytest.fixture
    def place(self, daemon):
        """Its folder, which anybody may enter."""
        path = Path(daemon.address.removeprefix("unix:"))
        opened(path)
        return path

    def denial(self, place):
        """What nobody in particular is told."""
        result = subprocess.run(
            synproxy_command("stats", address=f"unix:{place}"), capture_output=True, text=True,
            user=65534, group=65534, extra_groups=[], check=False,
        )
        assert result.returncode == ExitCode.DENIED
        return result.stderr

    def test_the_admins_is_roots(self, place):
        place.chmod(0o600)
        assert self.denial(place) == (
            f"synproxy: no right to use {place}: it is for root alone, as the admins' socket is"
            " (management.address); be root, or name the socket of a group of yours with --address"
            " (management.listeners)\n")

    def test_a_groups_is_for_its_members(self, place):
        place.chmod(0o660)
        shutil.chown(place, group="adm")
        assert self.denial(place) == (
            f"synproxy: no right to use {place}: it is for the group adm, whose role its listener"
            " has (management.listeners); join it with `usermod -aG adm NAME` and log in again, or"
            " be root\n")

    def test_an_owner_or_group_without_a_name_is_a_number(self, place):
        os.chown(place, 54321, 54322)
        place.chmod(0o660)
        assert "for the group 54322, " in self.denial(place)
        place.chmod(0o600)
        assert "for 54321 alone, " in self.denial(place)

    def test_a_folder_may_be_shut_as_well(self, place):
        place.parent.chmod(0o700)
        assert self.denial(place) == (
            f"synproxy: no right to enter {place.parent}, where {place.name} is; be root, or have"
            f" the folder opened to you (`chmod o+x {place.parent}`)\n")


def test_a_role_that_is_not_enough_is_denied_and_told(doors, authority):
    caller = tls_options(authority, authority.certificate("viewer", "DNS:viewer.example"))
    for options, seen in (
        (("--address", doors.sockets[ROLE_VIEWER]), doors.sockets[ROLE_VIEWER]),
        (("--address", doors.tls, *caller), "certificate viewer.example"),
    ):
        result = run(*options, *UPDATE)
        assert result.exit_code == ExitCode.DENIED
        assert result.stdout == ""
        assert result.stderr == (
            f"synproxy: UpdateService needs the role operator; {seen} has the role viewer\n"
        )


def test_a_certificate_that_the_daemon_does_not_take_is_denied(doors, authority, other_authority):
    foreign = other_authority.certificate("foreign", "DNS:admin.example")
    expired = authority.certificate("expired", "DNS:admin.example", days=0)
    for caller in (foreign, expired):
        result = run("--address", doors.tls, *tls_options(authority, caller), "service", "list")
        assert result.exit_code == ExitCode.DENIED
        assert result.stderr.startswith(
            f"synproxy: {doors.tls} doesn't take the certificate of --tls-cert; its authority")


def test_a_daemon_that_is_not_trusted_is_told_nothing(
    doors, tls_files, authority, other_authority, operator
):
    """Of another authority, or of another host."""
    elsewhere = authority.certificate("elsewhere", "DNS:elsewhere.example")
    for certificate in (other_authority.daemon_certificate(), elsewhere):
        install(tls_files, certificate, authority)
        result = run("--address", doors.tls, *operator, *UPDATE)
        assert result.exit_code == ExitCode.DENIED
        assert result.stderr == (
            f"synproxy: the certificate at {doors.tls} isn't one of --tls-ca for this address,"
            " or has expired\n"
        )
    assert len(doors.daemon.plane.published) == 1


def test_without_tls_there_is_no_answer_but_a_hint(doors):
    result = run("--address", doors.tls, "service", "list")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert result.stderr == (
        f"synproxy: no answer at {doors.tls}; is synproxyd running there,"
        " with TLS (--tls-ca, --tls-cert, --tls-key)?\n"
    )


def test_who_hangs_up_before_a_certificate_was_shown_has_refused_none(operator):
    """A daemon with all the connections that it takes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        hanging = threading.Thread(target=hang_up, args=(listener,))
        hanging.start()
        result = run("--address", address, *operator, "service", "list")
        listener.shutdown(socket.SHUT_RDWR)
        hanging.join()
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert result.stderr == f"synproxy: no answer at {address}; is synproxyd running there?\n"


def hang_up(listener):
    with suppress(OSError):
        while True:
            listener.accept()[0].close()


@pytest.mark.parametrize("left_out", [0, 2, 4])
def test_the_files_go_together(doors, operator, left_out):
    some = operator[:left_out] + operator[left_out + 2:]
    result = run("--address", doors.tls, *some, "service", "list")
    assert result.exit_code == ExitCode.USAGE
    assert "--tls-ca, --tls-cert and --tls-key go together" in result.stderr


def test_a_file_that_cannot_be_read_or_holds_something_else_is_told(doors, operator, tmp_path):
    missing = (*operator[:-1], tmp_path / "none.key")
    result = run("--address", doors.tls, *missing, "service", "list")
    assert result.exit_code == ExitCode.FAILED
    assert result.stderr == (
        f"synproxy: {tmp_path}/none.key: can't be read: No such file or directory\n"
    )
    shutil.copy(os.devnull, tmp_path / "none.key")
    result = run("--address", doors.tls, *missing, "service", "list")
    assert result.exit_code == ExitCode.INVALID
    assert f"{tmp_path}/none.key are no certificate with its unencrypted key" in result.stderr
    result = run("--address", doors.tls, "--tls-ca", os.devnull, *operator[2:], "service", "list")
    assert result.exit_code == ExitCode.INVALID
    assert result.stderr == "synproxy: /dev/null holds no certificate of an authority\n"
