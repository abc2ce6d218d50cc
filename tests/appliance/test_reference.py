"""The reference and the help come out of the descriptors, so that they can't drift."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli.comments import schema_comments, schema_files, type_word
from appliance.cli.explain import command, settings_paths
from appliance.cli.main import main
from appliance.cli.options import option_fields
from appliance.cli.reference import reference
from appliance.config.schema import field_words
from appliance.exit_codes import ExitCode
from appliance.worker_events import WORKER_EVENTS
from cython_core.dataplane import COUNTER_HELP, COUNTERS, DROP_REASONS, EVENT_REASONS

PAGE = Path(__file__).parents[2] / "proto/README.md"
PATHS = dict(settings_paths())


def explained(*name):
    result = CliRunner().invoke(command, name)
    return result.exit_code, result.output


def test_the_page_is_what_the_schema_says():
    assert PAGE.read_text() == reference(), "run `make reference`"


def test_every_method_is_on_the_page():
    for file in schema_files().values():
        for service in file.service:
            for method in service.method:
                assert f"#### {service.name}.{method.name}\n" in PAGE.read_text()


@pytest.mark.parametrize("path", PATHS)
def test_each_path_of_the_file_is_explained(path):
    code, said = explained(path)
    assert code == ExitCode.OK
    assert said.startswith(PATHS[path].removeprefix("synproxy.v1."))
    for line in schema_comments().get(PATHS[path], "").splitlines():
        assert line in said


@pytest.mark.parametrize(("name", "words"), [
    ("mss", "536..8960 bytes"), ("timeouts.closed", "stays refused"),
    ("activation", "MONITOR\n  None; what AUTO would do is counted."),
    ("ServicesService.UpdateService", "Role: operator."),
    ("ServicesService", "Answer: stream of WatchServicesResponse."),
    ("ListServersRequest", "page_size: int32"), ("limits", "half_open: uint32"),
])
def test_what_else_has_a_name_is_explained(name, words):
    code, said = explained(name)
    assert code == ExitCode.OK
    assert words in said


def test_each_method_is_explained_by_its_own_name_and_as_the_log_has_it():
    for file in schema_files().values():
        for service in file.service:
            for method in service.method:
                whole = explained(f"{service.name}.{method.name}")
                assert whole[0] == ExitCode.OK
                assert explained(method.name) == whole
                assert explained(f"{file.package}.{service.name}/{method.name}") == whole


@pytest.mark.parametrize("name", COUNTERS)
def test_each_counter_is_explained_with_where_it_is_seen(name):
    code, said = explained(name)
    assert code == ExitCode.OK
    assert f"{name}\n  {COUNTER_HELP[name]}\n" in said
    assert (f'synproxy_dropped_total{{reason="{name}"}}' in said) == (name in DROP_REASONS)
    assert (f"`synproxy event watch --reason {name}`" in said) == (name in EVENT_REASONS)


@pytest.mark.parametrize("name", WORKER_EVENTS)
def test_so_is_each_event_of_a_worker_itself(name):
    code, said = explained(name)
    assert code == ExitCode.OK
    assert f"{name}\n  {WORKER_EVENTS[name]}\n" in said
    assert f"`synproxy event watch --reason {name}`" in said


def test_a_name_of_an_option_and_of_a_counter_is_explained_as_both():
    _, said = explained("unknown_rate")
    assert said.startswith("ServiceOptions.unknown_rate\n")
    assert "\n\nunknown_rate\n" in said


@pytest.mark.parametrize(("name", "near"), [
    ("limits.halfopen", "limits.half_open"), ("ServiceService", "ServicesService"),
    ("UpdateServices", "UpdateService"), ("cookie_invald", "cookie_invalid"),
    ("zzzz", "lists its parts"),
])
def test_an_unknown_name_is_refused_with_a_near_one(name, near):
    code, said = explained(name)
    assert code == ExitCode.NOT_FOUND
    assert near in said


def test_without_a_name_it_lists_the_sections_and_the_services():
    code, said = explained()
    assert code == ExitCode.OK
    assert {line.split()[0] for line in said.splitlines() if line.startswith("  ")} >= {
        "ports", "limits", "services", "ServicesService:", "StatsService:"}


@pytest.mark.parametrize("verb", ["set", "create"])
def test_the_help_of_a_change_lists_every_option_with_its_rule(verb):
    said = " ".join(CliRunner().invoke(main, ["service", verb, "--help"]).output.split())
    for path, field in option_fields():
        assert f" {path} {field_words(field)}" in said


def test_types_are_in_words():
    from synproxy.v1.service_pb2 import Service
    from synproxy.v1.stats_service_pb2 import ServiceStats
    assert type_word(ServiceStats.DESCRIPTOR.fields_by_name["counters"]) == "map<string, uint64>"
    assert type_word(Service.DESCRIPTOR.fields_by_name["ports"]) == "list of string"
    assert type_word(Service.DESCRIPTOR.fields_by_name["options"]) == "ServiceOptions"
