"""HTTP/2 frame by frame (RFC 9113), for callers that do what no gRPC library does."""


CONNECTION_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"     # §3.4
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, END_HEADERS = 1, 4                              # flags
INITIAL_WINDOW_SIZE = 4                                     # a setting


def frame(kind: int, flags: int = 0, stream: int = 0, body: bytes = b"") -> bytes:
    """§4.1; stream 0 is the connection."""
    head = len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + body


def window(size: int) -> bytes:
    """How many bytes of each answer may come."""
    return frame(SETTINGS, body=INITIAL_WINDOW_SIZE.to_bytes(2, "big") + size.to_bytes(4, "big"))


def call(stream: int, method: str, *, ends: bool = False) -> bytes:
    """The headers of a gRPC call; its request follows, unless it ends."""
    fields = b"\x83\x86" + b"".join((       # :method POST, :scheme http
        _literal(b"\x04", f"/{method}"),    # :path
        _literal(b"\x01", "localhost"),     # :authority
        _literal(b"\x0f\x10", "application/grpc"),      # content-type
        _literal(b"\x00\x02te", "trailers"),
    ))
    return frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, fields)


def message(stream: int, length: int, body: bytes = b"") -> bytes:
    """A gRPC message that says how long it is; with all of it the request ends."""
    flags = END_STREAM if len(body) == length else 0
    return frame(DATA, flags, stream, bytes(1) + length.to_bytes(4, "big") + body)


def _literal(name: bytes, value: str) -> bytes:
    """A field that is not indexed: RFC 7541 §6.2.2, names of its appendix A."""
    return name + bytes((len(value),)) + value.encode()
