"""How the client ends for whatever a daemon answers."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from click.testing import CliRunner

from appliance.cli.main import main
from appliance.exit_codes import ExitCode

FAILED, NOT_FOUND, CONFLICT = ExitCode.FAILED, ExitCode.NOT_FOUND, ExitCode.CONFLICT
INVALID, UNAVAILABLE, DENIED = ExitCode.INVALID, ExitCode.UNAVAILABLE, ExitCode.DENIED
# Each of gRPC's, said a second time.
MEANT = {
    "CANCELLED": FAILED, "UNKNOWN": FAILED, "INVALID_ARGUMENT": INVALID,
    "DEADLINE_EXCEEDED": UNAVAILABLE, "NOT_FOUND": NOT_FOUND, "ALREADY_EXISTS": CONFLICT,
    "PERMISSION_DENIED": DENIED, "UNAUTHENTICATED": DENIED, "RESOURCE_EXHAUSTED": UNAVAILABLE,
    "FAILED_PRECONDITION": CONFLICT, "ABORTED": CONFLICT, "UNIMPLEMENTED": FAILED,
    "INTERNAL": FAILED, "UNAVAILABLE": UNAVAILABLE, "DATA_LOSS": FAILED, "OUT_OF_RANGE": INVALID,
}


class Refusing(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every call by the status that is called for."""

    code = grpc.StatusCode.UNKNOWN

    def service(self, handler_call_details):
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: context.abort(self.code, "that is why"))


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """What refuses, and where it listens."""
    handler = Refusing()
    server = grpc.server(ThreadPoolExecutor(1), handlers=[handler])
    address = f"unix:{tmp_path_factory.mktemp('refusing')}/api.sock"
    server.add_insecure_port(address)
    server.start()
    yield handler, address
    server.stop(None)


def test_every_status_is_meant():
    assert set(MEANT) == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize("status", MEANT)
def test_a_status_has_its_exit_code_and_its_words(refusing, status):
    handler, address = refusing
    handler.code = grpc.StatusCode[status]
    result = CliRunner().invoke(main, ["--address", address, "service", "list"])
    assert (result.exit_code, result.stdout, result.stderr) == (
        MEANT[status], "", "synproxy: that is why\n")


def test_help_names_every_exit_code():
    words = " ".join(CliRunner().invoke(main, ["--help"]).stdout.split())
    assert words.endswith(
        "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 invalid,"
        " 6 unavailable, 7 denied.")
