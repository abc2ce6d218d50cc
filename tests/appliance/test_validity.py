"""From when until when certificates count, and who is told of it."""

import re
import shutil
import time
from pathlib import Path

import pytest
from synproxy.v1.config_pb2 import Tls

from appliance.config.listening import Listening
from appliance.host.certificates import first_der, pem_notices
from appliance.host.listening import listening_notices, listening_refusals
from appliance.host.validity import SOON_S, Validity, authorities_validity, der_validity
from appliance.metrics.expiries import Expiries

from .certificates import Authority

DAY_S = 86400
SLACK_S = 60        # between the making of a certificate and the look at it


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", days=2)


@pytest.fixture
def tls(authority):
    """For a certificate that ends after so many days; of its authority two are left."""

    def of(days: int) -> Tls:
        made = authority.certificate("daemon", "DNS:localhost", days=days)
        return Tls(certificate_file=str(made.file), key_file=str(made.key),
                   client_ca_file=str(authority.file))

    return of


# 2049 is the last year of two digits.
@pytest.mark.parametrize("days", [0, 1, 30, 40 * 365])
def test_the_times_of_a_certificate_are_read(authority, days):
    made = authority.certificate("any", days=days)
    validity = der_validity(first_der(made.file.read_text()))
    assert validity
    assert validity.ends_s - time.time() == pytest.approx(days * DAY_S, abs=SLACK_S)
    assert validity.begins_s == pytest.approx(time.time(), abs=SLACK_S)


def test_authorities_count_together(authority, tmp_path):
    other = Authority(tmp_path / "other", days=9)       # of the first two are left
    together = authorities_validity(authority.file.read_bytes() + other.file.read_bytes())
    assert together.ends_s - time.time() == pytest.approx(9 * DAY_S, abs=SLACK_S)


def test_what_is_no_certificate_says_nothing():
    assert der_validity(b"0" * 500) is None


@pytest.mark.parametrize(("now_s", "words"), [
    (99, "is not valid before 1970-01-01 00:01:40Z; set the clock, or make it anew"),
    (100, None),
    (2_000_000 - SOON_S, None),
    (2_000_000 - SOON_S + 1, "expires at 1970-01-24 03:33:20Z; renew it, "),
    (2_000_000, "expires at "),
    (2_000_001, "has expired at 1970-01-24 03:33:20Z; renew it, the file is read anew by itself"),
])
def test_a_fault_says_what_to_do(now_s, words):
    fault = Validity(100, 2_000_000).fault(now_s)
    assert (fault or "").startswith(words or "")
    assert (fault is None) == (words is None)


def test_a_listener_starts_with_an_expired_certificate_and_says_so(tls):
    files = tls(0)
    listening = Listening("management.listeners[0]", "127.0.0.1:50051", tls=files)
    assert list(listening_refusals(listening)) == []
    told = list(listening_notices(listening))
    assert [re.sub(r" at \S+ \S+;.*", "", line) for line in told] == [
        f"management.listeners[0].tls.certificate_file: {files.certificate_file}"
        " has expired",
        f"management.listeners[0].tls.client_ca_file: {files.client_ca_file} expires"]


def test_one_that_lasts_is_no_matter(tls):
    assert not [line for line in pem_notices(tls(30)) if line.startswith("certificate_file")]


def test_metrics_say_when_the_files_expire_as_they_are_now(authority, tls):
    files = tls(30)
    expiries = Expiries([Listening("management.listeners[0]", "127.0.0.1:50051", tls=files)])

    def days() -> list[float]:
        return [round((ends_s - time.time()) / DAY_S) for ends_s in expiries.take().values()]

    assert list(expiries.take()) == [("management.listeners[0]", "certificate_file"),
                                     ("management.listeners[0]", "client_ca_file")]
    assert days() == [30, 2]
    later = authority.certificate("later", days=60)
    shutil.copy(later.file, files.certificate_file)     # and its key isn't there yet
    assert days() == [30, 2]
    shutil.copy(later.key, files.key_file)
    assert days() == [60, 2]
