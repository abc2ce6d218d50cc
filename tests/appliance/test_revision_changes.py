"""Revisions that change one service: appended, several at once, and read again from what is there.
"""

import asyncio
import errno
import os
import random

import pytest

from appliance.state import store as stores
from appliance.state.folder import Folder, changes_name, file_name
from appliance.state.history import NotKeptError, UnknownRevisionError
from appliance.state.record import DamagedError

from .daemon_process import as_root
from .disks import fill
from .revisions import add, live, named, names, record, steps


def failing(*_):
    raise OSError(errno.EIO, "Input/output error")


def read(history, number):
    return asyncio.run(history.record(number))


def same(one, other):
    """In the same order, too."""
    assert one.live == other.live
    assert list(one.live.services) == list(other.live.services)
    assert (one.file, one.revision) == (other.file, other.revision)


def begun(opened, *changed):
    """A history whose revision 1 is whole, with one more for each of these."""
    history = opened()
    add(history, live())
    for one in changed:
        steps(history, one)
    return history


def test_a_change_of_one_service_is_appended_to_a_whole_one(state, opened):
    history = begun(opened, named("a"), named("a", 81), "web")
    assert names(state) == [changes_name(1), file_name(1)]
    assert (state / changes_name(1)).read_bytes().startswith(b"synproxy change 1 ")
    again = opened()
    same(again.newest, history.newest)
    assert again.newest.revision.number == 4
    assert list(again.newest.live.services) == ["a"]
    assert (again.notices, again.persistent, again.kept) == ([], True, True)


def test_the_file_of_changes_is_the_owners_alone(state, opened):
    begun(opened, named("a"))
    assert (state / changes_name(1)).stat().st_mode & 0o777 == 0o600


def test_every_one_is_read_again_as_it_was(opened, monkeypatch):
    monkeypatch.setattr(stores, "CHANGES_MAX", 7)
    history, draw, ran = begun(opened), random.Random(7), {}
    for _ in range(60):
        there = sorted(history.newest.live.services)
        gone = draw.choice(there)
        change = gone if draw.random() < 0.3 and len(there) > 1 else named(
            draw.choice("abcdef"), draw.randrange(1, 99))
        if draw.random() < 0.1:
            add(history, live(draw.randrange(1000, 1400)))
        else:
            steps(history, change)
        ran[history.newest.revision.number] = history.newest
        asyncio.run(history.prune())
    again = opened()
    assert again.notices == []
    for number, one in ran.items():
        same(read(history, number), one)
        same(read(again, number), one)


def test_what_cannot_be_told_as_a_change_of_one_service_is_whole(state, opened):
    history = begun(opened, named("a"))
    history.file_taken(live(1300))          # no revision says so yet
    steps(history, named("b"))
    assert names(state) == [changes_name(1), file_name(1), file_name(3)]
    assert opened().newest.file == live(1300)


def test_a_folder_that_has_each_of_them_whole_goes_on(state, opened):
    """As versions did that knew no changes."""
    folder = Folder(state)
    for number, running in enumerate((live(), live(a="192.0.2.1"), live(b="192.0.2.2")), 1):
        folder.write(record(number, running))
    folder.close()
    history = opened()
    assert (history.notices, history.newest.revision.number) == ([], 3)
    steps(history, named("c"))
    assert names(state) == [file_name(1), file_name(2), changes_name(3), file_name(3)]
    again = opened()
    assert list(again.newest.live.services) == ["web", "b", "c"]
    assert list(read(again, 2).live.services) == ["web", "a"]


# What is torn.

def torn(opened, state):
    """The file, and its length without the last change."""
    history = begun(opened, named("a"))
    path = state / changes_name(1)
    good = path.stat().st_size
    steps(history, named("b"))
    return path, good, path.read_bytes()


def test_torn_at_any_length_the_end_is_named_and_cut_and_the_last_good_one_used(state, opened):
    path, good, whole = torn(opened, state)
    for length in range(good + 1, len(whole)):
        path.write_bytes(whole[:length])
        again = opened()
        assert list(again.newest.live.services) == ["web", "a"]
        assert again.notices == [f"{path}: is torn behind revision 2, and cut there"]
        assert path.read_bytes() == whole[:good]
    again = opened()
    assert again.notices == []
    steps(again, named("c"))
    assert list(opened().newest.live.services) == ["web", "a", "c"]


def test_with_any_byte_changed_it_is_torn_there(state, opened):
    path, good, whole = torn(opened, state)
    for at in range(good, len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 0x20
        path.write_bytes(bytes(changed))
        again = opened()
        assert list(again.newest.live.services) == ["web", "a"]
        assert len(again.notices) == 1


@pytest.mark.parametrize("length", [0, 5, 60])
def test_a_file_that_is_torn_from_the_first_on_is_no_loss(state, opened, length):
    begun(opened, named("a"))
    path = state / changes_name(1)
    path.write_bytes(path.read_bytes()[:length])
    again = opened()
    assert again.newest.live == live()
    assert [f"{path}: is torn behind revision 1" in one for one in again.notices] == (
        [True] if length else [])
    steps(again, named("b"))
    assert list(opened().newest.live.services) == ["web", "b"]


@pytest.mark.parametrize(("content", "reason"), [
    (b"mine", "holds no changes of synproxy"), (bytes(4096), "holds no changes of synproxy"),
    (b"synproxy change 2 1 " + b"0" * 64 + b"\nx", "is of format 2, which this version"),
])
def test_what_only_has_the_name_is_passed_over_and_left_alone(state, opened, content, reason):
    add(opened(), live())
    path = state / changes_name(1)
    path.write_bytes(content)
    history = opened()
    assert history.notices[0].startswith(f"{path}: {reason}")
    steps(history, named("a"))
    assert path.read_bytes() == content
    assert list(opened().newest.live.services) == ["web", "a"]


def test_changes_behind_a_revision_that_is_missing_are_passed_over(state, opened):
    history = begun(opened, named("a"))
    add(history, live(1300))
    steps(history, named("b"))
    (state / file_name(3)).unlink()
    again = opened()
    assert again.notices == [
        f"{state}/{changes_name(3)}: follows revision 3, which isn't there; it is passed over"]
    assert list(again.newest.live.services) == ["web", "a"]


def test_a_change_that_is_damaged_is_told_when_it_is_asked_for(state, opened):
    history = begun(opened, named("a"), named("b"))
    path = state / changes_name(1)
    path.write_bytes(path.read_bytes()[:-1])
    assert list(read(history, 2).live.services) == ["web", "a"]
    add(history, live(1300))
    with pytest.raises(DamagedError, match="the file of revision 3 is torn or was changed"):
        read(history, 3)


# Whole ones between.

def filled(opened, monkeypatch, count, limit=100):
    monkeypatch.setattr(stores, "CHANGES_MAX", 3)
    history = opened(limit=limit)
    add(history, live())
    for number in range(count):
        steps(history, named("a", 1 + number))
        asyncio.run(history.prune())
    return history


def test_every_so_often_one_is_written_whole_as_well(state, opened, monkeypatch):
    filled(opened, monkeypatch, 7)
    assert names(state) == sorted(
        [name(number) for number in (1, 4, 7) for name in (file_name, changes_name)])
    assert opened().newest.live.services["a"].ports == ["7"]


def test_where_that_is_damaged_nothing_is_lost(state, opened, monkeypatch):
    filled(opened, monkeypatch, 4)
    (state / file_name(4)).write_bytes(b"synproxy")
    history = opened()
    assert len(history.notices) == 1
    assert history.newest.revision.number == 5
    for number in range(2, 6):
        assert read(history, number).live.services["a"].ports == [str(number - 1)]
    steps(history, named("a", 99))
    again = opened()
    assert again.newest.revision.number == 6
    assert again.newest.live.services["a"].ports == ["99"]


def test_what_is_older_than_the_latest_goes_with_its_file(state, opened, monkeypatch):
    history = filled(opened, monkeypatch, 100, limit=5)
    kept = [one.number for one in history.revisions()]
    assert kept == [101, 100, 99, 98, 97]
    assert names(state) == sorted(
        [name(number) for number in (97, 100) for name in (file_name, changes_name)])
    again = opened(limit=3)
    assert [one.number for one in again.revisions()] == [101, 100, 99]
    with pytest.raises(UnknownRevisionError):
        read(again, 97)
    assert read(again, 99).live.services["a"].ports == ["98"]


def test_all_together_take_no_more_bytes_than_they_may(opened, monkeypatch):
    monkeypatch.setattr("appliance.state.history.BYTES_MAX", 2500)
    history = filled(opened, monkeypatch, 40)
    assert 3 <= len(history.revisions()) < 20


def test_without_room_for_a_whole_one_changes_go_on(state, opened, monkeypatch):
    def full(self, record):
        raise OSError(errno.ENOSPC, "No space left on device")

    history = begun(opened)
    monkeypatch.setattr(stores, "CHANGES_MAX", 3)
    monkeypatch.setattr("appliance.state.folder.Folder.write", full)
    for port in range(1, 6):
        steps(history, named("a", port))
        asyncio.run(history.prune())
    assert not history.kept
    assert opened().newest.live.services["a"].ports == ["5"]


def test_changes_that_would_not_be_read_again_are_refused(state, opened, monkeypatch):
    history = begun(opened, *(named("a", port) for port in range(10, 30)))
    bound = (state / changes_name(1)).stat().st_size
    assert (state / file_name(1)).stat().st_size < bound
    monkeypatch.setattr("appliance.state.folder.FILE_BYTES_MAX", bound)
    with pytest.raises(NotKeptError):
        steps(history, named("a", 30))
    assert opened().newest.live.services["a"].ports == ["29"]


# Disks.

def test_several_at_once_are_one_write_and_one_flush(state, opened, monkeypatch):
    history, fsync, flushed = begun(opened, named("a")), os.fsync, []

    def counting(fd):
        flushed.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", counting)
    steps(history, *(named("a", port) for port in range(1, 9)))
    assert flushed == [str(state / changes_name(1))]
    assert [one.number for one in opened().revisions()] == list(range(10, 0, -1))


@as_root
def test_of_several_a_full_disk_keeps_none(small_disk, opened):
    history = begun(opened, named("a"))
    fill(small_disk)
    for several in ([named("b")] * 40, [named(f"b{number}") for number in range(40)]):
        with pytest.raises(NotKeptError, match="No space left on device") as error:
            steps(history, *several)
        assert error.value.full
    assert (history.newest.revision.number, history.persistent, history.kept) == (2, True, False)
    assert [one.number for one in opened().revisions()] == [2, 1]
    (small_disk / "ballast").unlink()
    history = opened()
    steps(history, named("c"))
    assert list(opened().newest.live.services) == ["web", "a", "c"]


def test_what_may_not_last_is_taken_back(state, opened, monkeypatch):
    history = begun(opened, named("a"))
    before = (state / changes_name(1)).read_bytes()

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(NotKeptError):
            steps(history, named("b"))
    assert (state / changes_name(1)).read_bytes() == before
    steps(history, named("c"))
    assert list(opened().newest.live.services) == ["web", "a", "c"]


def test_nothing_is_built_upon_what_a_disk_did_not_take_back(state, opened, monkeypatch):
    history = begun(opened, named("a"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        patched.setattr(os, "ftruncate", failing)
        with pytest.raises(NotKeptError):
            steps(history, named("b"))
    assert b"b" in (state / changes_name(1)).read_bytes()
    steps(history, named("c"))
    again = opened()
    assert (list(again.newest.live.services), again.notices) == (["web", "a", "c"], [])


def test_what_is_in_memory_alone_is_not_built_upon_either(opened, monkeypatch):
    history = begun(opened, named("a"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        add(history, live(1300, z="192.0.2.9"), must_be_kept=False)
    steps(history, named("b"))
    assert list(opened().newest.live.services) == ["web", "z", "b"]


def test_what_is_taken_back_is_gone(state, opened):
    history = begun(opened, named("a"))
    former = history.newest
    steps(history, named("b"), named("c"))
    asyncio.run(history.take_back(former, None))
    same(opened().newest, former)
    assert [one.number for one in history.revisions()] == [2, 1]
    steps(history, named("d"))
    assert list(opened().newest.live.services) == ["web", "a", "d"]
