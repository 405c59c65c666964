"""An Asterisk that a recording can bring down is one that `ari-app check` names, and no other is."""

import asyncio
import os

import aiohttp
import pytest

from ari_app.check.asterisk import falls
from ari_app.demo.pbx.asterisk import Asterisk
from tests.asterisk.pbx_files import prepared

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELD = """
[hung-up]
exten => s,1,System(cat {folder}/held)
 same => n,Return()
"""
ATTEMPTS = 200
"""Now and then Asterisk 16 survives one, when its cache doesn't know the channel yet that is to listen."""


@pytest.mark.parametrize("version", [22, 16])
async def test_listening_to_a_channel_that_is_being_hung_up(version: int) -> None:
    installation = prepared(version)
    asterisk = Asterisk(installation)
    folder = "/lab" if installation.root else asterisk.folder
    asterisk.files = {"extensions_more.conf": HELD.format(folder=folder)}
    login = aiohttp.encode_basic_auth(asterisk.ari_username, asterisk.ari_password)
    async with asterisk, aiohttp.ClientSession(headers={"Authorization": login}) as ari:
        os.mkfifo(asterisk.folder / "held")
        call = {"endpoint": "Local/answers@menu/n", "channelId": "leaving", "app": "nobody"}
        variables = {"variables": {"CHANNEL(hangup_handler_push)": "hung-up,s,1"}}
        async with ari.post(f"{asterisk.ari_url}/channels", params=call, json=variables) as answer:
            assert answer.status == 200
        # It can be written to as soon as the channel's hangup handler reads it, in the midst of its end.
        with await asyncio.to_thread((asterisk.folder / "held").open, "w"):
            answers = await listen(ari, f"{asterisk.ari_url}/channels/leaving/snoop")
    assert set(answers) <= {500}
    assert (len(answers) < ATTEMPTS) is falls(installation.version)


async def listen(ari: aiohttp.ClientSession, url: str) -> list[int]:
    """Ask to listen again and again, as long as Asterisk is there: what it has answered."""
    answers: list[int] = []
    while len(answers) < ATTEMPTS:
        try:
            async with ari.post(url, params={"spy": "both", "app": "nobody"}) as answer:
                answers.append(answer.status)
        except aiohttp.ClientError:
            break
    return answers
