"""From when until when a certificate counts.

Reading list: RFC 5280 §4.1.2.5 (Validity, a SEQUENCE of two times; UTCTime and
GeneralizedTime, to the second and in UTC).
"""

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

SOON_S = 14 * 86400     # before its end; docker/prometheus/rules.yml has the same
# In DER: SEQUENCE, its length, then twice the tag and length of a time, and its digits.
_TIME = rb"(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
_VALIDITY = re.compile(rb"\x30[\x1e\x20\x22]" + _TIME + _TIME, re.DOTALL)
_CENTURY = 50           # of UTCTime: from here on 19.., below 20..


@dataclass(frozen=True)
class Validity:
    """In seconds since 1970."""

    begins_s: float
    ends_s: float

    def holds(self, now_s: float) -> bool:
        return self.begins_s <= now_s <= self.ends_s

    def fault(self, now_s: float) -> str | None:
        """What is wrong with it, or will be soon; what to do stands behind the semicolon."""
        if now_s < self.begins_s:
            return f"is not valid before {_said(self.begins_s)}; set the clock, or make it anew"
        if now_s > self.ends_s:
            return f"has expired at {_said(self.ends_s)}; renew it, the file is read anew by itself"
        if now_s > self.ends_s - SOON_S:
            return f"expires at {_said(self.ends_s)}; renew it, the file is read anew by itself"
        return None


def der_validity(certificate: bytes) -> Validity | None:
    """None where it doesn't say."""
    found = _VALIDITY.search(certificate)
    if not found:
        return None
    begins, begins_long, ends, ends_long = found.groups()
    return Validity(_seconds(begins_long or _whole(begins)), _seconds(ends_long or _whole(ends)))


def authorities_validity(pem: bytes) -> Validity:
    """Of all together.  Raises ValueError or ssl.SSLError where there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cadata=pem.decode("ascii"))
    found = context.get_ca_certs()
    return Validity(
        min(ssl.cert_time_to_seconds(str(one["notBefore"])) for one in found),
        max(ssl.cert_time_to_seconds(str(one["notAfter"])) for one in found))


def _whole(digits: bytes) -> bytes:
    return (b"19" if int(digits[:2]) >= _CENTURY else b"20") + digits


def _seconds(digits: bytes) -> float:
    return datetime.strptime(digits.decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def _said(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
