"""The role of each method, said a second time."""

from synproxy.v1.rule_pb2 import ROLE_ADMIN, ROLE_OPERATOR, ROLE_VIEWER

from appliance.management.roles import method_role

from .methods import methods

# Beside what the schema says, so that no method becomes another role's by a slip.
MEANT = {
    ROLE_VIEWER: {
        "ConfigService": {"GetConfig", "DiffConfig", "ListRevisions"},
        "ConnectionsService": {"ListConnections"},
        "EventsService": {"WatchEvents"},
        "ServersService": {"ListServers"},
        "ServicesService": {"ListServices", "GetService", "WatchServices"},
        "StatsService": {"GetStats", "WatchStats"},
        "SystemService": {"GetSystem", "ListPorts", "ListWorkers", "ListMempools", "GetDrain"},
    },
    ROLE_OPERATOR: {
        "CaptureService": {"Capture"},
        "ConfigService": {"ApplyConfig", "ConfirmConfig", "RollbackConfig"},
        "ConnectionsService": {"DeleteConnection"},
        "ServicesService": {"CreateService", "UpdateService", "DeleteService"},
        "SystemService": {"Drain", "Undrain", "SetLogLevel"},
    },
    ROLE_ADMIN: {"SystemService": {"RotateSecret"}},
}


def test_every_method_of_ours_has_the_role_that_is_meant():
    meant = {
        f"/synproxy.v1.{service}/{name}": role
        for role, services in MEANT.items() for service, names in services.items()
        for name in names
    }
    assert {method: method_role(method) for method in methods()} == meant
