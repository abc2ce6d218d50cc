"""A caller of the ConfigService, for its tests."""


import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import config_service_pb2 as api
from synproxy.v1 import services_service_pb2
from synproxy.v1.config_pb2 import Config
from synproxy.v1.config_service_pb2_grpc import ConfigServiceStub
from synproxy.v1.service_pb2 import Service, ServiceOptions
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

CALL_S = 10


class Client:
    def __init__(self, channel):
        self.config = ConfigServiceStub(channel)
        self.services = ServicesServiceStub(channel)

    def get(self, revision=0):
        return self.config.GetConfig(api.GetConfigRequest(revision=revision), timeout=CALL_S)

    def diff(self, revision=0):
        return self.config.DiffConfig(api.DiffConfigRequest(revision=revision), timeout=CALL_S)

    def apply(self, services, mss=None, within_s=None, timeout=CALL_S, **fields):
        config = fields.pop("config", Config())
        config.services.extend(services)
        if mss:
            config.defaults.mss = mss
        return self.config.ApplyConfig(api.ApplyConfigRequest(
            config=config, confirm_within=Duration(seconds=within_s) if within_s else None,
            **fields), timeout=timeout)

    def confirm(self, revision=0):
        return self.config.ConfirmConfig(
            api.ConfirmConfigRequest(revision=revision), timeout=CALL_S).revision

    def rollback(self, revision, within_s=None, **fields):
        return self.config.RollbackConfig(api.RollbackConfigRequest(
            revision=revision, confirm_within=Duration(seconds=within_s) if within_s else None,
            **fields), timeout=CALL_S)

    def revisions(self, **fields):
        return self.config.ListRevisions(api.ListRevisionsRequest(**fields), timeout=CALL_S)

    def set(self, name="web", mss=1300, timeout=CALL_S):
        return self.services.UpdateService(services_service_pb2.UpdateServiceRequest(
            service=Service(name=name, options=ServiceOptions(mss=mss))), timeout=timeout)

    def running(self):
        return self.get().config.services


def service(name, number, port="80", **options):
    return Service(name=name, prefixes=[f"198.51.100.{number}"], ports=[port],
                   options=ServiceOptions(**options) if options else None)


def refused(call, code, words=""):
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert (error.value.code(), words in error.value.details()) == (code, True), error.value
    return error.value


def specs(daemon):
    return {spec.name: spec for spec in daemon.plane.published[-1]}
