"""Processes that follow each other, with one file: what goes on, and why nothing does.

Frames come out of capture files and are written to others, so that each process sees one step of a
handshake, made of what the one before has answered.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ..proxy.connection import SYN_IPV4, Connection
from ..proxy.segments import Segment
from .conftest import WEB, Captures, lcores, plane_run, settings

SHM = Path("/dev/shm")
BOOT_ID_AT = 24         # in the file's header
UNSET = "memory.shard_file is not set"


@pytest.fixture
def file() -> Iterator[Path]:
    path = SHM / f"test-{uuid4().hex}"
    yield path
    for name in SHM.glob(f"{path.name}*"):
        name.unlink()


@pytest.fixture
def run(plane, tmp_path, file):
    """One process of so many workers; what it sends to either side."""
    def ran(from_client=(), from_server=(), workers=1, **differences):
        captures = Captures(tmp_path, [one.frame() for one in from_client],
                            [one.frame() for one in from_server])
        told = plane(received=len(from_client) + len(from_server), shard_file=str(file),
                     **captures.devices(), **lcores(workers), **differences)
        told.to_client = [Segment.read(frame) for frame in captures.to_client()]
        told.to_server = [Segment.read(frame) for frame in captures.to_server()]
        return told
    return ran


def fates(told):
    return {name: told.beginning[name]
            for name in ("adopted", "torn", "unserved", "without_room", "unsound")}


def adopted(count):
    return {"adopted": count, "torn": 0, "unserved": 0, "without_room": 0, "unsound": 0}


def test_a_handshake_and_its_connection_pass_through_five_processes(run, file):
    conn = Connection(None, SYN_IPV4)
    told = run([conn.syn])
    assert not told.beginning["warm"]
    assert told.beginning["cold"] == f"{file}: there was none yet"
    (conn.synack,) = told.to_client
    # The secrets are the same; and so are connections, whichever workers they come to.
    told = run([conn.ack], workers=2)
    assert told.beginning["warm"]
    assert fates(told) == adopted(0)
    (conn.server_syn,) = told.to_server
    told = run(from_server=[conn.server_synack], workers=1)
    assert fates(told) == adopted(1)
    assert told.to_server[-1].flags == "A"
    (window,) = told.to_client
    assert window.flags == "A"
    data = conn.client(flags="PA", payload=b"request")
    told = run([data], workers=3)
    assert told.to_server == [conn.as_server_sees(data)]
    data = conn.server(got=7, flags="PA", payload=b"response")
    told = run(from_server=[data], connections=1024)
    assert told.to_client == [conn.as_client_sees(data)]
    assert fates(told) == adopted(1)
    assert told.learned == 1
    assert 0 < told.beginning["gap_s"] < 60
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(SHM.glob(f"{file.name}*")) == [file, file.with_suffix(".lock")]


def test_without_a_file_it_is_cold_and_says_so(plane):
    told = plane()
    assert told.beginning["warm"] is False
    assert told.beginning["cold"] == told.beginning["unkept"] == UNSET


def spoiled(file, at, content):
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(content)


UNFIT = {
    "boot": (lambda file: spoiled(file, BOOT_ID_AT, bytes(16)),
             "is from before the host was started last"),
    "layout": (lambda file: spoiled(file, 8, bytes(8)),
               "is of another release, whose tables are laid out otherwise"),
    "size": (lambda file: os.truncate(file, 4096),
             "is damaged: it has not the size that it says"),
    "clock": (lambda file: spoiled(file, 64, bytes(8)), "its clock has not run on"),
}


@pytest.mark.parametrize(("spoil", "reason"), UNFIT.values(), ids=UNFIT)
def test_what_cannot_go_on_is_told_and_replaced(run, file, spoil, reason):
    run()
    spoil(file)
    told = run()
    assert told.beginning["cold"].startswith(f"{file}: {reason}")
    assert told.beginning["unkept"] == ""
    assert run().beginning["warm"]


def readable(file):
    file.write_bytes(b"")
    file.chmod(0o644)


def linked(file):
    file.symlink_to(file.with_suffix(".elsewhere"))


def anothers(file):
    file.write_bytes(b"#!/bin/sh\n" * 1000)
    file.chmod(0o600)


def identity(file):
    found = os.lstat(file)
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


FOREIGN = {
    "readable": (readable, "may be read by others, mode 0644, and is left as it is"),
    "a link": (linked, "is a symbolic link, and is left as it is"),
    "a folder": (lambda file: file.mkdir(), "is no regular file, and is left as it is"),
    "a pipe": (os.mkfifo, "is no regular file, and is left as it is"),
    "other content": (anothers, "is no file of ours, and is left as it is"),
}


@pytest.mark.parametrize(("put", "reason"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_ours_is_told_and_left_as_it_is(run, file, put, reason):
    put(file)
    before = identity(file)
    told = run()
    assert told.beginning["cold"] == told.beginning["unkept"] == f"{file}: {reason}"
    assert identity(file) == before
    if file.is_dir():
        file.rmdir()


def test_a_disk_is_no_place_for_secrets(plane):
    """Where the tests' folder is on one."""
    path = Path("/var/tmp") / f"test-{uuid4().hex}"
    told = plane(shard_file=str(path))
    assert "is on a disk, which secrets must not come to" in told.beginning["unkept"]
    assert not list(path.parent.glob(f"{path.name}*"))


def test_a_folder_that_is_not_there_keeps_nobody_from_starting(plane):
    told = plane(shard_file="/dev/shm/nowhere/file")
    assert told.beginning["unkept"] == "/dev/shm/nowhere/file.lock: No such file or directory"


def test_a_file_that_another_process_has_is_refused(file):
    with Path(f"{file}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told, stderr = plane_run({"settings": settings(shard_file=str(file)), "services": ((WEB,),),
                                  "received": 0, "seconds": 0})
    assert (stderr, told) == ("", {"refused": (
        f"{file}: is in use by another synproxyd; stop that one, or name another"
        " memory.shard_file")})
