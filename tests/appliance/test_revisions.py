"""Revisions on disk: whole or not at all, bounded, and trusted no further than their checksum."""

import asyncio
import errno
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import time

import pytest
from synproxy.v1.config_service_pb2 import GetConfigResponse
from synproxy.v1.revision_pb2 import Difference, Revision, StoredRevision
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.live import Live
from appliance.config.schema import fields_of, is_group
from appliance.state import folder as folders
from appliance.state import history as histories
from appliance.state.folder import Folder, FolderError, file_name
from appliance.state.history import History, NotKeptError, Origin, UnknownRevisionError
from appliance.state.record import (
    DamagedError,
    Record,
    record_encode,
    record_of,
    stored_decode,
)

from .daemon_process import as_root
from .disks import fill

WEB = Service(name="web", prefixes=["192.0.2.0/24"], ports=["443"])
ORIGIN = Origin("unix:/run/api.sock", "ServicesService/UpdateService")


def live(mss=1400, **services):
    return Live(
        ServiceOptions(mss=mss),
        {"web": WEB} | {name: Service(name=name, prefixes=[prefix], ports=["80"])
                        for name, prefix in services.items()})


def record(number=1, running=None, file=None):
    running = running or live()
    return Record(Revision(number=number, by="somebody"), running, file or running)


@pytest.fixture
def opened(state):
    """Opens the folder as a daemon that starts does."""
    folders_open: list[Folder] = []

    def load(limit=100):
        while folders_open:
            folders_open.pop().close()
        history = History(limit=limit)
        folders_open.append(Folder(state))
        history.notices += history.load(folders_open[-1])
        return history

    yield load
    while folders_open:
        folders_open.pop().close()


def add(history, running, **how):
    return asyncio.run(history.add(running, running, ORIGIN, [], **how))


def names(path):
    return sorted(one.name for one in path.iterdir())


# Bytes and back.

@pytest.mark.parametrize("file", [
    live(), live(1300), live(one="192.0.2.1"), Live(ServiceOptions(), {}),
    Live(ServiceOptions(mss=1400), {"web": Service(name="web", ports=["1"])}),
])
@pytest.mark.parametrize("running", [live(), live(two="192.0.2.2"), Live(ServiceOptions(), {})])
def test_a_revision_comes_back_as_it_was(running, file):
    before = record(7, running, file)
    after = record_of(stored_decode(record_encode(before)))
    assert after == before
    assert list(after.live.services) == list(before.live.services)


def test_cut_at_any_length_it_is_no_revision():
    content = record_encode(record())
    for length in range(len(content)):
        with pytest.raises(DamagedError):
            stored_decode(content[:length])


def test_with_any_byte_changed_it_is_no_revision():
    content = record_encode(record())
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x20
        with pytest.raises(DamagedError):
            stored_decode(bytes(changed))


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "is torn"), (b"synproxy rev", "is torn"),
    (b"hello", "is no revision of synproxy"), (b"\0" * 4096, "is no revision of synproxy"),
    (b"synproxy revision 2 " + b"0" * 64 + b"\n", "is of format 2, which this version"),
    (b"synproxy revision 1 " + b"0" * 64 + b"\nx", "is torn or was changed"),
])
def test_what_it_is_instead_is_said(content, reason):
    with pytest.raises(DamagedError, match=reason):
        stored_decode(content)


def test_what_has_a_right_checksum_and_no_sense_is_no_revision():
    body = b"\x0a\xff"
    head = f"synproxy revision 1 {hashlib.sha256(body).hexdigest()}\n".encode()
    with pytest.raises(DamagedError, match="is no revision of synproxy"):
        stored_decode(head + body)


@pytest.mark.parametrize("message", [Revision, StoredRevision, GetConfigResponse, Difference])
def test_no_field_of_what_is_kept_or_shown_holds_a_secret(message):
    """A field that does says `debug_redact`: it would have to be left out here first."""
    def below(kind):
        for field in fields_of(kind):
            yield field
            if is_group(field):
                yield from below(field.message_type)

    for field in below(message.DESCRIPTOR):
        assert not field.GetOptions().debug_redact, field.full_name


# The folder.

def test_the_folder_and_its_files_are_the_owners_alone(state, opened):
    former = os.umask(0)
    try:
        add(opened(), live())
    finally:
        os.umask(former)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / file_name(1)).stat().st_mode) == 0o600


def test_the_first_line_tells_people_what_a_file_is(state, opened):
    add(opened(), live())
    line = (state / file_name(1)).read_bytes().split(b"\n")[0]
    assert re.fullmatch(rb"synproxy revision 1 [0-9a-f]{64}", line)


def test_the_newest_is_what_runs_after_a_restart(opened):
    history = opened()
    for mss in (1300, 1200, 1100):
        add(history, live(mss))
    again = opened()
    assert again.newest.live == live(1100)
    assert [one.number for one in again.revisions()] == [3, 2, 1]
    assert (again.notices, again.kept, again.persistent) == ([], True, True)
    assert add(again, live(1000)).number == 4


def test_cut_at_any_length_the_newest_is_named_and_the_last_good_one_used(state, opened):
    history = opened()
    add(history, live(1300))
    add(history, live(1200))
    path = state / file_name(2)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        again = opened()
        assert again.newest.live == live(1300)
        (notice,) = again.notices
        assert notice.startswith(f"{path}: is torn")
        assert notice.endswith("; it is passed over")
    # Its number isn't given away again, nor is what is left of it written over.
    assert add(again, live(1100)).number == 3
    assert path.read_bytes() == whole[:length]


def make_fifo(path):
    os.mkfifo(path)


def make_link(path):
    path.symlink_to(path.parent / file_name(1))


def make_copy(path):
    shutil.copy(path.parent / file_name(1), path)


def make_huge(path):
    with path.open("wb") as file:
        file.truncate(folders.FILE_BYTES_MAX + 1)


@pytest.mark.parametrize(("make", "reason"), [
    (lambda path: path.write_text("ports: {}\n"), "is no revision of synproxy"),
    (make_fifo, "is no revision of synproxy"), (lambda path: path.mkdir(), "Is a directory"),
    (make_link, "Too many levels of symbolic links"), (make_huge, "is no revision of synproxy"),
    (make_copy, "is revision 1 under another name"),
])
def test_what_only_has_the_name_of_a_revision_is_named_and_passed_over(
    state, opened, make, reason
):
    add(opened(), live(1300))
    make(state / file_name(2))
    again = opened()
    assert again.newest.live == live(1300)
    assert f"{file_name(2)}: {reason}" in again.notices[0]


def test_a_foreign_file_is_named_and_left_alone(state, opened):
    add(opened(), live())
    for number in range(7):
        (state / f"notes{number}").write_text("mine")
    history = opened(limit=2)
    assert history.notices == [
        *(f"{state}/notes{number}: is not ours, and left alone" for number in range(5)),
        f"{state}: 2 more files are not ours",
    ]
    for mss in range(1000, 1010):
        add(history, live(mss))
        asyncio.run(history.prune())
    assert [name for name in names(state) if name.startswith("notes")] == [
        f"notes{number}" for number in range(7)]


def test_what_a_killed_daemon_has_not_finished_is_removed(state, opened):
    add(opened(), live())
    (state / "0000000002.unfinished").write_bytes(b"synproxy")
    assert opened().notices == []
    assert names(state) == [file_name(1)]


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_trusted(state, mode):
    state.mkdir()
    state.chmod(mode)
    with pytest.raises(FolderError, match="others may write there"):
        Folder(state)
    assert names(state) == []


@as_root
def test_a_folder_of_somebody_else_is_not_trusted(state):
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    with pytest.raises(FolderError, match="others may write there"):
        Folder(state)


def test_two_daemons_do_not_share_one(state, opened):
    opened()
    with pytest.raises(FolderError, match="in use by another synproxyd"):
        Folder(state)


@pytest.mark.parametrize(("make", "reason"), [
    (lambda path: path.write_text(""), "Not a directory"),
    (lambda path: None, "No such file or directory"),
])
def test_a_folder_that_cannot_be_had_is_told(tmp_path, make, reason):
    path = tmp_path / "above"
    make(path)
    with pytest.raises(FolderError, match=f"{path}/state: {reason}"):
        Folder(path / "state")


# Bounds.

def test_of_a_thousand_revisions_the_latest_are_kept(state, opened):
    history = opened(limit=10)

    async def fill():
        for number in range(1000):
            running = live(600 + number)
            await history.add(running, running, ORIGIN, [])
            await history.prune()

    asyncio.run(fill())
    assert names(state) == [file_name(number) for number in range(991, 1001)]
    assert [one.number for one in history.revisions()] == list(range(1000, 990, -1))
    with pytest.raises(UnknownRevisionError):
        asyncio.run(history.record(990))
    assert asyncio.run(history.record(991)).live == live(1590)


def test_in_memory_no_more_are_kept_either():
    history = History(limit=10)
    for number in range(50):
        add(history, live(600 + number))
        asyncio.run(history.prune())
    assert [one.number for one in history.revisions()] == list(range(50, 40, -1))
    assert asyncio.run(history.record(41)).live == live(640)


@pytest.mark.parametrize("on_disk", [True, False])
def test_nor_more_bytes_than_they_may_take(opened, monkeypatch, on_disk):
    monkeypatch.setattr(histories, "BYTES_MAX", 2500 if on_disk else 2000)
    history = opened() if on_disk else History()
    for number in range(20):
        add(history, live(600 + number))
        asyncio.run(history.prune())
    assert 2 <= len(history.revisions()) < 20
    assert history.revisions()[0].number == 20


def test_what_is_torn_goes_with_those_beside_it(state, opened):
    history = opened(limit=3)
    for number in range(3):
        add(history, live(600 + number))
    (state / file_name(2)).write_bytes(b"")
    history = opened(limit=3)
    for number in range(3):
        add(history, live(700 + number))
        asyncio.run(history.prune())
    assert names(state) == [file_name(number) for number in (4, 5, 6)]


# Kills.

def forked(act):
    """The process that acts; it ends with it, and never as a second run of the tests."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def dies_at(step):
    """Ends this process at the folder's step of that number: open, write, flush, rename, flush."""
    steps = iter(range(1000))

    def dying(name):
        function = getattr(os, name)

        def call(*arguments, **how):
            if next(steps) == step:
                os._exit(9)
            return function(*arguments, **how)

        return call

    class Dying:
        def __getattr__(self, name):
            alike = ("open", "fsync", "rename", "unlink", "fdopen")
            return dying(name) if name in alike else getattr(os, name)

    vars(folders)["os"] = Dying()


@pytest.mark.parametrize("verb", ["add", "confirm"])
def test_killed_at_any_step_one_of_the_two_is_there_whole(state, opened, verb):
    kept = set()
    for step in range(12):
        shutil.rmtree(state, ignore_errors=True)
        history = opened()
        add(history, live(1300))
        if verb == "confirm":
            add(history, live(1200), confirm_within_s=60)
        def act(history=history, step=step):
            dies_at(step)
            if verb == "add":
                add(history, live(1200))
            else:
                asyncio.run(history.confirm(0, "me"))

        child = forked(act)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        again = opened()
        assert again.notices == []
        assert not [name for name in names(state) if "unfinished" in name]
        assert again.newest.live in (live(1300), live(1200))
        if status == 0:
            assert again.newest.live == live(1200)
            assert again.newest.revision.confirmed_by == ("me" if verb == "confirm" else "")
        else:
            assert status == 9
        kept.add((again.newest.live.defaults.mss, again.newest.revision.confirmed_by))
    # Neither only before nor only after: some steps end it with the former, some with the new one.
    assert len(kept) == 2


def test_killed_at_any_time_it_comes_back_with_what_was_answered(state, opened, tmp_path):
    history = opened()
    for attempt in range(10):
        said = tmp_path / f"said{attempt}"

        def act(history=history, said=said):
            with said.open("w", buffering=1) as out:
                while True:
                    print(add(history, live(1300)).number, file=out)

        child = forked(act)
        time.sleep(0.03 + attempt * 0.0137)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        answered = [int(line) for line in said.read_text().splitlines()]
        history = opened()
        assert history.notices == []
        assert answered[-1] <= history.newest.revision.number <= answered[-1] + 1


# Disks.

@as_root
def test_what_a_full_disk_does_not_take_is_refused_and_leaves_nothing(small_disk, opened):
    history = opened()
    add(history, live(1300))
    fill(small_disk)
    with pytest.raises(NotKeptError, match=f"{small_disk}: No space left on device") as error:
        add(history, live(1200))
    assert error.value.full
    assert history.newest.live == live(1300)
    assert (history.persistent, history.kept) == (True, False)
    assert names(small_disk) == [file_name(1), "ballast"]
    assert opened().newest.live == live(1300)
    (small_disk / "ballast").unlink()
    assert add(history, live(1200)).number == 2
    assert history.kept


@as_root
def test_what_the_daemon_must_do_it_does_on_a_full_disk_too(small_disk, opened):
    history = opened()
    add(history, live(1300))
    fill(small_disk)
    assert add(history, live(1200), must_be_kept=False).number == 2
    assert (history.newest.live, history.persistent) == (live(1200), False)
    assert asyncio.run(history.record(2)).live == live(1200)
    (small_disk / "ballast").unlink()
    assert add(history, live(1100)).number == 3
    assert asyncio.run(history.record(2)).live == live(1200)


@as_root
def test_a_disk_that_is_read_only_is_told_before_anything_is_written(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(FolderError, match=f"{small_disk}: is read-only"):
        Folder(small_disk)


@as_root
def test_one_that_turns_read_only_refuses_changes_from_then_on(small_disk, opened):
    history = opened()
    add(history, live(1300))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(NotKeptError, match="Read-only file system") as error:
        add(history, live(1200))
    assert not error.value.full


def test_a_folder_that_is_taken_away_refuses_changes(state, opened):
    history = opened()
    add(history, live(1300))
    shutil.rmtree(state)
    with pytest.raises(NotKeptError, match="No such file or directory"):
        add(history, live(1200))


def test_a_rename_that_may_not_last_is_taken_back(state, opened, monkeypatch):
    history = opened()
    add(history, live(1300))
    fsync = os.fsync

    def failing(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(NotKeptError):
        add(history, live(1200))
    monkeypatch.undo()
    assert names(state) == [file_name(1)]
    assert opened().newest.live == live(1300)


def test_a_damaged_revision_is_told_when_it_is_asked_for(state, opened):
    history = opened()
    add(history, live(1300))
    add(history, live(1200))
    (state / file_name(1)).write_bytes(b"synproxy")
    with pytest.raises(DamagedError, match="the file of revision 1 is torn"):
        asyncio.run(history.record(1))
    (state / file_name(1)).unlink()
    with pytest.raises(DamagedError, match="can't be read: No such file"):
        asyncio.run(history.record(1))


def test_on_disk_is_the_order_in_which_it_must_be(state, opened, monkeypatch):
    """Flushed before it is renamed, and the folder afterwards."""
    steps = []
    history = opened()
    fsync, rename = os.fsync, os.rename

    def noting_fsync(fd):
        steps.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def noting_rename(*names, **how):
        steps.append("rename")
        rename(*names, **how)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "rename", noting_rename)
    add(history, live())
    assert steps == ["file", "rename", "folder"]
