"""Takes the configuration file again: on SIGHUP at once, and when it has changed.

Whole or not at all.  While a revision waits for its confirmation the file waits, too, and so it
does for a disk that is full.
"""

import asyncio
import sys
from contextlib import suppress

from appliance.config.live import Live, live_merge, live_of
from appliance.config_file import ConfigFile, FileRefusedError
from appliance.management.audit import AuditLog
from appliance.management.catalogue import Catalogue
from appliance.management.change import Wanted
from appliance.management.change_errors import (
    InvalidServiceError,
    NoSlotError,
    NotAcknowledgedError,
)
from appliance.management.changes import changes_begin
from appliance.notify import notify_reloading, notify_running, say
from appliance.state.history import NotKeptError, UnconfirmedError
from appliance.state.record import Record
from appliance.uncollected import uncollected
from cython_core.dataplane import DataplaneError

# Between two looks at the file: a changed one is taken after one to two of them.
LOOK_S = 1.0
# Until what waits is tried again.
RETRY_S = 5.0
SIGHUP = "SIGHUP"
OVERRIDDEN_SHOWN = 50       # lines, of thousands that a file may come to


class Reloader:
    def __init__(
        self, file: ConfigFile, catalogue: Catalogue, log: AuditLog, on_change: bool = True
    ) -> None:
        self._file = file
        self._catalogue = catalogue
        self._log = log
        self._on_change = on_change
        self._asked = asyncio.Event()
        self._waits = False         # for a confirmation, or for a disk

    def ask(self) -> None:
        """What SIGHUP does."""
        self._asked.set()

    async def run(self) -> None:
        """Without end."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S if self._waits else LOOK_S):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            changed = self._on_change and await asyncio.to_thread(self._file.changed)
            if asked or changed or self._waits:
                await self.reload(SIGHUP if asked else "changed")

    async def reload(self, why: str) -> None:
        state = self._file.state
        changes = changes_begin(f"file {state.path}", f"reload: {why}")
        former, again, self._waits = state.reason, self._waits and why != SIGHUP, False
        if not again:
            notify_reloading()
        try:
            overridden = await self._take()
            state.took()
            changed = len(changes.resources) + changes.unnamed
            self._say(f"taken: {changed} resources changed" if changed else "taken: runs already")
            for resource in overridden[:OVERRIDDEN_SHOWN]:
                self._say(f"{resource}: takes the place of another change")
            if (more := len(overridden) - OVERRIDDEN_SHOWN) > 0:
                self._say(f"{more} more take the place of other changes")
        except UnconfirmedError:
            self._wait(f"{state.path}: waits until the newest revision is confirmed or rolled back")
        except NotKeptError as error:
            self._wait(f"{state.path}: waits for the disk: {error}")
        except NotAcknowledgedError as error:
            state.took()
            self._say(f"taken: {error}")
        except (FileRefusedError, DataplaneError, NoSlotError) as error:
            state.refused(str(error))
        except InvalidServiceError as error:
            state.refused("\n".join(
                f"{state.path}: with changes over gRPC: {one.path}: {one.reason}"
                for one in error.violations))
        if again and self._waits and state.reason == former:
            return
        notify_running(state.reason)
        for line in state.reason.splitlines():
            self._say(line)
        self._log.own(changes, state.reason)

    def _wait(self, reason: str) -> None:
        """Told once, however often it is tried."""
        self._waits = True
        if reason != self._file.state.reason:
            self._file.state.refused(reason)

    async def _take(self) -> tuple[str, ...]:
        """Returns where it takes the place of another change."""
        file = await asyncio.to_thread(self._read)
        overridden: tuple[str, ...] = ()

        def edit(newest: Record) -> Wanted:
            nonlocal overridden
            merged = live_merge(newest.file, file, newest.live)
            overridden = merged.overridden
            return Wanted(merged.live, file)

        await self._catalogue.replace(edit)
        return overridden

    @uncollected()
    def _read(self) -> Live:
        """Raises FileRefusedError."""
        return live_of(self._file.load())

    def _say(self, text: str) -> None:
        say(f"synproxyd: reload: {text}", sys.stderr)
