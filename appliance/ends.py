"""The end of a connection as people write it: 192.0.2.1:443, [2001:db8::1]:443 (RFC 5952 §6)."""


def end_text(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def end_parse(text: str) -> tuple[str, int]:
    """Raises ValueError where no port stands behind the last colon."""
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal() or len(port) > 5:
        raise ValueError(f"{text} is no ADDRESS:PORT, such as 192.0.2.1:443 or [2001:db8::1]:443")
    return address.removeprefix("[").removesuffix("]"), int(port)
