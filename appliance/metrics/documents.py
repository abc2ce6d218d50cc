"""What is served at which path, and as what."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.exposition import choose_encoder

from appliance.metrics.collector import ReadingCollector
from appliance.metrics.reading import Reader, Reading
from appliance.metrics.status import meanings_json, status_json

JSON = "application/json"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_PAGE = Path(__file__).with_name("page")
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


@dataclass(frozen=True)
class Document:
    content_type: str
    body: bytes


class Documents:
    """Files are read once.  What changes is written once for each reading, in a thread, so that
    the event loop goes on; its readers share it."""

    def __init__(self, reader: Reader) -> None:
        self._fixed = {
            path: Document(content_type, (_PAGE / name).read_bytes())
            for path, (name, content_type) in _FILES.items()
        } | {"/meanings.json": Document(JSON, meanings_json())}
        self._reader = reader
        self._written: dict[str, tuple[Reading, Document]] = {}    # by content type
        self._writing = asyncio.Lock()

    def has(self, path: str) -> bool:
        return path in self._fixed or path in ("/metrics", "/status.json")

    async def get(self, path: str, accept: str) -> Document:
        """`path` is one that there is; `accept` the request's header.  Raises DataplaneError."""
        if path in self._fixed:
            return self._fixed[path]
        if path == "/status.json":
            return await self._document(JSON, status_json)
        encoder, content_type = _encoder(accept)
        return await self._document(
            content_type, lambda reading: encoder(ReadingCollector(reading)))

    async def _document(self, content_type: str, write: Callable[[Reading], bytes]) -> Document:
        async with self._writing:
            reading = await self._reader.read()
            former = self._written.get(content_type)
            if former and former[0] is reading:
                return former[1]
            document = Document(content_type, await asyncio.to_thread(write, reading))
            self._written[content_type] = (reading, document)
            return document


def _encoder(accept: str) -> tuple[Callable[[ReadingCollector], bytes], str]:
    """One of two, whatever the versions and escapings that a header may name."""
    return choose_encoder(_OPENMETRICS if "application/openmetrics-text" in accept else "")
