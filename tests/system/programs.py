"""Programs that people use, each run once against a server of its kind, and what came of it."""

import csv
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from mailbox import Maildir
from pathlib import Path

from appliance.lab import datastore, loginserver, mailserver, webserver
from appliance.lab.loginserver import Login
from appliance.lab.peers import pseudorandom
from appliance.lab.topology import Lab, Server
from appliance.lab.webserver import Website

STREAM_BYTES = 20_000_000
PAGES = 100
MAIL_LINES = 15_000         # of 64 characters: 1 MB
REDIS_REQUESTS = 10_000     # of each kind
PATIENCE_S = 20


@dataclass(frozen=True)
class Servers:
    """What runs in the server namespace."""

    website: Website
    login: Login
    maildir: Path


@dataclass(frozen=True)
class Outcome:
    """`answer` is what the program got done, and `wanted` what it was to get done; the figures,
    by unit, say how fast."""

    answer: object
    wanted: object
    figures: dict[str, float]


Program = Callable[[Lab, Servers, Server], Outcome]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def browse(http: str, lab: Lab, servers: Servers, server: Server) -> Outcome:
    """curl fetches a long document, then many short ones at once, over TLS."""
    site = f"https://{server.host}:{webserver.TLS_PORT}"
    curl = ["curl", "-sS", "-m", str(PATIENCE_S), f"--http{http}",
            "--cacert", str(servers.website.certificate.file)]
    fetched = lab.directory / "fetched"
    version, seconds = lab.client.run([
        *curl, "-o", str(fetched), "-w", "%{http_version} %{time_total}",
        "--range", f"0-{STREAM_BYTES - 1}", f"{site}/large"]).stdout.split()
    started = time.monotonic()
    answers = lab.client.run([
        *curl, "--parallel", "--parallel-max", str(PAGES), "-o", "/dev/null",
        "-w", "%{http_version} %{http_code} %{size_download}\n", f"{site}/one?[1-{PAGES}]"]).stdout
    pages_s = time.monotonic() - started
    return Outcome(
        (version, sha256(fetched.read_bytes()), answers),
        (http, servers.website.large_sha256(STREAM_BYTES), f"{http} 200 1\n" * PAGES),
        {"s for 20 MB": float(seconds), f"s for {PAGES} pages": pages_s})


def log_in(lab: Lab, servers: Servers, server: Server) -> Outcome:
    """ssh runs a command, feeds it, reads what it says and how it ends."""
    words = pseudorandom(1, 500_000).hex()
    started = time.monotonic()
    done = lab.client.run(
        ["ssh", *servers.login.options, "-p", str(loginserver.PORT),
         f"{loginserver.USER}@{server.address}", "id -un; cat; exit 7"],
        input=words, check=False, seconds=PATIENCE_S)
    seconds = time.monotonic() - started
    return Outcome((done.stdout, done.stderr, done.returncode),
                   (f"{loginserver.USER}\n{words}", "", 7),
                   {"s from login to logout": seconds})


def copy(lab: Lab, servers: Servers, server: Server) -> Outcome:
    """scp takes a file to the server and brings it back."""
    data = pseudorandom(2, STREAM_BYTES)
    here, again, there = (lab.directory / "here", lab.directory / "again",
                          servers.login.home / "there")
    here.write_bytes(data)
    again.unlink(missing_ok=True)
    there.unlink(missing_ok=True)
    scp = ["scp", "-q", *servers.login.options, "-P", str(loginserver.PORT)]
    remote = f"{loginserver.USER}@{server.host}:there"
    started = time.monotonic()
    lab.client.run([*scp, str(here), remote], seconds=PATIENCE_S)
    turned = time.monotonic()
    lab.client.run([*scp, remote, str(again)], seconds=PATIENCE_S)
    ended = time.monotonic()
    return Outcome([sha256(file.read_bytes()) for file in (there, again)], [sha256(data)] * 2,
                   {"s up": turned - started, "s down": ended - turned})


def mail(lab: Lab, servers: Servers, server: Server) -> Outcome:
    """curl hands a long letter to the SMTP server, which keeps it."""
    letter = lab.directory / "letter"
    body = "".join(f"{line.hex()}\n" for line in (
        pseudorandom(number, 32) for number in range(MAIL_LINES)))
    letter.write_text(f"Subject: a long one\n\n{body}")
    box = Maildir(str(servers.maildir))
    box.clear()
    seconds = lab.client.run([
        "curl", "-sS", "-m", str(PATIENCE_S), "--mail-from", "<a@lab.test>",
        "--mail-rcpt", "<b@lab.test>", "--crlf", "--upload-file", str(letter),
        "-w", "%{time_total}", f"smtp://{server.host}:{mailserver.PORT}"]).stdout
    return Outcome([(kept["X-MailFrom"], kept.get_payload()) for kept in box],
                   [("a@lab.test", body)], {"s for 1 MB": float(seconds)})


def greet(lab: Lab, _servers: Servers, server: Server) -> Outcome:
    """SSH and SMTP: the server speaks first."""
    greetings: list[bytes] = []
    figures: dict[str, float] = {}
    for name, port in ("SSH", loginserver.PORT), ("SMTP", mailserver.PORT):
        with lab.client.open_socket(server.family, 1) as connection:
            connection.settimeout(PATIENCE_S)
            started = time.monotonic()
            connection.connect((server.address, port))
            greetings.append(connection.recv(4))
            figures[f"ms to {name}'s greeting"] = (time.monotonic() - started) * 1e3
    return Outcome(greetings, [b"SSH-", b"220 "], figures)


def benchmark(lab: Lab, _servers: Servers, server: Server) -> Outcome:
    """redis-benchmark over kept connections; then what it has stored is asked for."""
    redis = ["-h", server.address, "-p", str(datastore.PORT)]
    lab.client.run(["redis-cli", *redis, "flushall"])
    table = lab.client.run([
        "redis-benchmark", *redis, "-n", str(REDIS_REQUESTS), "-c", "50", "-t", "set,get,incr",
        "--csv"], seconds=PATIENCE_S).stdout
    counted = lab.client.run(["redis-cli", *redis, "get", "counter:__rand_int__"]).stdout
    rates = {row["test"]: float(row["rps"]) for row in csv.DictReader(table.splitlines())}
    return Outcome((sorted(rates), counted), (["GET", "INCR", "SET"], f"{REDIS_REQUESTS}\n"),
                   {f"{name}/s": rate for name, rate in rates.items()})


PROGRAMS: dict[str, Program] = {
    "HTTP/1.1 over TLS": partial(browse, "1.1"),
    "HTTP/2 over TLS": partial(browse, "2"),
    "SSH login": log_in,
    "scp": copy,
    "mail over SMTP": mail,
    "greetings": greet,
    "redis-benchmark": benchmark,
}
