"""A client in another language drives the daemon, with no schema of its own: it has reflection."""

import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from appliance.api import SERVICE_NAMES

from .daemon_process import two_cores

ROOT = Path(__file__).parents[2]
NODE = Path(sys.executable).with_name("node")
PROGRAM = ROOT / "tests/clients/node/drive.cjs"
WITHIN_S = 60


@two_cores
def test_a_node_client_lists_creates_updates_deletes_and_watches(configure, start):
    daemon = start(configure())
    run = subprocess.run(
        [NODE, PROGRAM, daemon.address], capture_output=True, text=True, timeout=WITHIN_S,
        env={**os.environ, "NODE_PATH": str(ROOT / "build/node/node_modules")})
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert set(SERVICE_NAMES) < set(said["services"])
    assert (said["listed"], said["relisted"]) == (["web"], ["web", "driven"])
    assert said["created"]["service"]["effective_options"]["mss"] == 1300
    assert said["updated"]["previous"]["options"]["mss"] == 1300
    assert said["updated"]["service"]["options"]["mss"] == 1200
    assert said["updated"]["generation"] > said["created"]["generation"]
    assert said["stale"] == grpc.StatusCode.ABORTED.value[0]
    assert said["deleted"]["service"]["name"] == "driven"
    assert said["watched"] == [
        ["KIND_EXISTING", "web"], ["KIND_END_OF_EXISTING", ""], ["KIND_CREATED", "driven"],
        ["KIND_UPDATED", "driven"], ["KIND_DELETED", "driven"],
    ]


def test_reflection_knows_every_method_and_message(daemon):
    with grpc.insecure_channel(daemon.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(SERVICE_NAMES) < set(database.get_services())
        pool = DescriptorPool(database)
        for name in SERVICE_NAMES:
            for method in pool.FindServiceByName(name).methods:
                assert method.input_type.full_name.startswith("synproxy.v1.")
        rule = FileDescriptorProto()
        pool.FindFileByName("synproxy/v1/rule.proto").CopyToProto(rule)
        assert {one.name for one in rule.extension} >= {"rule", "role"}
