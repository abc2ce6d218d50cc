"""When the certificates of the listeners expire, as their files are now."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from synproxy.v1.config_pb2 import Tls

from appliance.config.listening import Listening
from appliance.host.certificates import PemError, Signature, pem_read, pem_signature


class Expiries:
    def __init__(self, listening: Sequence[Listening]) -> None:
        self._tls = {one.path: one.tls for one in listening if one.tls}
        self._known: dict[str, tuple[Signature, Mapping[str, float]]] = {}

    def take(self) -> dict[tuple[str, str], float]:
        """In seconds since 1970, by listener and file: of files that can't be used, as it was."""
        for path, tls in self._tls.items():
            with suppress(PemError, OSError):
                self._look(path, tls)
        return {(path, name): ends_s for path, (_, files) in self._known.items()
                for name, ends_s in files.items()}

    def _look(self, path: str, tls: Tls) -> None:
        signature = pem_signature(tls)
        if path not in self._known or self._known[path][0] != signature:
            validities = pem_read(tls).validities()
            self._known[path] = signature, {
                name: validity.ends_s for name, validity in validities.items()}
