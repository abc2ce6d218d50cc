"""What the host lacks is said in one line that tells what to do."""

import grp
import os
import pty
import select
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from synproxy.v1.config_pb2 import Tls
from synproxy.v1.rule_pb2 import ROLE_VIEWER

from appliance.config.listening import Listening
from appliance.exit_codes import ExitCode
from appliance.host import listening as listening_module
from appliance.host.capabilities import CAP_CHOWN
from appliance.host.certificates import pem_read
from appliance.host.hugepages import hugepage_refusals
from appliance.host.listening import listening_notices, listening_refusals
from appliance.host.processors import processor_refusals

from .certificates import Authority, openssl
from .daemon_process import as_root
from .disks import small
from .pty_screen import rest_of
from .refused import said

NOBODY = 65534


@pytest.fixture
def pools(tmp_path):
    """A /sys/kernel/mm/hugepages with free pages by size in kB."""

    def make(free):
        for size_kib, pages in free.items():
            pool = tmp_path / f"hugepages-{size_kib}kB"
            pool.mkdir()
            (pool / "free_hugepages").write_text(f"{pages}\n")
        return tmp_path

    return make


@pytest.mark.parametrize("free", [{2048: 256}, {2048: 0, 1048576: 1}, {2048: 200, 65536: 2}])
def test_enough_huge_pages_of_any_size_will_do(pools, free):
    assert said(hugepage_refusals(512, pools(free))) == []


@pytest.mark.parametrize(
    ("free", "pages"), [({2048: 0}, 256), ({2048: 255}, 1), ({2048: 100, 1048576: 0}, 156)]
)
def test_missing_huge_pages_are_counted(pools, free, pages):
    (line,) = said(hugepage_refusals(512, pools(free)))
    assert f"reserve {pages} more pages of 2 MiB (vm.nr_hugepages)" in line
    assert "set memory.hugepages to false" in line


def test_a_kernel_without_huge_pages(tmp_path):
    (line,) = said(hugepage_refusals(64, tmp_path / "missing"))
    assert "0 MiB are free" in line


def test_cores_outside_of_the_cpuset_are_named():
    usable = sorted(os.sched_getaffinity(0))
    assert said(processor_refusals(usable)) == []
    (line,) = said(processor_refusals([*usable, 1023, 1000]))
    assert line.startswith("workers names lcore 1000, 1023, but this process may use ")


def test_a_folder_for_the_socket_must_exist(tmp_path):
    (line,) = said(listening_refusals(Listening("management", f"unix:{tmp_path}/missing/api.sock")))
    assert f"the folder {tmp_path}/missing doesn't exist; create it with `mkdir -p" in line


@as_root
def test_a_folder_for_the_socket_may_lie_in_one_without_rights(tmp_path):
    (tmp_path / "closed" / "run").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    os.seteuid(NOBODY)
    try:
        (refusal,) = listening_refusals(
            Listening("management", f"unix:{tmp_path}/closed/run/api.sock"))
    finally:
        os.seteuid(0)
    assert f"no right to enter what {tmp_path}/closed/run lies in" in str(refusal)
    assert refusal.code is ExitCode.DENIED


@as_root
def test_a_folder_for_the_socket_that_is_read_only_is_told_from_one_without_rights(tmp_path):
    with small(tmp_path / "run"):
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "run"], check=True)
        (refusal,) = listening_refusals(Listening("management", f"unix:{tmp_path}/run/api.sock"))
    assert str(refusal).startswith(
        f"management.address: {tmp_path}/run is read-only; mount a tmpfs there (")
    assert refusal.code is ExitCode.UNAVAILABLE


def test_a_file_in_the_sockets_place_is_not_removed(tmp_path):
    (tmp_path / "api.sock").write_text("mine")
    (line,) = said(listening_refusals(Listening("management", f"unix:{tmp_path}/api.sock")))
    assert "exists and is no socket; choose another path" in line


def test_a_socket_that_answers_is_another_daemons_and_one_that_does_not_is_stale(tmp_path):
    path = str(tmp_path / "api.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        (line,) = said(listening_refusals(Listening("management", f"unix:{path}")))
        assert f"another daemon listens at {path}" in line
    assert said(listening_refusals(Listening("management", f"unix:{path}"))) == []


def test_tcp_is_for_bind_to_find_out():
    assert said(listening_refusals(Listening("management", "127.0.0.1:50051"))) == []


def test_a_group_that_is_not_there_or_not_ours_is_told(monkeypatch):
    listening = Listening("management.listeners[0]", "unix:/tmp/x.sock", ROLE_VIEWER, "nosuch")
    (line,) = said(listening_refusals(listening))
    assert line == (
        "management.listeners[0].group: there is no group nosuch;"
        " create it with `groupadd --system nosuch`"
    )
    others = grp.getgrall()[-1].gr_name
    monkeypatch.setattr(listening_module, "has_capability", lambda bit: False)
    monkeypatch.setattr(os, "getegid", lambda: 2**31)
    monkeypatch.setattr(os, "getgroups", lambda: [])
    (refusal,) = listening_refusals(replace(listening, group=others))
    assert f"no right to give a socket to the group {others}" in str(refusal)
    assert refusal.code == ExitCode.DENIED
    monkeypatch.setattr(listening_module, "has_capability", lambda bit: bit == CAP_CHOWN)
    assert said(listening_refusals(replace(listening, group=others))) == []


@pytest.fixture
def tls(tmp_path):
    """A listener whose files are right."""
    authority = Authority(tmp_path / "pki")
    made = authority.daemon_certificate()
    made.key.chmod(0o600)
    tls = Tls(
        certificate_file=str(made.file), key_file=str(made.key),
        client_ca_file=str(authority.file),
    )
    return Listening("management.listeners[0]", "127.0.0.1:1", tls=tls)


def test_files_of_tls_that_fit_are_taken(tls):
    assert said(listening_refusals(tls)) == []
    assert list(listening_notices(tls)) == []


def test_every_file_of_tls_that_is_missing_is_told(tls):
    for path in (tls.tls.certificate_file, tls.tls.key_file, tls.tls.client_ca_file):
        os.unlink(path)
    assert [line.split(": ")[0] for line in said(listening_refusals(tls))] == [
        f"management.listeners[0].tls.{name}"
        for name in ("certificate_file", "key_file", "client_ca_file")
    ]


def test_files_of_tls_that_hold_something_else_are_told_without_what_they_hold(tls):
    for path in (tls.tls.certificate_file, tls.tls.client_ca_file):
        Path(path).write_text("hunter2")
    lines = said(listening_refusals(tls))
    assert [line.split(": ")[0] for line in lines] == [
        "management.listeners[0].tls.certificate_file",
        "management.listeners[0].tls.client_ca_file",
    ]
    assert "hunter2" not in "".join(lines)


def test_an_encrypted_key_is_told_and_asks_nobody(tls):
    openssl("ec", "-in", tls.tls.key_file, "-aes128", "-passout", "pass:x",
            "-out", tls.tls.key_file)
    (line,) = said(listening_refusals(tls))
    assert "no certificate with its unencrypted key in PEM" in line
    # With a terminal of its own OpenSSL would ask there, and wait.
    pid, terminal = pty.fork()
    if pid == 0:
        script = "import sys; from appliance.host.certificates import *; pair_misfit(*sys.argv[1:])"
        os.execv(sys.executable, [
            sys.executable, "-P", "-c", script, tls.tls.certificate_file, tls.tls.key_file])
    answered, _, _ = select.select([terminal], [], [], 20)
    assert answered == [terminal]
    assert rest_of(terminal) == b""
    os.close(terminal)
    os.waitpid(pid, 0)


def test_a_key_that_others_may_read_is_told_and_taken(tls):
    os.chmod(tls.tls.key_file, 0o644)
    (notice,) = listening_notices(tls)
    assert notice.startswith("management.listeners[0].tls.key_file: ")
    assert f"`chmod 600 {tls.tls.key_file}`" in notice
    assert said(listening_refusals(tls)) == []


def test_what_is_read_of_tls_shows_no_key(tls):
    pem = pem_read(tls.tls)
    assert b"PRIVATE KEY" in pem.key
    assert "PRIVATE KEY" not in repr(pem)
    assert set(pem.fingerprints()) == {"certificate_file", "client_ca_file"}


def test_dumps_are_forbidden_for_good():
    script = (
        "from appliance.host.dumps import *; a = dumps_allowed(); dumps_forbid();"
        "print(a, dumps_allowed())"
    )
    said = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert said.stdout == "True False\n"


def test_a_file_in_the_folders_place_is_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    (line,) = said(listening_refusals(Listening("management", f"unix:{tmp_path}/file/api.sock")))
    assert line == f"management.address: {tmp_path}/file is no folder; choose another path"
