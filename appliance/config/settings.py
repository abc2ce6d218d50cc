"""A checked configuration in the data plane's own terms."""

from functools import lru_cache

from synproxy.v1.config_pb2 import STALL_REPORT, Config
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.attachment import port_device
from appliance.config.duration import NS_PER_MS, NS_PER_S, duration_ns
from appliance.config.formats import port_range_parse, prefix_parse
from appliance.config.options import complete, effective_options, options_set
from appliance.config.schema import fields_of
from appliance.config.values import value_text
from appliance.exit_codes import ExitCode
from cython_core.dataplane import PortSpec, ServiceSpec, Settings
from cython_core.dataplane import ServiceOptions as PlaneOptions


def settings_of(config: Config) -> Settings:
    whole = _whole(config)
    return Settings(
        client_port=PortSpec(port_device(whole.ports.client, 0)),
        server_port=PortSpec(port_device(whole.ports.server, 1)),
        main_lcore=whole.workers.control_lcore,
        worker_lcores=tuple(whole.workers.lcores),
        vector=whole.workers.vector,
        hugepages=whole.memory.hugepages,
        memory_mib=whole.memory.size_mib,
        shard_file=whole.memory.shard_file,
        file_prefix=whole.eal.file_prefix,
        connections=whole.limits.connections,
        half_open=whole.limits.half_open,
        early_segments=whole.limits.early_segments,
        servers=whole.limits.servers,
        services=whole.limits.services,
        mbufs=whole.memory.buffers,
        rx_descriptors=whole.ports.rx_descriptors,
        tx_descriptors=whole.ports.tx_descriptors,
        eal_log_level=whole.eal.log_level,
        extra_eal_args=tuple(whole.eal.arguments),
        stall_exit=ExitCode.STALLED,
        stall_only_told=whole.workers.on_stall == STALL_REPORT,
    )


def metrics_address_of(config: Config) -> str:
    """ "" where metrics are not served."""
    return config.management.metrics_address


def reload_on_change(config: Config) -> bool:
    return _whole(config).management.reload_on_change


def stop_grace_s(config: Config) -> int:
    return duration_ns(_whole(config).management.stop_grace) // NS_PER_S


def _whole(config: Config) -> Config:
    whole = Config()
    whole.CopyFrom(config)
    complete(whole)
    return whole


def service_spec(slot: int, service: Service, defaults: ServiceOptions) -> ServiceSpec:
    return ServiceSpec(
        slot=slot,
        name=service.name,
        prefixes=[str(prefix_parse(prefix)) for prefix in service.prefixes],
        ports=[port_range_parse(ports) for ports in service.ports],
        options=_plane_options(
            defaults.SerializeToString(deterministic=True),
            service.options.SerializeToString(deterministic=True)),
    )


# Of thousands of services most have the same.
@lru_cache(maxsize=256)
def _plane_options(of_all: bytes, of_service: bytes) -> PlaneOptions:
    defaults, own = ServiceOptions.FromString(of_all), ServiceOptions.FromString(of_service)
    return plane_options(effective_options(defaults, own), options_set(defaults, own))


def plane_options(options: ServiceOptions, own: ServiceOptions) -> PlaneOptions:
    """`options` has every field set; what `own` has not is learned of each server."""
    timeouts = options.timeouts
    return PlaneOptions(
        mss=options.mss,
        mss_ipv6=options.mss_ipv6,
        wscale=options.wscale if options.window_scaling else None,
        sack=options.sack,
        timestamps=options.timestamps,
        ecn=options.ecn,
        syn_retries=options.syn_retries,
        syn_timeout_ms=duration_ns(options.syn_timeout) // NS_PER_MS,
        established_timeout_s=duration_ns(timeouts.established) // NS_PER_S,
        half_closed_timeout_s=duration_ns(timeouts.half_closed) // NS_PER_S,
        time_wait_timeout_s=duration_ns(timeouts.time_wait) // NS_PER_S,
        closed_timeout_s=duration_ns(timeouts.closed) // NS_PER_S,
        learn_mss=not own.HasField("mss"),
        learn_mss_ipv6=not own.HasField("mss_ipv6"),
        learn_wscale=not own.HasField("wscale"),
        early_data=options.early_data,
        activation=_word(options, "activation"),
        unknown_flow=_word(options, "unknown_flow"),
        unknown_rate=options.unknown_rate,
        syn_rate_mark=options.marks.syn_rate,
        half_open_mark=options.marks.half_open,
        hold_s=duration_ns(options.marks.hold) // NS_PER_S,
        grace_s=duration_ns(options.marks.grace) // NS_PER_S,
        active_timeout_s=duration_ns(timeouts.active) // NS_PER_S,
        open_rate=options.bounds.rate,
        open_burst=options.bounds.burst,
        source_rate=options.bounds.source_rate,
        source_burst=options.bounds.source_burst,
        source_prefix=options.bounds.source_prefix,
        source_prefix_ipv6=options.bounds.source_prefix_ipv6,
        pacing_rate=options.pacing.rate,
        pacing_burst=options.pacing.burst,
        pacing_wait_ms=duration_ns(options.pacing.wait) // NS_PER_MS,
    )


def _word(options: ServiceOptions, name: str) -> str:
    """An enumeration's value as the data plane calls it."""
    (field,) = (field for field in fields_of(options.DESCRIPTOR) if field.name == name)
    return value_text(field, getattr(options, name)).lower()
