"""The folder of revisions: the owner's alone, bounded, and trusted no further than checksums."""

import asyncio
import os
import re
import shutil
import stat

import pytest

from appliance.state import folder as folders
from appliance.state import history as histories
from appliance.state.folder import Folder, FolderError, file_name
from appliance.state.history import History, UnknownRevisionError

from .daemon_process import as_root
from .revisions import ORIGIN, add, live, names

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
