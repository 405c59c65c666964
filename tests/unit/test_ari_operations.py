"""How an operation that the PBX describes is put into a request."""

from __future__ import annotations

import pytest
from aioswagger11.client import Operation

from ari_app.asterisk.ari import _written

DIAL = Operation(
    "/ari/channels/{channelId}/dial",
    {
        "httpMethod": "POST",
        "nickname": "dial",
        "parameters": [
            {"name": "channelId", "paramType": "path", "required": True},
            {"name": "timeout", "paramType": "query", "required": False},
            {"name": "variables", "paramType": "body", "required": False},
        ],
    },
    None,
)


def test_each_argument_goes_where_the_pbx_wants_it() -> None:
    asked = _written(DIAL, {"channelId": "1.2/ü", "timeout": 5, "variables": {"NAME": "Анна"}})
    address = "/ari/channels/1.2%2F%C3%BC/dial"
    assert asked == ("POST", address, {"timeout": 5}, '{"variables":{"NAME":"Анна"}}'.encode())
    assert _written(DIAL, {"channelId": "1.2", "timeout": None})[2:] == ({}, None)


@pytest.mark.parametrize("arguments", [{}, {"channelId": "1.2", "seconds": 5}])
def test_what_the_pbx_needs_and_what_it_does_not_know_is_a_defect_of_ours(arguments: dict[str, str]) -> None:
    with pytest.raises(TypeError):
        _written(DIAL, arguments)
