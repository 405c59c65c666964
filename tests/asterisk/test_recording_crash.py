"""A recording can bring down the Asterisks that `ari-app check` names, no other, and not behind our files."""

import asyncio
import os
from collections.abc import Callable

import aiohttp
import pytest

from ari_app.check.asterisk import falls
from ari_app.demo.pbx.asterisk import Asterisk
from stasis_dialplan import Kind
from tests.asterisk.pbx_files import APP, Api, application, configure, prepared

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELD = """
[held]
exten => s,1,System(cat {folder}/held)
 same => n,Return()
"""
ATTEMPTS = 200
"""Now and then Asterisk 16 survives one, when its cache doesn't know the channel yet that is to listen."""

CALLERS = 30
"""Without our lines Asterisk 16 doesn't live to see the fifth."""


@pytest.mark.parametrize("version", [22, 16])
async def test_listening_to_a_channel_that_is_being_hung_up(version: int) -> None:
    installation = prepared(version)
    asterisk = Asterisk(installation)
    folder = "/lab" if installation.root else asterisk.folder
    asterisk.files = {"extensions_more.conf": HELD.format(folder=folder)}
    async with asterisk, session(asterisk) as ari:
        os.mkfifo(asterisk.folder / "held")
        call = {"endpoint": "Local/answers@menu/n", "channelId": "leaving", "app": "nobody"}
        variables = {"variables": {"CHANNEL(hangup_handler_push)": "held,s,1"}}
        async with ari.post(f"{asterisk.ari_url}/channels", params=call, json=variables) as answer:
            assert answer.status == 200
        # It can be written to as soon as the channel's hangup handler reads it, in the midst of its end.
        with await asyncio.to_thread((asterisk.folder / "held").open, "w"):
            answers = await listen(ari, asterisk, "leaving", lambda: False)
    assert set(answers) <= {500}
    assert (len(answers) < ATTEMPTS) is falls(installation.version)


@pytest.mark.parametrize("kind", ["asterisk", "freepbx"])
async def test_a_caller_who_comes_by_our_files_is_heard_until_the_service_knows_that_they_hang_up(
    kind: Kind,
) -> None:
    asterisk = Asterisk(prepared(16))
    configure(asterisk, kind, Api(url="http://127.0.0.1:9"), "", "default", fallback="group:101")
    ours = {"asterisk": f"extensions_{APP}.conf", "freepbx": "extensions_custom.conf"}
    asterisk.files = {"extensions_more.conf": asterisk.files[ours[kind]]}
    async with asterisk, session(asterisk) as ari, application(asterisk) as events:
        for number in range(CALLERS):
            caller = f"caller-{number}"
            call = {"endpoint": f"Local/s@{APP}-incoming/n", "channelId": f"far-{number}", "app": APP}
            async with ari.post(
                f"{asterisk.ari_url}/channels", params={**call, "otherChannelId": caller}
            ) as answer:
                assert answer.status == 200
            await heard(events, "StasisStart", caller)
            over = asyncio.create_task(heard(events, "StasisEnd", caller))
            listening = [asyncio.create_task(listen(ari, asterisk, caller, over.done)) for _ in range(2)]
            async with ari.delete(f"{asterisk.ari_url}/channels/{caller}") as answer:
                assert answer.status == 204
            for task in listening:
                assert set(await task) <= {200}
            await over
        async with ari.get(f"{asterisk.ari_url}/asterisk/info") as answer:
            assert answer.status == 200


def session(asterisk: Asterisk) -> aiohttp.ClientSession:
    login = aiohttp.encode_basic_auth(asterisk.ari_username, asterisk.ari_password)
    return aiohttp.ClientSession(headers={"Authorization": login})


async def heard(events: aiohttp.ClientWebSocketResponse, kind: str, channel: str) -> None:
    async with asyncio.timeout(60):
        while (event := await events.receive_json())["type"] != kind or event["channel"]["id"] != channel:
            pass


async def listen(
    ari: aiohttp.ClientSession, asterisk: Asterisk, channel: str, over: Callable[[], bool]
) -> list[int]:
    """Ask to listen again and again, as long as Asterisk is there: what it has answered."""
    answers: list[int] = []
    while len(answers) < ATTEMPTS and not over():
        asked = {"spy": "both", "app": "nobody"}
        try:
            async with ari.post(f"{asterisk.ari_url}/channels/{channel}/snoop", params=asked) as answer:
                answers.append(answer.status)
        except aiohttp.ClientError:
            break
    return answers
