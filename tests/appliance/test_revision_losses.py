"""Kills and disks that fail: of a revision and the one before it, one is there whole."""

import asyncio
import errno
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from appliance.lab.waiting import until
from appliance.state import folder as folders
from appliance.state import store as stores
from appliance.state.folder import Folder, FolderError, file_name
from appliance.state.history import NotKeptError, UnknownRevisionError
from appliance.state.record import DamagedError

from .daemon_process import as_root
from .disks import fill
from .revisions import ORIGIN, add, live, named, names, steps

SOON_S = 10

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
            alike = ("open", "write", "fsync", "rename", "unlink", "fstat")
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


def test_killed_while_changes_are_appended_all_of_them_are_there_or_none(state, opened):
    kept = set()
    for step in range(8):
        shutil.rmtree(state, ignore_errors=True)
        history = opened()
        add(history, live())

        def act(history=history, step=step):
            dies_at(step)
            steps(history, named("a"), named("b"))

        child = forked(act)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        again = opened()
        assert again.notices == []
        kept.add(tuple(again.newest.live.services))
        assert status == 9 or kept
        steps(again, named("c"))
        assert list(opened().newest.live.services)[-1] == "c"
    assert kept == {("web",), ("web", "a", "b")}


def test_killed_between_a_change_and_the_whole_one_behind_it_nothing_is_lost(
    state, opened, monkeypatch
):
    monkeypatch.setattr(stores, "CHANGES_MAX", 3)
    found = set()
    for step in range(12):
        shutil.rmtree(state, ignore_errors=True)
        history = opened(limit=2)
        add(history, live())
        for name in "abc":
            steps(history, named(name))

        def act(history=history, step=step):
            dies_at(step)
            asyncio.run(history.prune())
            steps(history, named("d"))

        child = forked(act)
        os.waitpid(child, 0)
        found.add(tuple(name for name in names(state) if "unfinished" not in name))
        again = opened(limit=2)
        assert again.notices == []
        assert list(again.newest.live.services)[:4] == ["web", "a", "b", "c"]
        asyncio.run(again.prune())
        steps(again, named("e"))
        assert list(opened().newest.live.services)[-1] == "e"
    assert len(found) > 2


def answered_first(said: Path) -> bool:
    return said.exists() and bool(said.read_text())


def test_killed_at_any_time_it_comes_back_with_what_was_answered(state, opened, tmp_path):
    history = opened()
    for attempt in range(10):
        said = tmp_path / f"said{attempt}"

        def act(history=history, said=said):
            with said.open("w", buffering=1) as out:
                while True:
                    print(add(history, live(1300)).number, file=out)

        child = forked(act)
        until(partial(answered_first, said), seconds=5, what="the first answer")
        time.sleep(attempt * 0.0137)
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


def test_what_would_not_be_read_again_is_refused_and_leaves_nothing(state, opened, monkeypatch):
    history = opened()
    add(history, live(1300))
    monkeypatch.setattr(folders, "FILE_BYTES_MAX", (state / file_name(1)).stat().st_size)
    with pytest.raises(NotKeptError, match="have fewer services") as error:
        add(history, live(1200, mail="192.0.2.25"))
    assert error.value.full
    assert names(state) == [file_name(1)]
    assert opened().newest.live == live(1300)
    assert add(history, live(1200)).number == 2


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


def test_one_that_goes_while_it_is_read_is_not_there_any_more(opened, monkeypatch):
    history = opened(limit=2)
    add(history, live(1300))
    add(history, live(1200))
    begun, gone = threading.Event(), threading.Event()
    read = history._store.folder.read

    def slow(number):
        begun.set()
        assert gone.wait(SOON_S)
        return read(number)

    async def ask():
        reading = asyncio.create_task(history.record(1))
        await asyncio.to_thread(begun.wait, SOON_S)
        await history.add(live(1100), live(1100), ORIGIN, [])
        await history.prune()
        gone.set()
        await reading

    monkeypatch.setattr(history._store.folder, "read", slow)
    with pytest.raises(UnknownRevisionError, match="no revision 1, or not any more"):
        asyncio.run(ask())


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
