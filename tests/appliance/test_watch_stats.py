"""WatchStats: samples with rates, of what has changed; what a slow reader loses."""

import time
from types import SimpleNamespace
from typing import cast

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import stats_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance import supervision
from appliance.cli import stats
from appliance.lab.waiting import until
from appliance.management import sampler, samplings
from appliance.management.bounds import STREAMS_MAX
from appliance.management.samplings import Reader
from cython_core.dataplane import DROP_REASONS, SERVICE_COUNTERS

CALL_S = 10
MAIL = Service(name="mail", prefixes=["192.0.2.25"], ports=["25"])
FIRST = SERVICE_COUNTERS[0]
SOON = Duration(nanos=100_000_000)


@pytest.fixture
def watch(daemon):
    """WatchStats; the calls end with the test."""
    calls = []

    def begin(**request):
        calls.append(StatsServiceStub(daemon.channel).WatchStats(
            api.WatchStatsRequest(**{"interval": SOON} | request)))
        return calls[-1]

    yield begin
    for call in calls:
        call.cancel()


def names(sample):
    return [service.name for service in sample.stats.services]


def delete(daemon, name):
    """It has no connections, so that its slot is free at once."""
    daemon.call(daemon.catalogue.delete(name))
    daemon.plane.left.clear()


def create(daemon, name):
    daemon.call(daemon.catalogue.create(
        Service(name=name, prefixes=["198.51.100.1"], ports=["53"])))


def sampling_of(daemon):
    (sampling,) = daemon.server._stats._samplings._samplings.values()
    return sampling


def refusal(call):
    with pytest.raises(grpc.RpcError) as error:
        next(call)
    return error.value.code(), error.value.details()


def test_the_first_sample_has_everything_and_no_rates(watch):
    sample = next(watch())
    assert names(sample) == ["web", "mail"]
    assert not sample.HasField("period")
    assert [dict(worker.rates) for worker in sample.stats.workers] == [{}, {}]
    assert [len(sample.stats.ports), len(sample.stats.mempools)] == [2, 1]


def test_a_watch_goes_on_after_a_mistake_of_ours(daemon, watch, monkeypatch):
    monkeypatch.setattr(supervision, "AGAIN_S", 0.01)
    samples = watch()
    next(samples)
    failures, good = daemon.server._supervision.failures, daemon.plane.counters
    daemon.plane.counters = None        # which nothing is prepared for
    until(lambda: failures["stats"] >= 2, seconds=CALL_S, what="it to fail and begin again")
    daemon.plane.counters = good
    assert next(samples).stats.workers


def test_later_ones_have_the_services_that_changed_with_their_rates(daemon, watch):
    samples = watch()
    next(samples)
    assert names(next(samples)) == []
    daemon.plane.grown[1] = 40
    changed = next(sample for sample in samples if names(sample))
    (mail,) = changed.stats.services
    assert (mail.name, mail.counters[FIRST]) == ("mail", 51)
    period_s = changed.period.ToNanoseconds() / 1e9
    assert mail.rates[FIRST] == pytest.approx(40 / period_s)
    assert names(next(samples)) == []


def test_workers_rates_are_by_counter_and_by_reason(daemon, watch):
    samples = watch()
    next(samples)
    reason = DROP_REASONS[-1]
    daemon.plane.counters = daemon.plane.counters | {reason: 13}
    worker = next(sample for sample in samples if sample.stats.workers[0].rates).stats.workers[0]
    assert set(worker.rates) == {reason}
    assert worker.drops[reason] == 13
    assert worker.rates[reason] > 0


def test_a_watch_of_one_service_hears_of_no_other(daemon, watch):
    samples = watch(services=["web"])
    assert names(next(samples)) == ["web"]
    daemon.plane.grown.update({0: 5, 1: 5})
    assert names(next(sample for sample in samples if names(sample))) == ["web"]


def test_a_new_service_is_told_and_has_no_rates_of_who_had_its_slot(daemon, watch):
    samples = watch()
    next(samples)
    daemon.plane.grown[1] = 1000
    delete(daemon, "mail")
    create(daemon, "dns")
    assert daemon.catalogue.slot("dns") == 1
    (dns,) = next(sample for sample in samples if names(sample) == ["dns"]).stats.services
    assert (dict(dns.counters), dict(dns.rates)) == ({}, {})
    daemon.plane.grown[1] += 5
    changed = next(sample for sample in samples if names(sample))
    (dns,) = changed.stats.services
    assert dns.counters[FIRST] == 5
    assert dns.rates[FIRST] == pytest.approx(5e9 / changed.period.ToNanoseconds())


def test_one_that_has_gone_is_told_once(daemon, watch):
    samples, of_web = watch(), watch(services=["web"])
    next(samples)
    next(of_web)
    delete(daemon, "mail")
    gone = next(sample for sample in samples if sample.gone)
    assert (list(gone.gone), names(gone)) == (["mail"], [])
    assert not next(samples).gone
    assert not next(of_web).gone


def test_one_that_was_created_anew_between_two_samples_has_gone_before(daemon, watch):
    samples = watch()
    next(samples)

    async def anew():
        """Without a sample in between."""
        async with sampling_of(daemon)._taking:
            await daemon.catalogue.delete("mail")
            daemon.plane.left.clear()
            await daemon.catalogue.create(MAIL)

    daemon.call(anew())
    assert daemon.catalogue.slot("mail") == 1
    told = next(sample for sample in samples if sample.gone)
    assert (list(told.gone), names(told)) == (["mail"], ["mail"])
    assert dict(told.stats.services[0].counters) == {}
    again = next(samples)
    assert (list(again.gone), names(again)) == ([], [])


def test_what_changes_while_the_first_watch_begins_is_told_with_its_rate(
    daemon, watch, monkeypatch
):
    take = sampler.Sampler._take_services

    def step(self, slots, period_s):
        """Changes web right behind the first look at it."""
        taken = take(self, slots, period_s)
        daemon.plane.grown[0] = 100
        return taken

    monkeypatch.setattr(sampler.Sampler, "_take_services", step)
    samples = watch()
    web, _ = next(samples).stats.services
    assert web.counters[FIRST] == 10
    changed = next(sample for sample in samples if names(sample))
    (web,) = changed.stats.services
    assert web.counters[FIRST] == 110
    assert web.rates[FIRST] == pytest.approx(100e9 / changed.period.ToNanoseconds())


@pytest.mark.parametrize(("interval", "words"), [
    (Duration(nanos=99_000_000), "99ms"), (Duration(seconds=3601), "1h1s"),
    (Duration(nanos=100_000_001), "steps of 1ms")])
def test_an_interval_out_of_range_is_refused(watch, interval, words):
    code, details = refusal(watch(interval=interval))
    assert (code, words in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)


def test_a_service_that_no_one_knows_is_not_found(watch):
    assert refusal(watch(services=["web", "nope"])) == (
        grpc.StatusCode.NOT_FOUND, "no service is called nope")


@pytest.mark.parametrize(("bound", "requests"), [
    ("all 1 places", [{}, {}]), ("1 different intervals", [{}, {"services": ["web"]}])])
def test_there_is_a_bound_on_watches(watch, monkeypatch, bound, requests):
    if bound == "all 1 places":
        monkeypatch.setitem(STREAMS_MAX, "/synproxy.v1.StatsService/WatchStats", 1)
    else:
        monkeypatch.setattr(samplings, "SAMPLINGS_MAX", 1)
    next(watch(**requests[0]))
    code, details = refusal(watch(**requests[1]))
    assert (code, details[:len(bound)]) == (grpc.StatusCode.RESOURCE_EXHAUSTED, bound)


def test_who_asks_for_the_same_shares_a_sampling_that_ends_with_the_last(daemon, watch):
    calls = [watch(), watch(), watch(services=["web"])]
    for call in calls:
        next(call)
    shared = daemon.server._stats._samplings._samplings
    assert sorted(len(sampling.readers) for sampling in shared.values()) == [1, 2]
    for call in calls:
        call.cancel()
    until(lambda: not shared, seconds=CALL_S, what="the samplings to end")


def sample(*services, period=1):
    return api.WatchStatsResponse(
        stats=api.GetStatsResponse(services=[
            api.ServiceStats(name=name, counters={FIRST: count}, rates={FIRST: 1.0})
            for name, count in services]),
        period=Duration(seconds=period))


def test_a_slow_reader_loses_samples_and_no_services_last_state():
    reader, latest = Reader(), sample(("web", 3))
    for one in (sample(("web", 1), ("mail", 7)), sample(("web", 2)), latest):
        reader.tell(one)
    read = reader._read()
    assert read.lost == 2
    assert {one.name: (one.counters[FIRST], dict(one.rates)) for one in read.stats.services} == {
        "web": (3, {FIRST: 1.0}), "mail": (7, {})}
    assert latest == sample(("web", 3)), "others read it, too"
    reader.tell(sample())
    assert reader._read() == sample()


def gone(*names, services=(), **fields):
    told = sample(*services, **fields)
    told.gone.extend(names)
    return told


def test_a_slow_reader_hears_who_has_gone_and_of_whom_it_never_heard_nothing():
    reader = Reader()
    reader.tell(sample(("web", 1), ("mail", 2)))
    reader.tell(gone("web", services=[("dns", 1)]), came=["dns"])
    reader.tell(gone("dns", "mail", services=[("mail", 0)]), came=["mail"])
    reader.tell(sample())
    read = reader._read()
    assert (list(read.gone), names(read), read.lost) == (["web", "mail"], ["mail"], 3)
    assert read.stats.services[0].counters[FIRST] == 0
    for round_ in range(100):
        reader.tell(sample((f"s{round_}", 1)), came=[f"s{round_}"])
        reader.tell(gone(f"s{round_}"))
    assert len(reader._gone) + len(reader._came) + len(reader._rested) == 0


def test_the_table_has_none_that_has_gone(capsys):
    told = [sample(("web", 1), ("mail", 7)), gone("mail", services=[("web", 2)])]
    stub = SimpleNamespace(
        GetStats=lambda request, timeout: api.GetStatsResponse(), WatchStats=lambda request: told)
    stats._watch(cast(StatsServiceStub, stub), api.WatchStatsRequest(), zeros=False)
    first, second = capsys.readouterr().out.split("generation")[1:]
    assert ("mail" in first, "mail" in second, "web" in second) == (True, False, True)


class TestRatesOver:
    def test_one_call_has_rates(self, daemon):
        stub = StatsServiceStub(daemon.channel)
        answer = stub.GetStats.future(api.GetStatsRequest(rates_over=Duration(seconds=1)))
        time.sleep(0.3)
        daemon.plane.grown[1] = 8
        web, mail = answer.result(timeout=CALL_S).services
        assert (web.name, dict(web.rates)) == ("web", {})
        assert mail.rates[FIRST] == pytest.approx(8, rel=0.2)

    def test_no_longer_than_ten_seconds(self, daemon):
        with pytest.raises(grpc.RpcError) as error:
            StatsServiceStub(daemon.channel).GetStats(
                api.GetStatsRequest(rates_over=Duration(seconds=11)), timeout=CALL_S)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
