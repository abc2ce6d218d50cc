"""Chromium without a screen, driven by its DevTools protocol: a page is loaded, asked, pictured.

It speaks over two pipes, its descriptors 3 and 4, in JSON with a zero byte behind each message.
Reading list: https://chromedevtools.github.io/devtools-protocol/tot/.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import AbstractContextManager
from typing import Any

from appliance.lab.namespace import LabError, Namespace
from appliance.lab.topology import WORKER_LCORE, Lab, stop
from appliance.lab.waiting import until

from .browser import COMMAND
from .programs import PATIENCE_S

# Its two descriptors are what `subprocess` can give a pipe to, under other numbers.
PIPED = ("sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', "sh")


class Page(AbstractContextManager["Page"]):
    """A page that was loaded from a URL of the proxy namespace; `requests` and `complaints` are
    what it has asked for since and what the browser had to say of it."""

    def __init__(self, lab: Lab, url: str, width: int = 1440, height: int = 900,
                 scheme: str = "dark") -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._lab, self._url, self._heard, self._calls = lab, url, b"", 0
        self._session = ""
        self._view = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._scheme = scheme

    def __enter__(self) -> "Page":
        profile = self._lab.directory / "chromium"
        shutil.rmtree(profile, ignore_errors=True)
        # The worker keeps its core.
        place = Namespace(self._lab.proxy.name, os.sched_getaffinity(0) - {WORKER_LCORE})
        self._process = self._lab.start(place, [
            *PIPED, COMMAND, "--no-sandbox", f"--user-data-dir={profile}",
            "--remote-debugging-pipe", "about:blank"],
            env={**os.environ, "HOME": str(profile)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self._open()
        except BaseException:
            stop(self._process)
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        stop(self._process)

    def _open(self) -> None:
        pages: list[Any] = []

        def found() -> bool:
            targets = self._call("Target.getTargets")["targetInfos"]
            pages[:] = [one for one in targets if one["type"] == "page"]
            return bool(pages)

        until(found, seconds=PATIENCE_S, what="Chromium's first page")
        attached = self._call(
            "Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self._call("Emulation.setDeviceMetricsOverride", **self._view)
        self._call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": self._scheme}])
        self._call("Page.navigate", url=self._url)

    def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression is in the page; LabError where it throws."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True,
                            awaitPromise=True)
        if "exceptionDetails" in answer:
            raise LabError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = PATIENCE_S) -> None:
        """Wait until it is true in the page."""
        until(lambda: self.evaluate(f"Boolean({expression})"), seconds=seconds, what=expression)

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.textContent)")
        return found

    def picture(self) -> bytes:
        """What is to be seen of it, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._calls += 1
        call = {"id": self._calls, "method": method, "params": parameters}
        if self._session:
            call["sessionId"] = self._session
        assert self._process.stdin
        self._process.stdin.write(json.dumps(call).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            message = self._message()
            if message.get("id") == self._calls:
                if "error" in message:
                    raise LabError(f"{method}: {message['error']}")
                answer: dict[str, Any] = message["result"]
                return answer
            self._note(message)

    def _message(self) -> dict[str, Any]:
        assert self._process.stdout
        pipe, deadline = self._process.stdout.fileno(), time.monotonic() + PATIENCE_S
        while b"\0" not in self._heard:
            if not select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise LabError("Chromium has nothing to say")
            chunk = os.read(pipe, 1 << 20)
            if not chunk:
                raise LabError(f"Chromium ended: exit {self._process.wait()}")
            self._heard += chunk
        first, _, self._heard = self._heard.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        match event["method"]:
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(told["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["exceptionDetails"]))
