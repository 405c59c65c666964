"""What the cabinet finds out about a PBX before it stores how it is reached, on a real Asterisk."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from ari_app.accounts.sections import PbxSettings
from ari_app.check.pbx_door import Tried, try_pbx
from ari_app.demo.pbx.lab import Lab
from ari_app.network.reach import read_networks

pytestmark = pytest.mark.asyncio(loop_scope="session")

HERE = read_networks(["127.0.0.0/8"])


def typed(lab: Lab, changed: Mapping[str, Any]) -> PbxSettings:
    asterisk = lab.asterisk
    right = {
        "host": "127.0.0.1",
        "http_port": asterisk.http_port,
        "ari_username": asterisk.ari_username,
        "ari_password": SecretStr(asterisk.ari_password),
        "ami_username": asterisk.ami_username,
        "ami_password": SecretStr(asterisk.ami_password),
        "guarded": True,
    }
    return PbxSettings.model_validate(right | dict(changed))


@pytest.mark.parametrize(
    ("changed", "ari", "ajam"),
    [
        ({}, "works", "works"),
        ({"host": "localhost"}, "works", "works"),
        ({"ami_password": None}, "works", "off"),
        ({"ari_password": SecretStr("wrong")}, "password", "works"),
        ({"ari_username": "nobody"}, "password", "works"),
        ({"ami_password": SecretStr("wrong")}, "works", "password"),
        ({"ami_username": "nobody"}, "works", "password"),
        ({"http_prefix": "elsewhere"}, "absent", "absent"),
        ({"http_port": 1}, "connection", "connection"),
        ({"tls": True}, "tls", "tls"),
        ({"host": "192.168.255.1"}, "inside", "inside"),
    ],
)
async def test_what_is_wrong_is_told_apart(lab: Lab, changed: Mapping[str, Any], ari: str, ajam: str) -> None:
    tried = await try_pbx(typed(lab, changed), HERE)
    assert [(one.part, one.why) for one in tried] == [("ari", ari), ("ajam", ajam)]


async def test_a_pbx_in_our_own_network_is_not_reached_unless_the_operator_allows_it(lab: Lab) -> None:
    assert await try_pbx(typed(lab, {}), ()) == (
        Tried("ari", "inside", "127.0.0.1"),
        Tried("ajam", "inside", "127.0.0.1"),
    )
    assert all(one.good for one in await try_pbx(typed(lab, {"guarded": False}), ()))
