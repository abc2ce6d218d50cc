"""Limits of control groups: read as the kernel has them, and refused where they don't suffice."""

import os

import pytest

from appliance.host.cgroup import cpu_quota, cpuset_given, groups_of, hugetlb_left_kib
from appliance.host.hugepages import hugepage_refusals
from appliance.host.processors import processor_refusals

from .control_groups import MIB, control_groups, pools_of


@pytest.mark.parametrize(("files", "quota"), [
    ({}, None),
    ({"pod": "cpu.max: max 100000"}, None),
    ({"pod": "cpu.max: 150000 100000"}, 1.5),
    ({"pod": "cpu.max: max 100000", "slice_": "cpu.max: 400000 100000"}, 4),
    ({"pod": "cpu.max: 400000 100000", "slice_": "cpu.max: 100000 50000"}, 2),
])
def test_the_least_quota_of_a_group_and_those_above_it_counts(tmp_path, files, quota):
    assert cpu_quota(control_groups(tmp_path, **files)) == quota


@pytest.mark.parametrize(("files", "given"), [
    ({}, False),
    # As the kernel has it of a group that was given none.
    ({"pod": "cpuset.cpus: \ncpuset.cpus.effective: 0-7", "slice_": "cpuset.cpus: "}, False),
    ({"pod": "cpuset.cpus: 0-7"}, True),
    ({"pod": "cpuset.cpus: ", "slice_": "cpuset.cpus: 0-7"}, True),
])
def test_a_cpuset_that_was_given_is_told_from_what_is_left(tmp_path, files, given):
    assert cpuset_given(control_groups(tmp_path, **files)) is given


@pytest.mark.parametrize(("files", "left_mib"), [
    ({}, None),
    ({"pod": "hugetlb.2MB.max: max"}, None),
    ({"pod": "hugetlb.1GB.max: 0"}, None),
    ({"pod": f"hugetlb.2MB.max: {512 * MIB}\nhugetlb.2MB.current: {128 * MIB}"}, 384),
    ({"pod": f"hugetlb.2MB.max: {512 * MIB}", "slice_": f"hugetlb.2MB.max: {64 * MIB}"}, 64),
    # A limit may be set below what is in use.
    ({"pod": f"hugetlb.2MB.max: 0\nhugetlb.2MB.current: {128 * MIB}"}, 0),
])
def test_huge_pages_that_a_group_may_take_yet(tmp_path, files, left_mib):
    left_kib = hugetlb_left_kib(control_groups(tmp_path, **files), 2048)
    assert left_kib == (left_mib if left_mib is None else left_mib * 1024)


@pytest.mark.parametrize(("size_kib", "word"), [(64, "64KB"), (2048, "2MB"), (1 << 20, "1GB")])
def test_a_size_of_huge_pages_is_written_as_the_kernel_writes_it(tmp_path, size_kib, word):
    groups = control_groups(tmp_path, f"hugetlb.{word}.max: {5 * MIB}")
    assert hugetlb_left_kib(groups, size_kib) == 5 * 1024


def test_a_group_that_is_not_to_be_seen_leaves_the_root(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/../../sibling\n")
    assert groups_of(own, tmp_path) == [tmp_path]
    own.write_text("7:cpuset:/docker/1\n")
    assert groups_of(own, tmp_path) == []


def test_huge_pages_beyond_the_limit_are_refused_by_its_name(tmp_path):
    pools = pools_of(tmp_path, free=512)
    limited = control_groups(tmp_path, f"hugetlb.2MB.max: {256 * MIB}")
    assert list(hugepage_refusals(256, pools, limited)) == []
    (refusal,) = hugepage_refusals(512, pools, limited)
    assert "512 MiB of huge pages, 256 MiB are free; raise the control group's" in str(refusal)
    (refusal,) = hugepage_refusals(2048, pools, limited)
    assert "reserve 896 more pages of 2 MiB (vm.nr_hugepages)" in str(refusal)


@pytest.mark.parametrize(("quota", "refused"), [(None, False), (1, True), (1.5, False), (2, False)])
def test_a_worker_does_not_take_all_the_time_that_there_is(monkeypatch, quota, refused):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    lines = [str(refusal) for refusal in processor_refusals((0, 1), quota)]
    assert lines == ["workers poll without a pause, and 1 is all the CPU time that this process may"
                     " take (cpu.max); give it 2: one for each worker, one for all else"] * refused


def test_too_little_cpu_time_is_told_before_the_lcores_that_were_not_chosen_for_it(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6, 7})
    (line,) = map(str, processor_refusals((0, 1), 1))
    assert line.startswith("workers poll without a pause, and 1 is all the CPU time")
    (line,) = map(str, processor_refusals((0, 1), 2))
    assert line.startswith("workers names lcore 0, 1, but this process may use 4-7 only")
