"""default < `defaults` < service."""

import pytest
from google.protobuf.duration_pb2 import Duration
from synproxy.v1.service_pb2 import ServiceOptions, Timeouts

from appliance.config.load import config_parse
from appliance.config.options import effective_options, options_set
from appliance.config.settings import plane_options


def test_a_service_comes_before_defaults_and_these_before_the_built_in():
    defaults = ServiceOptions(mss=1400, wscale=3, sack=False)
    own = ServiceOptions(mss=1300, sack=True)
    options = effective_options(defaults, own)
    assert (options.mss, options.wscale, options.sack) == (1300, 3, True)
    assert options.mss_ipv6 == 1440


def test_what_is_set_to_zero_or_false_is_set():
    defaults = ServiceOptions(wscale=7, timestamps=True, syn_retries=5)
    options = effective_options(
        defaults, ServiceOptions(wscale=0, timestamps=False, syn_retries=0)
    )
    assert (options.wscale, options.timestamps, options.syn_retries) == (0, False, 0)


def test_timeouts_are_inherited_one_by_one():
    defaults = ServiceOptions(timeouts=Timeouts(closed=Duration(seconds=10)))
    own = ServiceOptions(timeouts=Timeouts(established=Duration(seconds=20)))
    timeouts = effective_options(defaults, own).timeouts
    assert (timeouts.closed.seconds, timeouts.established.seconds) == (10, 20)
    assert timeouts.time_wait.seconds == 120


def test_a_duration_replaces_the_whole_of_the_other():
    defaults = ServiceOptions(syn_timeout=Duration(seconds=1, nanos=500_000_000))
    options = effective_options(defaults, ServiceOptions(syn_timeout=Duration(seconds=2)))
    assert options.syn_timeout == Duration(seconds=2)


def test_neither_side_is_changed():
    defaults, own = ServiceOptions(mss=1400), ServiceOptions(sack=False)
    effective_options(defaults, own)
    assert (defaults, own) == (ServiceOptions(mss=1400), ServiceOptions(sack=False))


@pytest.mark.parametrize(
    ("options", "wscale"),
    [(ServiceOptions(), 7), (ServiceOptions(wscale=0), 0),
     (ServiceOptions(wscale=9, window_scaling=False), None)],
)
def test_without_window_scaling_no_scale_is_announced(options, wscale):
    assert plane_options(effective_options(ServiceOptions(), options), options).wscale == wscale


def test_what_nobody_sets_is_learned_of_each_server():
    defaults, own = ServiceOptions(mss=1400), ServiceOptions(wscale=7)
    options = plane_options(effective_options(defaults, own), options_set(defaults, own))
    assert (options.learn_mss, options.learn_mss_ipv6, options.learn_wscale) == (
        False, True, False)


def test_every_option_of_a_file_reaches_the_data_plane(minimal):
    text = minimal + """
defaults: {mss: 1000}
services:
- name: web
  prefixes: [192.0.2.1]
  ports: [80]
  options:
    mss: 1200
    mss_ipv6: 1300
    wscale: 2
    sack: false
    timestamps: false
    ecn: false
    syn_retries: 1
    syn_timeout: 250ms
    timeouts: {established: 1h, half_closed: 2h, time_wait: 30s, closed: 4s, active: 6s}
    early_data: false
    activation: OFF
    marks: {syn_rate: 70, half_open: 80, hold: 3s, grace: 0s}
    unknown_flow: RESET
    unknown_rate: 90
    bounds: {rate: 0, burst: 5, source_rate: 6, source_burst: 7, source_prefix: 8,
             source_prefix_ipv6: 128}
    pacing: {rate: 7, burst: 8, wait: 900ms}
"""
    config = config_parse(text.encode(), "f")
    own = config.services[0].options
    options = plane_options(effective_options(config.defaults, own), own)
    assert vars(options) == {
        "mss": 1200, "mss_ipv6": 1300, "wscale": 2, "sack": False, "timestamps": False,
        "ecn": False, "syn_retries": 1, "syn_timeout_ms": 250, "established_timeout_s": 3600,
        "half_closed_timeout_s": 7200, "time_wait_timeout_s": 30, "closed_timeout_s": 4,
        "learn_mss": False, "learn_mss_ipv6": False, "learn_wscale": False,
        "early_data": False, "activation": "off", "syn_rate_mark": 70, "half_open_mark": 80,
        "hold_s": 3, "grace_s": 0, "unknown_flow": "reset", "unknown_rate": 90,
        "active_timeout_s": 6, "open_rate": 0, "open_burst": 5, "source_rate": 6,
        "source_burst": 7, "source_prefix": 8, "source_prefix_ipv6": 128,
        "pacing_rate": 7, "pacing_burst": 8, "pacing_wait_ms": 900,
    }
