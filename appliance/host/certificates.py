"""A TLS listener's three files: read, and held against each other before they are used."""

import hashlib
import os
import ssl
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from synproxy.v1.config_pb2 import Tls

from appliance.host.validity import Validity, authorities_validity, der_validity

FILES = ("certificate_file", "key_file", "client_ca_file")
# A chain or a bundle of authorities has some KiB; a device may have no end.
FILE_BYTES_MAX = 1 << 20

# The keys that BoringSSL, gRPC's TLS, takes unasked: AlgorithmIdentifier in DER, of RFC 5480 §2.1.1
# and RFC 3279 §2.3.1.  A certificate says so in one place, its subjectPublicKeyInfo.
_ALGORITHMS = tuple(map(bytes.fromhex, (
    "301306072a8648ce3d020106082a8648ce3d030107", "301006072a8648ce3d020106052b81040022",
    "300d06092a864886f70d0101010500",
)))

# Which file it is by device and inode, and whether it has changed: three times four numbers.
Signature = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Pem:
    """What the files hold; they fit together."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes

    def validities(self) -> dict[str, Validity]:
        certificate = der_validity(first_der(self.certificate.decode("ascii")))
        assert certificate      # or the files didn't fit
        return {"certificate_file": certificate,
                "client_ca_file": authorities_validity(self.client_ca)}

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of the files that are public."""
        public = {"certificate_file": self.certificate, "client_ca_file": self.client_ca}
        return {name: hashlib.sha256(pem).hexdigest() for name, pem in public.items()}


class PemError(Exception):
    """The files can't be used; `reasons` has all that is wrong, by the field of Tls."""

    def __init__(self, reasons: list[tuple[str, str]], denied: bool = False) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in reasons))
        self.reasons = reasons
        self.denied = denied


def pem_signature(tls: Tls) -> Signature:
    """Raises OSError."""
    states = [os.stat(getattr(tls, name)) for name in FILES]
    return tuple((one.st_dev, one.st_ino, one.st_mtime_ns, one.st_size) for one in states)


def pem_read(tls: Tls) -> Pem:
    """Raises PemError.  A file that changes meanwhile has another signature afterwards."""
    contents, reasons, denied = [], [], False
    for name in FILES:
        path = getattr(tls, name)
        try:
            with open(path, "rb") as file:
                contents.append(file.read(FILE_BYTES_MAX))
        except OSError as error:
            reasons.append((name, f"{path} can't be read: {error.strerror}"))
            denied = denied or isinstance(error, PermissionError)
    if reasons:
        raise PemError(reasons, denied)
    reasons = list(_misfits(tls, contents[2]))
    if reasons:
        raise PemError(reasons)
    return Pem(*contents)


def pem_notices(tls: Tls) -> Iterator[str]:
    """What is unwise, but in the way of nothing: mounted secrets are often like this."""
    try:
        mode = stat.S_IMODE(os.stat(tls.key_file).st_mode)
    except OSError:
        return
    if mode & 0o077:
        yield (
            f"key_file: {tls.key_file} has mode {mode:04o}, so that others than its owner may"
            f" read or change it; `chmod 600 {tls.key_file}`"
        )
    try:
        validities = pem_read(tls).validities()
    except PemError:
        return          # refused elsewhere
    for name, validity in validities.items():
        if fault := validity.fault(time.time()):
            yield f"{name}: {getattr(tls, name)} {fault}"


def pair_misfit(certificate_file: str, key_file: str) -> str | None:
    """Why the two are nothing that gRPC's TLS can use, which ends the process over some of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password of its own it would ask for that of an encrypted key at the terminal.
        context.load_cert_chain(certificate_file, key_file, password="")
        with open(certificate_file, encoding="ascii") as file:
            der = first_der(file.read(FILE_BYTES_MAX))
    except (ssl.SSLError, OSError, ValueError) as error:
        # Of OpenSSL's own words none is kept but the name of the reason.
        word = str(getattr(error, "reason", None) or "no PEM")
        if word == "KEY_VALUES_MISMATCH":
            return f"{key_file} isn't the key of {certificate_file}"
        return (
            f"{certificate_file} and {key_file} are no certificate with its unencrypted key in"
            f" PEM ({word})"
        )
    if not any(algorithm in der for algorithm in _ALGORITHMS):
        return f"the key of {certificate_file} is none of ECDSA P-256, ECDSA P-384 and RSA"
    if der_validity(der) is None:
        return f"{certificate_file} doesn't say when it expires (RFC 5280 §4.1.2.5)"
    return None


def holds_authority(pem: bytes) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return context.cert_store_stats()["x509_ca"] > 0


def first_der(chain: str) -> bytes:
    """The certificate that the others vouch for.  Raises ValueError where there is none."""
    return ssl.PEM_cert_to_DER_cert(
        chain[chain.index(ssl.PEM_HEADER) : chain.index(ssl.PEM_FOOTER)] + ssl.PEM_FOOTER)


def _misfits(tls: Tls, client_ca: bytes) -> Iterator[tuple[str, str]]:
    reason = pair_misfit(tls.certificate_file, tls.key_file)
    if reason:
        yield "certificate_file", reason
    if not holds_authority(client_ca):
        yield "client_ca_file", f"{tls.client_ca_file} holds no certificate of an authority"
