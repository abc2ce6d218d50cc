"""Chromium without a screen, loading a page that loads more, over HTTP/1.1 and HTTP/2."""

import os
import shutil
import subprocess
from functools import partial
from urllib.parse import parse_qsl

from appliance.lab.topology import Lab, Server, stop
from appliance.lab.waiting import until
from appliance.lab.webserver import TLS_PORT

from .programs import PAGES, PATIENCE_S, STREAM_BYTES, Outcome, Program, Servers

# Debian's command in /usr/bin is a shell that waits for this one; a signal would end it alone.
COMMAND = "/usr/lib/chromium/chromium-headless-shell"
INSTALLED = shutil.which(COMMAND) is not None

# Its script's requests are made beside each other, which is what the two protocols differ in.
PAGE = """\
<!doctype html>
<title>The lab</title>
<script type="module">
const [long, ...short] = await Promise.all([
  fetch("large", {headers: {Range: "bytes=0-%(last)d"}}).then(answer => answer.arrayBuffer()),
  ...Array.from({length: %(pages)d},
                (_, number) => fetch(`one?${number}`).then(answer => answer.text())),
]);
const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", long));
await fetch("report?" + new URLSearchParams({
  sha256: Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join(""),
  pages: short.join(""),
  ms: performance.now(),
}));
</script>
"""


def load(protocol: str, switches: tuple[str, ...], lab: Lab, servers: Servers,
         server: Server) -> Outcome:
    """The browser is new each time, without a cache; its time is the page's own."""
    site = servers.website
    (site.documents / "page.html").write_text(PAGE % {"last": STREAM_BYTES - 1, "pages": PAGES})
    profile = lab.directory / "chromium"
    shutil.rmtree(profile, ignore_errors=True)
    seen = len(site.reports.read_text())
    # Root needs --no-sandbox.  That the certificate holds is curl's to see.
    process = lab.start(lab.client, [
        COMMAND, "--no-sandbox", "--ignore-certificate-errors", f"--user-data-dir={profile}",
        *switches, "--remote-debugging-port=0", f"https://{server.host}:{TLS_PORT}/page.html"],
        # Its store of certificates goes under HOME, whatever the profile.
        env={**os.environ, "HOME": str(profile)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: site.reports.read_text()[seen:].endswith("\n"), seconds=PATIENCE_S,
              what="the page's report")
    finally:
        stop(process)
    # They end with the last of its processes.  Left open when the wire goes, they would speak up
    # in another test.
    until(lambda: not open_connections(lab), seconds=PATIENCE_S, what="its connections to end")
    spoken, arguments = site.reports.read_text()[seen:].split()
    report = dict(parse_qsl(arguments))
    return Outcome((spoken, report["sha256"], report["pages"]),
                   (protocol, site.large_sha256(STREAM_BYTES), "1" * PAGES),
                   {"ms for the page": float(report["ms"])})


def open_connections(lab: Lab) -> str:
    return lab.client.run(["ss", "-Htn", "state", "connected", "exclude", "time-wait",
                           f"dport = :{TLS_PORT}"]).stdout


BROWSERS: dict[str, Program] = {
    "Chromium, HTTP/1.1": partial(load, "HTTP/1.1", ("--disable-http2",)),
    "Chromium, HTTP/2": partial(load, "HTTP/2.0", ()),
}
