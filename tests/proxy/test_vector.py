"""Whichever vectors a worker uses, the same frames come out, byte by byte."""

from collections import Counter

import pytest

from cython_core.wire import vector as vectors

from .recorded import SIZES, answers, recorded

every_vector = pytest.mark.parametrize("vector", vectors.VECTORS)


@every_vector
def test_all_vectors_give_the_same_bytes(vector):
    for ours, narrowest in zip(answers(vector), answers(vectors.VECTORS[0]), strict=True):
        assert ours == narrowest


@every_vector
def test_frames_go_their_way_whichever_vectors_there_are(vector):
    fates = Counter(verdict for answer in answers(vector) for verdict in answer.verdicts)
    assert set(fates) == {
        "to_client", "to_server", "translate", "tcp_checksum", "cookie_invalid"}
    clients = fates["to_server"]
    assert clients == fates["cookie_invalid"] > 64
    assert min(fates.values()) == clients


def test_bursts_of_all_sizes_were_recorded_from_either_side():
    assert {(len(batch.frames), batch.from_client) for batch in recorded()} >= {
        (size, from_client) for size in SIZES for from_client in (True, False)}
