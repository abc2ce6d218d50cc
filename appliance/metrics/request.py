"""The head of an HTTP request, as far as three documents need it (RFC 9112 §2 to §3)."""

import http.client
import io
import re
from dataclasses import dataclass

# origin-form, and absolute-form, which a server must take, too (§3.2.2); the query is nobody's.
_REQUEST_LINE = re.compile(
    rb"([A-Z]{1,16}) (?:http://[^\s/?#]*)?(/[^\s?#]*)(?:\?\S*)? HTTP/1\.([01])")


class BadRequestError(Exception):
    """It is none."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    accept: str


def request_parse(head: bytes) -> Request:
    """`head` ends with its empty line.  Raises BadRequestError."""
    line, _, fields = head.partition(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if not match:
        raise BadRequestError
    try:
        headers = http.client.parse_headers(io.BytesIO(fields))
    except http.client.HTTPException:
        raise BadRequestError from None
    if match[3] == b"1" and len(headers.get_all("Host", ())) != 1:      # §3.2
        raise BadRequestError
    return Request(match[1].decode(), match[2].decode("latin-1"), headers.get("Accept", ""))
