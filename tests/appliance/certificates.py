"""Certificates as an operator would make them, with openssl."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.lab.waiting import until

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclass(frozen=True)
class Certificate:
    file: Path
    key: Path


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """A root of its own in a folder of its own."""

    def __init__(self, folder: Path, days: int = 60) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.file, self._key = folder / "ca.pem", folder / "ca.key"
        openssl(
            "req", "-x509", *KEY, "-nodes", "-days", days, "-subj", f"/CN=authority {folder.name}",
            "-out", self.file, "-keyout", self._key,
        )

    def certificate(
        self, name: str, names: str = "", days: int = 30, key: Sequence[str] = KEY
    ) -> Certificate:
        """`names` are subject alternative names as openssl writes them; 0 days: expired."""
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        extension = ("-addext", f"subjectAltName={names}") if names else ()
        openssl(
            "req", *key, "-nodes", "-subj", f"/CN={name}", *extension, "-out", request,
            "-keyout", made.key,
        )
        openssl(
            "x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key,
            "-copy_extensions", "copy", "-days", days, "-out", made.file,
        )
        if days == 0:       # to the second, and openssl makes none that ends before it begins
            made_s = time.time()
            until(lambda: time.time() > made_s + 1, seconds=5, what="the certificate to expire")
        return made

    def daemon_certificate(self, key: Sequence[str] = KEY) -> Certificate:
        return self.certificate("daemon", "IP:127.0.0.1,DNS:localhost", key=key)
