"""The schema is the one truth: its comments, its rules and the data plane agree."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from synproxy.v1 import config_pb2, rule_pb2, service_pb2
from synproxy.v1.config_pb2 import Config
from synproxy.v1.service_pb2 import ServiceOptions

from appliance.config.constraints import value_reason
from appliance.config.options import complete, effective_options
from appliance.config.schema import field_words, fields_of, is_group, rule_of
from appliance.config.settings import plane_options, settings_of
from appliance.config.values import value_parse, value_text
from appliance.exit_codes import ExitCode
from cython_core import dataplane

ROOT = Path(__file__).parents[2]


def fields_below(kind: Any) -> Iterator[FieldDescriptor]:
    for field in fields_of(kind):
        yield field
        if is_group(field):
            yield from fields_below(field.message_type)


FIELDS = {field.full_name: field for field in fields_below(Config.DESCRIPTOR)}


@pytest.fixture(scope="module")
def comments(tmp_path_factory) -> dict[str, str]:
    """The comment above each field, by its full name."""
    pytest.importorskip("grpc_tools")
    out = tmp_path_factory.mktemp("proto") / "set"
    names = ["synproxy/v1/config.proto", "synproxy/v1/service.proto"]
    arguments = [f"--proto_path={ROOT / 'proto'}", f"--descriptor_set_out={out}"]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "--include_source_info"]
    subprocess.run([*protoc, *arguments, *names], check=True)
    found = {}
    for file in FileDescriptorSet.FromString(out.read_bytes()).file:
        for location in file.source_code_info.location:
            # message_type = 4, field = 2: descriptor.proto
            if len(location.path) == 4 and (location.path[0], location.path[2]) == (4, 2):
                message = file.message_type[location.path[1]]
                field = message.field[location.path[3]]
                found[f"synproxy.v1.{message.name}.{field.name}"] = location.leading_comments
    return found


@pytest.mark.parametrize("name", FIELDS)
def test_a_fields_comment_ends_with_its_rule(comments, name):
    words = field_words(FIELDS[name])
    if words:
        assert comments[name].strip().splitlines()[-1].strip() == words


@pytest.mark.parametrize("name", [name for name in FIELDS if not is_group(FIELDS[name])])
def test_every_setting_says_when_a_change_takes_effect(name):
    rule = rule_of(FIELDS[name])
    assert rule.apply != rule_pb2.APPLY_UNSPECIFIED or rule.output_only


@pytest.mark.parametrize("name", [name for name in FIELDS if rule_of(FIELDS[name]).default])
def test_a_default_keeps_its_own_rule(name):
    field = FIELDS[name]
    value = value_parse(field, rule_of(field).default)
    assert value_reason(field, value) is None
    assert value_text(field, value) == rule_of(field).default


@pytest.mark.parametrize("name", FIELDS)
def test_only_what_may_be_left_out_has_a_default(name):
    rule = rule_of(FIELDS[name])
    assert not (rule.required and rule.HasField("default"))


def test_the_defaults_are_those_of_the_data_plane():
    config = Config()
    config.ports.client.pci, config.ports.server.pci = "0000:03:00.0", "0000:03:00.1"
    assert settings_of(config) == dataplane.Settings(
        client_port=dataplane.PortSpec("0000:03:00.0"),
        server_port=dataplane.PortSpec("0000:03:00.1"),
        stall_exit=ExitCode.STALLED,        # of the daemon; a data plane alone doesn't end by it
    )
    options = effective_options(ServiceOptions(), ServiceOptions())
    assert plane_options(options, ServiceOptions()) == dataplane.ServiceOptions()


def test_complete_sets_every_option():
    options = ServiceOptions()
    complete(options)
    for field in fields_below(ServiceOptions.DESCRIPTOR):
        parent = field.full_name.split(".")[-2]
        holder = {"Timeouts": options.timeouts, "Marks": options.marks,
                  "Bounds": options.bounds, "Pacing": options.pacing}.get(parent, options)
        assert holder.HasField(field.name), field.full_name


@pytest.mark.parametrize("module", [config_pb2, service_pb2, rule_pb2])
def test_enum_values_carry_their_enums_name(module):
    for kind in module.DESCRIPTOR.enum_types_by_name.values():
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.name).upper() + "_"
        assert all(value.name.startswith(prefix) for value in kind.values)
        assert kind.values_by_number[0].name == prefix + "UNSPECIFIED"
