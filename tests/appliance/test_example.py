"""examples/synproxy.yaml has every option of the schema, each with its rule and its default."""

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf.descriptor import FieldDescriptor
from synproxy.v1.config_pb2 import Config
from synproxy.v1.rule_pb2 import ROLE_VIEWER

from appliance.config.load import config_load, config_parse
from appliance.config.schema import field_words, fields_of, is_group, rule_of
from appliance.config.values import value_parse
from appliance.config.violation import join

EXAMPLE = Path(__file__).parents[2] / "examples" / "synproxy.yaml"
LINES = EXAMPLE.read_text().splitlines()


def options(kind=Config.DESCRIPTOR, path=""):
    """Every field of the file with its path; those of a service's options stand in `defaults`."""
    for field in fields_of(kind):
        where = join(path, field.name)
        if rule_of(field).output_only or where.startswith("services.options."):
            continue
        yield where, field
        if is_group(field):
            yield from options(field.message_type, where)


FIELDS = dict(options())
# The server's port is a port like the client's, where all that it may hold is shown.
SHOWN = {path: field for path, field in FIELDS.items() if not path.startswith("ports.server.")}
EXCLUDED = ("ports.client.pci", "ports.client.device")
LISTENERS = (
    "listeners", "address", "group", "role", "tls", "certificate_file", "key_file",
    "client_ca_file", "roles", "name",
)
# Written as comments: alternatives, what is learned of each server where nobody sets it, what is
# off, and listeners, whose group and files a host must have first.
COMMENTED = (
    "pci", "device", "mss", "mss_ipv6", "wscale", "metrics_address", "state_folder", "shard_file",
    "health_address", *LISTENERS)


def written():
    """Path → (line, how its value is written), in commented lines, too."""
    found: dict[str, tuple[int, str]] = {}
    holders: list[tuple[int, str]] = []
    for number, line in enumerate(LINES):
        indent = len(line) - len(line.lstrip())
        commented = line.lstrip().startswith("# ")
        text = line.lstrip().removeprefix("# ")
        if text.startswith("- "):
            indent, text = indent + 2, text.removeprefix("- ")
        key, colon, value = text.partition(":")
        if not colon or (commented and key not in COMMENTED):
            continue
        holders = [(depth, name) for depth, name in holders if depth < indent]
        holders.append((indent, key))
        found.setdefault(".".join(name for _, name in holders), (number, value.strip()))
    return found


WRITTEN = written()


def comment_end(number):
    return LINES[number - 1].strip().removeprefix("# ")


def test_the_daemon_takes_it():
    config = config_load(EXAMPLE)
    assert [service.name for service in config.services] == ["web", "mail"]


@pytest.mark.parametrize("path", SHOWN)
def test_every_option_is_there_with_its_rule(path):
    assert path in WRITTEN, f"{path} is missing"
    words = field_words(SHOWN[path])
    if words:
        assert comment_end(WRITTEN[path][0]) == words


@pytest.mark.parametrize("path", [path for path in SHOWN if rule_of(SHOWN[path]).default])
def test_its_value_is_the_default(path):
    field: FieldDescriptor = SHOWN[path]
    text = WRITTEN[path][1].removeprefix("[").removesuffix("]")
    assert value_parse(field, text) == value_parse(field, rule_of(field).default)


def test_it_has_nothing_that_the_schema_lacks():
    assert set(WRITTEN) - set(FIELDS) <= {
        "services.options.mss", "services.options.timeouts",
        "services.options.timeouts.established",
    }


def test_alternatives_are_taken_as_they_are_written(tmp_path):
    for path in EXCLUDED:
        plain = yaml.safe_load(EXAMPLE.read_text())
        plain["ports"]["client"] = {path.rpartition(".")[2]: WRITTEN[path][1]}
        changed = tmp_path / "synproxy.yaml"
        changed.write_text(yaml.safe_dump(plain))
        assert config_load(changed).ports.client.WhichOneof("attachment") == path.split(".")[-1]


def test_its_listeners_are_taken_where_they_are_no_comments():
    keys = "|".join(LISTENERS)
    text = re.sub(rf"^( *)# ((- )?({keys}):.*)$", r"\1\2", EXAMPLE.read_text(), flags=re.MULTILINE)
    viewers, controller = config_parse(text.encode(), "f").management.listeners
    assert (viewers.group, viewers.role) == ("synproxy-viewers", ROLE_VIEWER)
    assert [named.name for named in controller.tls.roles] == ["controller.example"]
