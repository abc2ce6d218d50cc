"""Who may do what: each role at each method, by socket and by certificate."""

import grp
import os
import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable
from tempfile import TemporaryDirectory

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.config_pb2 import Tls
from synproxy.v1.rule_pb2 import ROLE_ADMIN, ROLE_OPERATOR, ROLE_UNSPECIFIED, ROLE_VIEWER
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.config.listening import Listening
from appliance.lab.namespace import synproxy_command
from appliance.management.roles import method_role, role_word
from appliance.management.server import ManagementServer
from appliance.refusal import Refusal

from .conftest import Daemon
from .doors import ROLES, channel_with, free_port, install
from .methods import code_of

CALL_S = 10


def update(channel: grpc.Channel) -> api.UpdateServiceResponse:
    request = api.UpdateServiceRequest()
    request.service.name = "web"
    request.service.options.mss = 1300
    answer: api.UpdateServiceResponse = ServicesServiceStub(channel).UpdateService(
        request, timeout=CALL_S
    )
    return answer


def services(channel: grpc.Channel) -> list[str]:
    answer = ServicesServiceStub(channel).ListServices(api.ListServicesRequest(), timeout=CALL_S)
    return [service.name for service in answer.services]


def refusal(
    call: Callable[[grpc.Channel], object], channel: grpc.Channel
) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as error:
        call(channel)
    return error.value.code(), error.value.details()


def handlers_of(server: ManagementServer) -> dict[str, grpc.RpcMethodHandler]:
    """Every method that the server answers, by its path."""
    found = {}

    class Register:
        def add_generic_rpc_handlers(self, handlers): ...

        def add_registered_method_handlers(self, service, handlers):
            found.update({f"/{service}/{name}": handler for name, handler in handlers.items()})

    server.register(Register())
    return found


def denied(channel: grpc.Channel, method: str, handler: grpc.RpcMethodHandler) -> bool:
    """Whether an empty request is."""
    code = code_of(channel, method, handler.response_streaming)
    return code is grpc.StatusCode.PERMISSION_DENIED


def without_role(methods) -> list[str]:
    return [method for method in methods if not method_role(method)]


def test_every_method_that_is_answered_has_a_role(daemon):
    methods = handlers_of(daemon.server)
    assert len(methods) >= 6
    assert without_role(methods) == []


@pytest.mark.parametrize(
    "method",
    ["/synproxy.v1.ServicesService/Nonsense", "/nonsense.Service/Get", "/", "",
     # In the pool of descriptors, and without a role: a service of somebody else's.
     "/google.longrunning.Operations/CancelOperation"],
)
def test_a_method_without_a_role_is_found(method):
    assert without_role(["/synproxy.v1.StatsService/GetStats", method]) == [method]


def test_a_method_without_a_role_is_for_nobody(doors, monkeypatch):
    monkeypatch.setattr("appliance.management.guard.method_role", lambda method: ROLE_UNSPECIFIED)
    code, words = refusal(services, doors.daemon.channel)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert words == "ListServices has no role yet, so that nobody may call it"


@pytest.mark.parametrize("role", ROLES)
def test_what_each_role_may_call_at_its_socket(doors, role):
    with grpc.insecure_channel(doors.sockets[role]) as channel:
        for method, handler in handlers_of(doors.daemon.server).items():
            assert denied(channel, method, handler) == (role < method_role(method)), method


@pytest.mark.parametrize("role", ROLES)
def test_what_each_role_may_call_by_its_certificate(doors, authority, role):
    caller = authority.certificate(role_word(role), f"DNS:{role_word(role)}.example")
    with channel_with(doors.tls, authority, caller) as channel:
        for method, handler in handlers_of(doors.daemon.server).items():
            assert denied(channel, method, handler) == (role < method_role(method)), method


def test_a_refusal_says_which_role_is_needed_and_who_was_seen(doors, authority):
    caller = authority.certificate("two", "DNS:unknown.example,DNS:viewer.example")
    with grpc.insecure_channel(doors.sockets[ROLE_VIEWER]) as channel:
        assert refusal(update, channel) == (
            grpc.StatusCode.PERMISSION_DENIED,
            f"UpdateService needs the role operator; {doors.sockets[ROLE_VIEWER]}"
            " has the role viewer",
        )
    with channel_with(doors.tls, authority, caller) as channel:
        assert refusal(update, channel) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "UpdateService needs the role operator; certificate viewer.example has the role viewer",
        )
    assert len(doors.daemon.plane.published) == 1


@pytest.mark.parametrize(
    ("subject", "names", "role"),
    [
        ("a", "URI:spiffe://example/ci", ROLE_OPERATOR),
        ("b", "IP:10.0.0.9", ROLE_VIEWER),
        ("c", "DNS:viewer.example,DNS:admin.example", ROLE_ADMIN),
        ("only a common name", "", ROLE_VIEWER),
        # A common name beside other names counts for nothing, nor does a part of a name.
        ("only a common name", "DNS:unknown.example", ROLE_UNSPECIFIED),
        ("d", "DNS:viewer.example.org", ROLE_UNSPECIFIED),
        ("e", "DNS:VIEWER.example", ROLE_UNSPECIFIED),
        ("f", "DNS:*.example", ROLE_UNSPECIFIED),
        ("viewer.example ", "", ROLE_UNSPECIFIED),
        ("unknown", "", ROLE_UNSPECIFIED),
    ],
)
def test_the_names_in_a_certificate_say_the_role(doors, authority, subject, names, role):
    caller = authority.certificate(subject, names)
    with channel_with(doors.tls, authority, caller) as channel:
        for call, needed in ((services, ROLE_VIEWER), (update, ROLE_OPERATOR)):
            if role >= needed:
                call(channel)
            else:
                code, words = refusal(call, channel)
                assert code is grpc.StatusCode.PERMISSION_DENIED
                assert words.endswith(f"has the role {role_word(role)}" if role else "no role here")


def test_a_certificate_of_another_authority_or_an_expired_one_opens_nothing(
    doors, authority, other_authority
):
    for caller in (
        other_authority.certificate("foreign", "DNS:admin.example"),
        authority.certificate("expired", "DNS:admin.example", days=0),
    ):
        with channel_with(doors.tls, authority, caller) as channel:
            code, _ = refusal(services, channel)
            assert code is grpc.StatusCode.UNAVAILABLE
    with channel_with(
        doors.tls, authority, authority.certificate("right", "DNS:admin.example")
    ) as channel:
        assert services(channel)


def test_without_a_certificate_or_without_tls_nothing_is_answered(doors, authority):
    trusting = grpc.ssl_channel_credentials(authority.file.read_bytes())
    for channel in (
        grpc.secure_channel(doors.tls, trusting, (("grpc.use_local_subchannel_pool", 1),)),
        grpc.insecure_channel(doors.tls),
    ):
        with channel:
            code, _ = refusal(services, channel)
            assert code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    ("version", "taken"),
    [(ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False),
     (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
def test_tls_is_1_2_or_newer(doors, authority, version, taken):
    caller = authority.certificate("tls", "DNS:viewer.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.file)
    context.load_cert_chain(caller.file, caller.key)
    context.set_ciphers("ALL:@SECLEVEL=0")      # else OpenSSL itself refuses the old ones
    context.set_alpn_protocols(["h2"])
    context.maximum_version = context.minimum_version = version
    host, _, port = doors.tls.partition(":")
    with socket.create_connection((host, int(port)), timeout=CALL_S) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                assert taken
                assert secured.version() == version.name.replace("_", ".")
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):       # closed by the daemon
            assert not taken


def rotations(doors, count):
    return [line for line in doors.daemon.lines(count) if line["method"] == "rotate"]


def test_certificates_rotate_while_a_stream_is_open(doors, tls_files, authority, other_authority):
    caller = authority.certificate("before", "DNS:operator.example")
    later = other_authority.certificate("after", "DNS:operator.example")
    with channel_with(doors.tls, authority, caller) as channel:
        stream = HealthStub(channel).Watch(HealthCheckRequest())
        next(stream)
        install(tls_files, other_authority.daemon_certificate(), other_authority)
        with channel_with(doors.tls, other_authority, later) as second:
            assert update(second).generation == 2
        # The former authority's callers come in no more, and no longer trust who answers.
        with channel_with(doors.tls, other_authority, caller) as third:
            assert refusal(services, third)[0] is grpc.StatusCode.UNAVAILABLE
        with channel_with(doors.tls, authority, later) as third:
            assert refusal(services, third)[0] is grpc.StatusCode.UNAVAILABLE
        # What is open stays open.
        assert update(channel).generation == 3
        assert stream.is_active()
        stream.cancel()
    (line,) = rotations(doors, 3)
    assert line["audit"] == "changed"
    digests = line["resources"]["management.listeners[3].tls"]
    assert set(digests) == {"certificate_file", "client_ca_file"}
    assert all(before != after for before, after in digests.values())


def test_files_that_do_not_fit_together_change_nothing(
    doors, tls_files, authority, other_authority
):
    """Between the first and the last file of a rotation, or after a mistake."""
    caller = authority.certificate("caller", "DNS:viewer.example")
    shutil.copy(other_authority.daemon_certificate().key, tls_files / "daemon.key")
    for _ in range(2):
        with channel_with(doors.tls, authority, caller) as channel:
            assert services(channel)
    os.unlink(tls_files / "callers-ca.pem")
    with channel_with(doors.tls, authority, caller) as channel:
        assert services(channel)
    wrong, missing = rotations(doors, 2)    # each reason once
    assert f"{tls_files}/daemon.key isn't the key of {tls_files}/daemon.pem" in wrong["message"]
    assert "No such file" in missing["message"]
    install(tls_files, authority.daemon_certificate(), authority)
    with channel_with(doors.tls, authority, caller) as channel:
        assert services(channel)
    assert rotations(doors, 3)[-1]["audit"] == "changed"


def test_an_expired_certificate_takes_no_good_ones_place(doors, tls_files, authority):
    caller = authority.certificate("caller", "DNS:viewer.example")
    install(tls_files, authority.certificate("late", "IP:127.0.0.1", days=0), authority)
    with channel_with(doors.tls, authority, caller) as channel:
        assert services(channel)
    (line,) = rotations(doors, 1)
    assert line["audit"] == "failed"
    assert "the former certificates stay: certificate_file: has expired at 2" in line["message"]


@pytest.mark.parametrize(
    ("key", "taken"),
    [
        (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"), True),
        (("-newkey", "rsa:2048"), True),
        (("-newkey", "ed25519"), False),
        (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"), False),
        (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"), False),
        (("-newkey", "rsa-pss"), False),
    ],
    ids=lambda key: str(key[-1]) if isinstance(key, tuple) else "",
)
def test_a_new_key_is_of_a_kind_that_grpc_can_use_or_the_former_stays(
    doors, tls_files, authority, key, taken
):
    install(tls_files, authority.daemon_certificate(key), authority)
    caller = authority.certificate("caller", "DNS:viewer.example")
    with channel_with(doors.tls, authority, caller) as channel:
        assert services(channel)
    (line,) = rotations(doors, 1)
    assert line["audit"] == ("changed" if taken else "failed")
    assert taken or "is none of ECDSA P-256, ECDSA P-384 and RSA" in line["message"]


def started(daemon, listening):
    """The server's state while it runs, then it ends."""

    async def start_and_stop():
        server = ManagementServer(
            [listening], daemon.catalogue, daemon.plane, daemon.file)
        try:
            await server.start()
            path = listening.socket
            return os.stat(path) if path else None
        finally:
            await server.stop()

    return daemon.call(start_and_stop())


def test_a_groups_socket_is_nobody_elses_before_it_is_the_groups(daemon, tmp_path, monkeypatch):
    path = tmp_path / "group.sock"
    group = grp.getgrgid(os.getgid()).gr_name
    modes = []

    def noting(change):
        def noted(*arguments):
            modes.append(mode_of(path))
            change(*arguments)
        return noted

    monkeypatch.setattr(os, "chown", noting(os.chown))
    monkeypatch.setattr(os, "chmod", noting(os.chmod))
    state = started(daemon, Listening("m", f"unix:{path}", ROLE_VIEWER, group))
    assert modes == [0o600, 0o600]
    assert (stat.S_IMODE(state.st_mode), state.st_gid) == (0o660, os.getgid())
    assert not path.exists()


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be")
@pytest.mark.parametrize(("members", "code"), [([grp.getgrnam("mail").gr_gid], 0), ([], 7)])
def test_who_belongs_to_the_group_comes_in_and_others_do_not(tmp_path, members, code):
    # Not below pytest's folder, which every run of it closes to other users.
    with (
        TemporaryDirectory() as folder,
        Daemon(tmp_path / "api.sock",
               [Listening("m", f"unix:{folder}/group.sock", ROLE_VIEWER, "mail")]) as daemon,
    ):
        os.chmod(folder, 0o755)
        address = daemon.listening[-1].address
        result = subprocess.run(
            synproxy_command("health", address=address), capture_output=True, text=True, user=65534,
            group=65534, extra_groups=members, check=False,
        )
    assert result.returncode == code, result.stderr


def test_a_socket_where_somebody_listens_is_left_alone(daemon):
    with pytest.raises(Refusal, match="another daemon listens there"):
        started(daemon, Listening("management", daemon.address))
    assert services(daemon.channel)


def test_a_group_that_has_gone_meanwhile_leaves_no_socket(daemon, tmp_path):
    path = tmp_path / "group.sock"
    with pytest.raises(Refusal, match="can't be given to nosuch"):
        started(daemon, Listening("management", f"unix:{path}", ROLE_VIEWER, "nosuch"))
    assert not path.exists()


def test_certificates_that_cannot_be_used_are_refused(daemon, tmp_path):
    tls = Tls(certificate_file="/none", key_file="/none", client_ca_file="/none")
    listening = Listening("management.listeners[0]", f"127.0.0.1:{free_port()}", tls=tls)
    with pytest.raises(Refusal, match=r"management.listeners\[0\].tls: .*No such file"):
        started(daemon, listening)
