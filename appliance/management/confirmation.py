"""Brings the former revision back where nobody confirms the newest in time."""

import asyncio
import time
from contextlib import suppress

from appliance.config.duration import NS_PER_S, duration_text
from appliance.management.audit import AuditLog
from appliance.management.catalogue import Catalogue
from appliance.management.change import Wanted
from appliance.management.change_errors import (
    InvalidServiceError,
    NoSlotError,
    NotAcknowledgedError,
)
from appliance.management.changes import changes_begin
from appliance.state.history import UnconfirmedError, Waiting
from appliance.state.record import Record
from cython_core.dataplane import DataplaneError

# Until it is tried again where it is refused.
RETRY_S = 1.0


class Confirmation:
    def __init__(self, catalogue: Catalogue, log: AuditLog) -> None:
        self._catalogue = catalogue
        self._history = catalogue.history
        self._log = log

    async def run(self) -> None:
        """Without end.  Whoever made the revision may have gone by now: nothing here is of its
        call."""
        while True:
            waiting = self._history.waiting
            left_s = waiting.deadline_s - time.monotonic() if waiting else None
            if waiting and left_s is not None and left_s <= 0:
                await self._bring_back(waiting)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._history.waiting_changed.wait()
            self._history.waiting_changed.clear()

    async def _bring_back(self, waiting: Waiting) -> None:
        within = self._history.newest.revision.confirm_within.ToNanoseconds()
        words = duration_text(within) if within >= NS_PER_S else f"{within / NS_PER_S:g}s"
        changes = changes_begin(
            "daemon", f"rollback: revision {waiting.number} was not confirmed in {words}")

        def edit(newest: Record) -> Wanted:
            if self._history.waiting is not waiting:
                raise UnconfirmedError      # it was confirmed, or rolled back, at the last moment
            return Wanted(waiting.former.live, newest.file, must_be_kept=False, ends_wait=True)

        reason = ""
        try:
            await self._catalogue.replace(edit)
        except UnconfirmedError:
            return
        except NotAcknowledgedError as error:
            reason = str(error)
        except (DataplaneError, NoSlotError, InvalidServiceError) as error:
            reason = str(error)
            await asyncio.sleep(RETRY_S)
        self._log.own(changes, reason)
