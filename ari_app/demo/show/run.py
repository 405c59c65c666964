"""The demo: real calls that show the product, told as they happen and judged at their end."""

from __future__ import annotations

import asyncio
import io
import itertools
import sys
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp

from ari_app.calls import Call, JournalLine
from ari_app.demo.pbx.customers import NotAnswered
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Phone
from ari_app.demo.show.acts import NotPlayed, Seen
from ari_app.demo.show.people import SHOP
from ari_app.demo.show.plans import PLANS, Plan
from ari_app.demo.show.story import Narrator, Opening, Performance
from ari_app.demo.show.theatre import API_KEY, PORT, Theatre, end, set_up
from ari_app.demo.show.verdict import Observed, problems
from ari_app.store.calls import CallStore

PAUSE_SECONDS = 1.5
CALL_SECONDS = 45.0
"""How long a call may last."""
TELL_SECONDS = 20.0
"""How long after its end the CRM may still be told of it."""


async def run(
    installation: Installation,
    narrator: Narrator,
    folder: Path,
    performances: list[Performance],
    *,
    stop: asyncio.Event,
    plans: Sequence[Plan] = PLANS,
    calls: int | None,
    stay: bool,
) -> None:
    """Set the stage and place `calls` calls, of `plans` in turn (None: for ever).

    With `stay` everything goes on running until `stop` is set. What became of each call is added to
    `performances`. Whoever sets `stop` cancels too, so that it is at once; but a cancellation may get lost in
    `asyncio.wait_for` of Python 3.11, which redis-py uses.
    """
    async with set_up(installation, folder, plans[0].calls) as theatre:
        narrator.opens(_opening(theatre), _try_this(theatre))
        for index in itertools.count(1) if calls is None else range(1, calls + 1):
            if stop.is_set():
                return
            plan = plans[(index - 1) % len(plans)]
            await theatre.take_settings(plan.calls)
            narrator.begins(index, plan)
            performances.append(await _perform(theatre, index, plan, narrator))
            narrator.ends(performances[-1])
            if index != calls:
                await asyncio.sleep(PAUSE_SECONDS)
        if stay:
            narrator.waits(performances, _try_this(theatre))
            await stop.wait()


def _opening(theatre: Theatre) -> Opening:
    """Say what there is to be said before the first call."""
    settings = theatre.settings
    return Opening(
        theatre.lab.asterisk.installation.version,
        settings.public_url,
        theatre.cabinet,
        f"the CRM's address {theatre.crm_account.url} and the key {API_KEY}",
        settings.recordings_url,
        usual_port=PORT if settings.port != PORT else None,
    )


def _try_this(theatre: Theatre) -> str:
    """Give a command for another terminal."""
    program = Path(sys.executable).with_name("ari-app")
    with suppress(ValueError):
        program = program.relative_to(Path.cwd())
    return f"ARI_APP_DATA_DIR={theatre.settings.data_dir} {program} calls list"


# -- one call ---------------------------------------------------------------------------------------------


async def _perform(theatre: Theatre, index: int, plan: Plan, narrator: Narrator) -> Performance:
    crm, violations = theatre.crm_account, len(theatre.crm.violations)
    events, uploads = len(crm.events), len(crm.uploads)
    async with AsyncExitStack() as stack:
        phones = {
            code: await stack.enter_async_context(theatre.lab.phone(code, behaviour))
            for code, behaviour in plan.phones.items()
        }
        await stack.enter_async_context(plan.circumstance.during(theatre, narrator.remarks))
        lines = await stack.enter_async_context(theatre.calls.watching())
        follower = _Follower(theatre.calls, phones, narrator, lines)
        following = asyncio.create_task(follower.run())
        stack.push_async_callback(end, following)
        seen, trouble = await _play(theatre, plan, phones)
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await asyncio.shield(following)
        except TimeoutError:
            trouble.append(f"the call was not over {TELL_SECONDS:.0f} s after its end, or the CRM not told")
    results = tuple(one.call for one in crm.uploads[uploads:])
    url = results[0].record_url if results else None
    if url is None and follower.call is not None and follower.call.recording.file:
        url = f"{theatre.settings.recordings_url}/{follower.call.recording.file}"
    answered = tuple(code for code, phone in phones.items() if any(c.answered_at for c in phone.calls))
    observed = Observed(
        sip_status=seen.sip_status,
        waited=seen.waited,
        talked=seen.talked,
        between=seen.between,
        talkers=(*seen.talkers, *answered),
        shown=tuple(sorted({c.name for phone in phones.values() for c in phone.calls if c.name})),
        events=tuple(one.event for one in crm.events[events:]),
        uploads=results,
        rang=tuple(code for code, phone in phones.items() if phone.calls),
        dialled=seen.dialled,
        recording=await _recording_length(theatre.http, url) if url else None,
        violations=tuple(theatre.crm.violations[violations:]),
    )
    found = problems(plan.expected, observed, plan.act.number, SHOP)
    return Performance(index, plan, follower.call, observed, [*trouble, *found], url)


async def _play(theatre: Theatre, plan: Plan, phones: dict[str, Phone]) -> tuple[Seen, list[str]]:
    """Let the people call; give what was seen, and what hindered them."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await plan.act.play(theatre, phones), []
    except TimeoutError:
        return Seen(), [f"the call did not go on to its end within {CALL_SECONDS:.0f} s"]
    except (NotPlayed, NotAnswered) as problem:
        return Seen(), [str(problem)]


class _Follower:
    """Tells a call's journal as it is written, until the call is over and the CRM has heard of it."""

    def __init__(
        self,
        calls: CallStore,
        phones: dict[str, Phone],
        narrator: Narrator,
        lines: AsyncIterator[JournalLine],
    ) -> None:
        self.call: Call | None = None
        self._calls = calls
        self._phones = phones
        self._narrator = narrator
        self._lines = lines

    async def run(self) -> None:
        told = 0
        async for line in self._lines:
            self.call = await self._calls.get(line.call)
            if self.call is None:
                continue
            self._narrator.step(line, self.call, self._phones)
            told += 1
            if not self.call.over or any(one.call == line.call for one in await self._calls.outbox.read()):
                continue
            if told >= len(await self._calls.journal(line.call)):
                return


async def _recording_length(http: aiohttp.ClientSession, url: str) -> float | None:
    """Download a recording; give its seconds, None when it is not a WAV file as promised."""
    try:
        async with http.get(url) as answer:
            if answer.status != 200:
                return None
            with wave.open(io.BytesIO(await answer.read())) as file:
                if (file.getnchannels(), file.getframerate(), file.getsampwidth()) != (1, 8000, 2):
                    return None
                return float(file.getnframes()) / 8000
    except (aiohttp.ClientError, wave.Error, EOFError):
        return None
