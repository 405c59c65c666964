"""The recordings that lie on a PBX: which there are, fetched into our store, and removed there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import tenacity
from structlog.typing import FilteringBoundLogger

from ari_app.asterisk.ari import Ari
from ari_app.asterisk.errors import PbxError, PbxRefused, PbxUnknown
from ari_app.asterisk.events import Ids
from ari_app.asterisk.recordings import NoRecording, RecordingStore, StoredFile
from ari_app.asterisk.room import NoRoom
from ari_app.calls import Way

DOWNLOADS = 8
"""So many recordings are fetched at once; more would hold up what the PBX is asked for calls."""
FETCH_SECONDS = 600.0
"""How long a recording that can't be fetched is asked for again."""
_NO_SUCH_RECORDING = "Recording not found"
"""How ARI says that a recording doesn't exist; a PBX that has just started answers 404 to everything."""


class StoredRecordings:
    """The recordings on one PBX. Each is named by the id of its call."""

    def __init__(self, ids: Ids, ari: Callable[[], Ari], log: FilteringBoundLogger) -> None:
        """Build it; `ari` raises `PbxUnavailable` while the PBX was not reached yet."""
        self._ids = ids
        self._ari = ari
        self._log = log
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        """Held by whoever fetches a recording."""
        self._unwanted: dict[str, bool] = {}
        """Those that could not be removed so far, in the order in which that was tried."""

    async def names(self) -> list[str]:
        """Name those of calls of ours.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        names = (str(one["name"]) for one in await self._ari()("recordings", "listStored"))
        return [name for name in names if self._ids.call_of(name) == name]

    async def has(self, name: str) -> bool:
        """Tell whether the PBX has a recording that we haven't fetched, or makes it now.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        try:
            await self._ari()("recordings", "getStored", recordingName=name)
        except PbxRefused:
            return await self.is_being_made(name)
        return True

    async def is_being_made(self, name: str) -> bool:
        """Tell whether a recording is being made.

        Raises:
            PbxError: the PBX does not answer, or says no.
        """
        try:
            await self._ari()("recordings", "getLive", recordingName=name)
        except PbxRefused:
            return False
        return True

    async def check_folder(self) -> None:
        """Say in the log what is to be done when the PBX can't record.

        Raises:
            PbxError: the PBX does not answer.
        """
        try:
            await self._ari()("recordings", "listStored")
        except PbxRefused as refusal:
            self._log.warning(
                "the PBX cannot record: make the folder 'recording' in its spool directory "
                "(/var/spool/asterisk/recording), owned by Asterisk's user",
                answer=str(refusal),
            )

    # -- removing them ------------------------------------------------------------------------------------

    async def remove(self, name: str) -> None:
        """Remove a recording; what can't be removed goes with the next, or when we are connected again."""
        self._unwanted[name] = True
        await self.remove_unwanted()

    async def remove_unwanted(self) -> None:
        """Remove the recordings that could not be removed so far; the newest first."""
        for name in tuple(reversed(self._unwanted)):
            if self._unwanted.pop(name, None) is None:
                continue  # whoever removes another one beside us has taken it
            try:
                await self._ari()("recordings", "deleteStored", recordingName=name)
            except PbxRefused as refusal:
                if _NO_SUCH_RECORDING not in refusal.said:
                    self._unwanted[name] = True
            except PbxError:
                self._unwanted[name] = True

    # -- fetching them ------------------------------------------------------------------------------------

    async def fetch(self, store: RecordingStore, account: str, name: str, *, closed: bool) -> StoredFile:
        """Bring a recording into our store, as the account's, and remove it from the PBX.

        Unless it is known to be `closed`, the PBX is asked whether it still writes it. While the PBX can't be
        asked it is asked again, for ten minutes.

        Raises:
            NoRecording: the PBX has none, or an empty one, or could not be asked in that time.
            NoRoom: there is no room for it here; it stays on the PBX.
        """
        try:
            stored = store.find(name) or await self._fetch(store, account, name, closed)
        except NoRecording:
            await self.remove(name)
            raise
        await self.remove(name)
        return stored

    async def _fetch(self, store: RecordingStore, account: str, name: str, closed: bool) -> StoredFile:
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((PbxError, aiohttp.ClientError, TimeoutError, OSError))
            & tenacity.retry_if_not_exception_type(NoRoom),
            wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=15, jitter=0.1),
            stop=tenacity.stop_after_delay(FETCH_SECONDS),
            reraise=True,
        )
        try:
            async for attempt in attempts:
                with attempt:
                    async with self._downloads:
                        return await _download(self._ari(), store, account, name, closed)
        except NoRoom:
            raise
        except (PbxError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoRecording(f"the recording can't be fetched: {error or type(error).__name__}") from error
        raise AssertionError("tenacity ends with a result or an error")


async def _download(ari: Ari, store: RecordingStore, account: str, name: str, closed: bool) -> StoredFile:
    if not closed:
        await _close(ari, name)
    response = await ari.transport.download(f"recordings/stored/{name}/file")
    async with response:
        if response.status == 404 and _NO_SUCH_RECORDING in await response.text():
            raise NoRecording("the PBX has no such recording")
        if response.status != 200:
            raise PbxUnknown(Way.ARI, f"the PBX answers {response.status} instead of the recording")
        return await store.save(account, name, response)


async def _close(ari: Ari, name: str) -> None:
    """Let the PBX close a recording that it may still write.

    Raises:
        PbxError: it still writes it, or can't be asked.
    """
    try:
        await ari("recordings", "getLive", recordingName=name)
    except PbxRefused:
        return  # closed, as it should be
    with suppress(PbxRefused):
        await ari("recordings", "stop", recordingName=name)
    raise PbxUnknown(Way.ARI, "the PBX still writes the recording")
