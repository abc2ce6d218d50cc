"""synproxy.v1.SystemService."""

import logging
import os
import platform
import time
from collections.abc import Awaitable, Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import version

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceServicer

from appliance.config.constraints import constraint_violations
from appliance.config.duration import NS_PER_S, duration_of
from appliance.config.violation import Violation
from appliance.log import LEVEL_AT_START, log_level_set
from appliance.management.catalogue import Catalogue
from appliance.management.changes import change_note, fields_changed
from appliance.management.draining import Draining
from appliance.management.errors import abort_invalid
from appliance.management.refusals import answered
from appliance.management.samples import Load, Samples
from appliance.management.secret import Secret
from cython_core.dataplane import (
    CYTHON_VERSION,
    DPDK_VERSION,
    Beginning,
    Dataplane,
    MempoolState,
    PortState,
    TableFill,
    WorkerState,
)

_LOG = logging.getLogger(__name__)


class SystemServicer(SystemServiceServicer):
    def __init__(self, catalogue: Catalogue, dataplane: Dataplane, samples: Samples) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._samples = samples
        self.draining = Draining(catalogue, dataplane)
        self._secret = Secret(catalogue, dataplane)
        self._log_level = LEVEL_AT_START
        self._start_ns = time.time_ns()
        self._since_ns = time.monotonic_ns()

    async def GetSystem(
        self, request: api.GetSystemRequest, context: grpc.aio.ServicerContext
    ) -> api.GetSystemResponse:
        started = Timestamp()
        started.FromNanoseconds(self._start_ns)
        return api.GetSystemResponse(
            versions=_versions(),
            eal_arguments=self._dataplane.eal_arguments,
            start_time=started,
            uptime=_since(self._since_ns),
            pid=os.getpid(),
            generation=self._catalogue.generation,
            log_levels=self._levels(),
            secret=self._secret.state,
            drain=self.draining.state(),
            tables=_together([worker.fill for worker in self._dataplane.worker_states()]),
            beginning=_beginning(self._dataplane.beginning),
        )

    async def ListPorts(
        self, request: api.ListPortsRequest, context: grpc.aio.ServicerContext
    ) -> api.ListPortsResponse:
        return api.ListPortsResponse(
            ports=[_port(port) for port in self._dataplane.port_states()])

    async def ListWorkers(
        self, request: api.ListWorkersRequest, context: grpc.aio.ServicerContext
    ) -> api.ListWorkersResponse:
        return api.ListWorkersResponse(
            workers=[_worker(state, loads) for state, loads in self._samples.workers()])

    async def ListMempools(
        self, request: api.ListMempoolsRequest, context: grpc.aio.ServicerContext
    ) -> api.ListMempoolsResponse:
        return api.ListMempoolsResponse(
            mempools=[_mempool(pool, free_min) for pool, free_min in self._samples.mempools()])

    async def GetDrain(
        self, request: api.GetDrainRequest, context: grpc.aio.ServicerContext
    ) -> api.GetDrainResponse:
        return api.GetDrainResponse(drain=self.draining.state())

    async def Drain(
        self, request: api.DrainRequest, context: grpc.aio.ServicerContext
    ) -> api.DrainResponse:
        if violations := list(constraint_violations(request)):
            await abort_invalid(context, violations)
        policy = request.policy if request.HasField("policy") else api.DRAIN_POLICY_BRIDGE
        took = await _done(self.draining.drain(policy), context)
        _LOG.info("draining: %s", api.DrainPolicy.Name(policy))
        return api.DrainResponse(
            drain=self.draining.state(), generation=self._catalogue.generation, apply_time=took)

    async def Undrain(
        self, request: api.UndrainRequest, context: grpc.aio.ServicerContext
    ) -> api.UndrainResponse:
        previous = self.draining.state()
        took = await _done(self.draining.undrain(), context)
        _LOG.info("not draining any more")
        return api.UndrainResponse(
            previous=previous, generation=self._catalogue.generation, apply_time=took)

    async def RotateSecret(
        self, request: api.RotateSecretRequest, context: grpc.aio.ServicerContext
    ) -> api.RotateSecretResponse:
        took = await _done(self._secret.rotate(), context)
        _LOG.info("secret %d drawn", self._secret.state.number)
        return api.RotateSecretResponse(
            secret=self._secret.state, generation=self._catalogue.generation, apply_time=took)

    async def SetLogLevel(
        self, request: api.SetLogLevelRequest, context: grpc.aio.ServicerContext
    ) -> api.SetLogLevelResponse:
        violations = list(constraint_violations(request))
        if not request.HasField("daemon") and not request.HasField("dpdk"):
            violations.append(Violation("daemon", "is required where dpdk isn't given"))
        if violations:
            await abort_invalid(context, violations)
        previous = self._levels()
        if request.HasField("daemon"):
            log_level_set(request.daemon)
            self._log_level = request.daemon
        if request.HasField("dpdk"):
            self._dataplane.log_level_set(request.dpdk)
        change_note("system/log_levels", fields_changed(previous, self._levels()))
        return api.SetLogLevelResponse(levels=self._levels(), previous=previous)

    def _levels(self) -> api.LogLevels:
        return api.LogLevels(daemon=self._log_level, dpdk=self._dataplane.log_level)


async def _done(change: Awaitable[None], context: grpc.aio.ServicerContext) -> Duration:
    """How long it took."""
    began_ns = time.monotonic_ns()
    await answered(change, context)
    return _since(began_ns)


def _since(monotonic_ns: int) -> Duration:
    return duration_of(time.monotonic_ns() - monotonic_ns)


@cache
def _versions() -> api.Versions:
    return api.Versions(
        product=version("synproxy-appliance"),
        dpdk=DPDK_VERSION,
        cython=CYTHON_VERSION,
        python=platform.python_version(),
        grpc=grpc.__version__,
        kernel=os.uname().release,
    )


def _beginning(beginning: Beginning) -> api.Beginning:
    return api.Beginning(
        warm=beginning.warm, cold_reason=beginning.cold, unkept_reason=beginning.unkept,
        stall=beginning.stall,
        gap=duration_of(round(beginning.gap_s * NS_PER_S)) if beginning.warm else None,
        **beginning.entries)


# The data plane's fields have the schema's names.

def _port(port: PortState) -> api.PortState:
    return api.PortState(**vars(port))


def _fill(fill: TableFill) -> api.TableFill:
    fields = asdict(fill)
    del fields["look"]
    return api.TableFill(**fields)


def _together(fills: Sequence[TableFill]) -> api.TableFill:
    """Of all workers."""
    whole = api.TableFill()
    for fill in map(_fill, fills):
        for field, number in fill.ListFields():
            setattr(whole, field.name, getattr(whole, field.name) + number)
    return whole


def _worker(state: WorkerState, loads: Sequence[Load]) -> api.WorkerState:
    fields = {name: value for name, value in vars(state).items()
              if name not in ("hz", "sweep", "fill")}
    return api.WorkerState(
        **fields, tables=_fill(state.fill), loads=[_load(load) for load in loads])


def _load(load: Load) -> api.WorkerLoad:
    return api.WorkerLoad(
        window=Duration(seconds=load.window_s), span=duration_of(round(load.span_s * NS_PER_S)),
        busy=load.busy, turns_per_second=load.turns_per_s,
        frames_per_second=load.frames_per_s, frames_per_burst=load.frames_per_burst,
        handed_in_per_second=load.handed_in_per_s, handed_out_per_second=load.handed_out_per_s,
        share=load.share)


def _mempool(pool: MempoolState, free_min: int) -> api.MempoolState:
    return api.MempoolState(**vars(pool), free=pool.size - pool.in_use, free_min=free_min)
