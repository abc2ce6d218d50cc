"""Who changed what: one line for each call that changes anything, or would have.

A line is a JSON object on stderr.  Names and values come from callers: JSON's own quoting keeps
each within its line and its field, where key=value would need a quoting of ours, and jq and every
collector of logs read it as it is.  Other lines of the daemon don't begin with {"audit":.

    audit       changed, called (nothing was changed), denied, failed
    time        UTC, when the call ended
    by, role    as whom the caller was seen, and what it may do; peer over TCP
    method      synproxy.v1.ServicesService/UpdateService
    resources   {"services/web": {"options.mss": ["1400", "1300"]}}: before, after; null for unset
    request     where nothing was changed: what was asked for
    code, message, took_ms

Calls of methods for viewers leave no line unless they are denied.  What the daemon does by itself
has no role; `by` is the file that it has read, or "daemon".
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.message import Message
from synproxy.v1.rule_pb2 import ROLE_VIEWER

from appliance.management.callers import Caller
from appliance.management.changes import Changes, fields_set
from appliance.management.roles import method_role, role_word
from appliance.notify import say

# Lines about calls that changed nothing: more are counted and told with the next one, so that
# nobody without rights fills a disk.  What changed something is always told.
IDLE_LINES_PER_S = 10
TEXT_CHARACTERS_MAX = 300
FIELDS_MAX = 50

Line = dict[str, Any]


class AuditLog:
    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = write or (lambda line: say(line, sys.stderr))
        self._second = 0
        self._idle_lines = 0    # in this second
        self._unlogged = 0

    def call(
        self, caller: Caller, method: str, request: Message | None, changes: Changes,
        context: grpc.aio.ServicerContext, took_ns: int, cancelled: bool = False,
    ) -> None:
        """One call that has ended.  `context` has its code and message."""
        code = grpc.StatusCode.CANCELLED if cancelled else context.code() or grpc.StatusCode.OK
        denied = code is grpc.StatusCode.PERMISSION_DENIED
        if method_role(method) == ROLE_VIEWER and not denied and not changes.resources:
            return
        failed = "failed" if code is not grpc.StatusCode.OK else "called"
        verdict = "changed" if changes.resources else "denied" if denied else failed
        line: Line = {"role": role_word(caller.role), "by": caller.seen}
        if caller.peer:
            line["peer"] = caller.peer
        line["method"] = method.removeprefix("/")
        if changes.resources:
            line["resources"] = _named(changes)
        elif request is not None and not denied:
            line["request"] = _bounded(fields_set(request))
        line["code"] = code.name
        if context.details():
            line["message"] = _shortened(context.details())
        line["took_ms"] = round(took_ns / 1e6, 3)
        if not changes.resources:
            if not self._has_room():
                self._unlogged += 1
                return
            if self._unlogged:
                line["unlogged"] = self._unlogged
            self._unlogged = 0
        self.event(verdict, line)

    def own(self, changes: Changes, message: str = "") -> None:
        """What the daemon did by itself, or didn't: `message` says why."""
        line: Line = {"by": changes.by, "method": changes.action}
        if changes.resources:
            line["resources"] = _named(changes)
        if message:
            line["message"] = _shortened(message)
        self.event("changed" if changes.resources else "failed" if message else "called", line)

    def event(self, verdict: str, line: Line) -> None:
        """Without a bound: for what callers can't repeat at will.  `line` is the rest of it."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write(json.dumps({"audit": verdict, "time": now, **line}))

    def _has_room(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._idle_lines = second, 0
        self._idle_lines += 1
        return self._idle_lines <= IDLE_LINES_PER_S


def _named(changes: Changes) -> dict[str, Any]:
    more = {"...": f"{changes.unnamed} more"} if changes.unnamed else {}
    return changes.resources | more


def _bounded(fields: dict[str, str | None]) -> dict[str, str | None]:
    kept = {
        path: _shortened(text) if text else text
        for path, text in list(fields.items())[:FIELDS_MAX]
    }
    if len(fields) > FIELDS_MAX:
        kept["..."] = f"{len(fields) - FIELDS_MAX} more"
    return kept


def _shortened(text: str) -> str:
    if len(text) <= TEXT_CHARACTERS_MAX:
        return text
    return f"{text[:TEXT_CHARACTERS_MAX - 3]}..."
