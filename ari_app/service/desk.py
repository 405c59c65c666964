"""What a shop's line needs of the rest of the application: the settings, the CRM, recordings, Redis."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ari_app import figures
from ari_app.accounts.current import Current
from ari_app.accounts.sections import RecordingFormat
from ari_app.asterisk.recordings import (
    NoRecording,
    NotConverted,
    RecordingStore,
    StoredFile,
)
from ari_app.asterisk.stored_recordings import StoredRecordings
from ari_app.calls import LOOK_UP_SECONDS, Call, JournalLine, Outside, Policy, e164, for_an_outside_line
from ari_app.calls import happenings as h
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.errors import CrmError
from ari_app.retailcrm.pace import Urgency
from ari_app.service.asked import Asked
from ari_app.service.changes import Changes
from ari_app.service.event_log import Notes
from ari_app.service.statuses import Statuses
from ari_app.store.calls import Step
from ari_app.store.events import What
from ari_app.store.ledger import Ledger

log = structlog.get_logger(__name__)


class ShopDesk:
    """The desk (`ari_app.control.live_call.Desk`) of one shop's line."""

    def __init__(
        self,
        current: Current,
        crm: RetailCrm,
        statuses: Statuses,
        on_the_pbx: StoredRecordings,
        recordings: RecordingStore,
        ledger: Ledger,
        notes: Notes,
        changes: Changes,
    ) -> None:
        self.account = current.account.id
        self._current = current
        self._crm = crm
        self._statuses = statuses
        self._on_the_pbx = on_the_pbx
        self._recordings = recordings
        self._ledger = ledger
        self._notes = notes
        self._changes = changes
        self._asked = Asked(self._ask_for_others, self.account)
        self._log = log.bind(account=self.account)
        self.recorded: bool | None = None
        """Whether the last recording came; None before the first."""

    @property
    def policy(self) -> Policy:
        """How calls are handled that begin now."""
        return self._current.policy

    @property
    def full(self) -> str | None:
        """Why the steps of no further call can be kept; None when they can."""
        if self._ledger.full:
            return "the steps of calls can't be written, and no more of them are kept"
        return (
            "its calls have written as much into Redis as they may in a day" if self._ledger.spent else None
        )

    @property
    def away(self) -> frozenset[str]:
        """The extensions whose managers are busy, at dinner or on a break, as the CRM says."""
        return self._statuses.away

    @property
    def codes(self) -> frozenset[str]:
        """The extensions that the account has."""
        return self._current.account.codes

    def outside(self, number: str, line: str | None = None) -> Outside:
        """Say how a number outside is dialled."""
        return self._current.account.outside(number, line)

    def is_extension(self, code: str) -> bool:
        """Tell whether the account has an extension."""
        return code in self._current.account.codes

    def normal_form(self, number: str | None) -> str | None:
        """Bring a number into E.164, the account's country first; None when it is withheld."""
        return e164(number, self._current.account.crm.country)

    def for_a_line(self, number: str) -> str:
        """Put the digit for an outside line before a number, where the shop has one."""
        account = self._current.account
        return for_an_outside_line(number, account.pbx.outside_prefix, account.crm.country)

    def number_of(self, dialled: str) -> str | None:
        """Give the number in E.164 that a manager has dialled, with the outside line's digit or without."""
        account = self._current.account
        return e164(dialled, account.crm.country, account.pbx.outside_prefix)

    async def look_up(self, number: str, at: Callable[[], float]) -> h.CustomerFound | h.CustomerUnknown:
        """Ask the CRM for a call of ours who has a number, and who is responsible."""
        return await self._ask_crm(number, at, LOOK_UP_SECONDS, True, Urgency.LOOK_UP)

    async def look_up_for_others(
        self, number: str, seconds: float, ignore_status: bool
    ) -> h.CustomerFound | h.CustomerUnknown:
        """Ask the same for a dialplan or a program: within their share, and not twice in a moment.

        Without `ignore_status` who is responsible is named only if they are free. The answer has no moment.
        """
        return await self._asked.answer(number, seconds, ignore_status)

    async def _ask_for_others(
        self, number: str, seconds: float, ignore_status: bool
    ) -> h.CustomerFound | h.CustomerUnknown:
        return await self._ask_crm(number, lambda: 0.0, seconds, ignore_status, Urgency.ASKED)

    async def _ask_crm(
        self, number: str, at: Callable[[], float], seconds: float, ignore_status: bool, urgency: Urgency
    ) -> h.CustomerFound | h.CustomerUnknown:
        try:
            found = await self._crm.manager_for(
                number, timeout=seconds, ignore_status=ignore_status, urgency=urgency
            )
        except CrmError as error:
            return h.CustomerUnknown(at(), problem=str(error))
        code = found.manager_code
        if code is None and found.manager_id is not None:
            code = self._current.account.code_of_user(found.manager_id)
        if found.customer_id is None and found.customer_name is None and code is None:
            return h.CustomerUnknown(at())
        return h.CustomerFound(at(), found.customer_name, code)

    def has_recording(self, call_id: str) -> bool:
        """Tell whether the recording of a call is in our store."""
        return self._recordings.find(call_id) is not None

    async def fetch_recording(self, name: str, closed: bool, at: Callable[[], float]) -> h.Happening:
        """Bring a call's recording into our store."""
        new = not self.has_recording(name)
        try:
            stored = await self._on_the_pbx.fetch(self._recordings, self.account, name, closed=closed)
            figures.RECORDINGS_STORED.labels(self.account).inc(new)
            if self._current.account.calls.recording_format is RecordingFormat.MP3:
                stored = await self._as_mp3(name, stored)
        except NoRecording as error:
            return h.RecordingFailed(at(), str(error))
        except OSError as error:
            self._log.error("recordings cannot be stored", problem=str(error))
            return h.RecordingFailed(at(), f"the recording can't be stored: {error.strerror or error}")
        return h.RecordingStored(at(), stored.name, stored.seconds)

    async def _as_mp3(self, call_id: str, stored: StoredFile) -> StoredFile:
        """Make a recording an MP3; what can't be made one stays as it is, and that is said."""
        if stored.name.endswith(".mp3"):
            return stored
        try:
            return await self._recordings.as_mp3(self.account, stored)
        except NotConverted as problem:
            self._log.warning("a recording stays WAV", call=call_id, problem=str(problem))
            self._notes.take(What.RECORDING_NOT_CONVERTED, call=call_id, problem=str(problem))
            return stored

    async def write(self, call: Call, line: JournalLine) -> None:
        """Keep a step of a call."""
        self._changes.note()
        if isinstance(line.event, h.RecordingFailed):
            self.recorded = False
            figures.RECORDINGS_LOST.labels(self.account).inc()
            self._notes.take(What.RECORDING_LOST, call=call.id, problem=line.event.problem)
        elif isinstance(line.event, h.RecordingStored):
            self.recorded = True
        await self._ledger.write(Step(call, line))
