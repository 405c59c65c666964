"""The API's description (OpenAPI 3.1), served at ``/api/openapi.json``. Tests hold the API to it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from cabinet.api.fields import LONGEST_ADDRESS, LONGEST_PHONE, LONGEST_TEXT, LONGEST_UNIQUE_ID

Schema = dict[str, Any]

_PHONE_TEXT = r"^\+?[0-9]{5,15}$"


async def answer(_: web.Request) -> web.Response:
    """Give the description."""
    return web.json_response(DESCRIPTION)


def _text(description: str, longest: int = LONGEST_TEXT, **schema: Any) -> Schema:
    return {"type": "string", "maxLength": longest, "description": description, **schema}


def _parameter(name: str, schema: Schema, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "schema": schema, "allowEmptyValue": True}


_REFUSAL: Schema = {
    "type": "object",
    "required": ["success", "errorMsg"],
    "properties": {
        "success": {"const": False},
        "errorMsg": {"type": "string"},
        "parameter": {"type": "string", "description": "The parameter that is wrong or missing."},
    },
}
_PHONE = _text("The customer's number; empty when it is withheld.", LONGEST_PHONE)
_DESCRIBED_PHONE = {**_PHONE, "pattern": r"^(\+?[0-9]{5,15})?$"}

_STATUSES = (
    *("ANSWER", "ANSWERED", "NOANSWER", "NO ANSWER", "BUSY", "CANCEL"),
    *("CONGESTION", "CHANUNAVAIL", "FAILED"),
)
_EVENT_FIELDS: dict[str, Schema] = {
    "type": _text("What happened.", enum=["in", "out", "hangup", "upload"]),
    "uniqueid": _text("${UNIQUEID} of the call.", LONGEST_UNIQUE_ID, pattern=r"^[0-9A-Za-z._-]+$"),
    "phone": {**_DESCRIBED_PHONE, "description": "The customer's number. Not for upload."},
    "code": _text(
        "Extensions, with commas between them; for out and hangup one. Empty with in: all of the account. "
        "Also as an array, code[]. Not for upload.",
        pattern=r"^([0-9*#]{1,20}(,[0-9*#]{1,20}){0,5})?$",
    ),
    "status": _text(
        "hangup: DIALSTATUS or CDR(disposition); without it, answered if duration is not 0.",
        enum=[*_STATUSES, ""],
    ),
    "direct": _text("hangup: the call's direction.", enum=["in", "out", ""]),
    "date": _text(
        "hangup: the call's date and time, passed on as given; also DATE.",
        pattern=r"^(20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8]) "
        r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])?$",
    ),
    "hold": _text("hangup: seconds until the answer.", pattern=r"^[0-9]{0,5}$"),
    "duration": _text("hangup: seconds of talk.", pattern=r"^[0-9]{0,5}$"),
    "path": _text(
        "hangup: where the recording is found, passed on as given: http, https or ftp.",
        LONGEST_ADDRESS,
        pattern=r"^((https?|ftp)://([a-z]{1,8}:[a-z]{1,8}@)?[a-z][a-z0-9]{0,20}\.[a-z]{2,6}(/[a-z0-9._-]{0,40})?)?$",
    ),
    "record": _text(
        "hangup: wait, when the recording's file will be sent: the CRM is told then, or after 10 min.",
        enum=["wait", ""],
    ),
    "extPhone": {**_DESCRIBED_PHONE, "description": "The shop's number that was called."},
    "campaign_name": _text("in: the campaign that the popup shows.", pattern=r"^[\w -]*$"),
    "campaign_code": _text("in: its code.", pattern=r"^[\w -]*$"),
    "queryString": _text("in: what the customer searched for.", pattern=r"^[\w -]*$"),
    **{
        f"source_{name}": _text(f"hangup: the {name} of the call's source.", pattern=r"^[\w -]*$")
        for name in ("source", "medium", "campaign", "keyword", "content")
    },
}
_REQUIRED = ("type", "uniqueid")


def _answer(description: str, schema: Schema | None = None) -> Schema:
    return {
        "description": description,
        "content": {"application/json": {"schema": schema or {"$ref": "#/components/schemas/Refusal"}}},
    }


def _refused(description: str, text_too: bool = False) -> Schema:
    refused = _answer(description)
    if text_too:
        refused["content"]["text/plain"] = {"schema": {"const": ""}}
    return refused


_EVENT_ANSWERS: Schema = {
    "200": _answer("The report is kept.", {"$ref": "#/components/schemas/Taken"}),
    "400": _refused("A parameter is wrong or missing."),
    "401": _refused("No account has this clientId."),
    "408": _refused("The file took too long."),
    "413": _refused("The body is too long."),
    "415": _refused("The body is of a kind that is not read."),
    "503": _refused("It can't be kept now: send it again later."),
}

DESCRIPTION: Schema = {
    "openapi": "3.1.0",
    "info": {
        "title": "Telephony for retailCRM: the module's HTTP API",
        "version": "1",
        "description": "For PBXs whose own dialplan runs the calls: they ask who calls, and report calls.",
    },
    "servers": [{"url": "/api"}],
    "security": [{"clientId": []}],
    "paths": {
        "/manager": {
            "get": {
                "operationId": "manager",
                "summary": "The customer's name and the responsible manager's extension, within 2 s.",
                "parameters": [
                    _parameter("phone", _DESCRIBED_PHONE, required=True),
                    _parameter(
                        "type",
                        _text(
                            "json, or text: NAME,EXTENSION. An error as text is empty.", enum=["json", "text"]
                        ),
                        required=True,
                    ),
                    _parameter("ignoreStatus", _text("When given: whether the manager is free or not.")),
                    _parameter(
                        "ignoreBlankCaller",
                        _text("When given: an unknown customer has no name, instead of their number."),
                    ),
                ],
                "responses": {
                    "200": {
                        "description": "Who calls; empty texts for whom the CRM doesn't know.",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Manager"}},
                            "text/plain": {"schema": {"type": "string", "pattern": "^[^,\"'\\n]*,[0-9*#]*$"}},
                        },
                    },
                    "400": _refused("A parameter is wrong or missing.", text_too=True),
                    "401": _refused("No account has this clientId.", text_too=True),
                },
            }
        },
        "/event": {
            "get": {
                "operationId": "event",
                "summary": "Report what happens to a call; once, twice or late.",
                "parameters": [
                    _parameter(name, schema, name in _REQUIRED) for name, schema in _EVENT_FIELDS.items()
                ],
                "responses": _EVENT_ANSWERS,
            },
            "post": {
                "operationId": "eventByPost",
                "summary": "The same as a form or an object; with type=upload a recording, WAV or MP3.",
                "requestBody": {
                    "required": True,
                    "content": {
                        kind: {
                            "schema": {
                                "type": "object",
                                "required": list(_REQUIRED),
                                "properties": _EVENT_FIELDS,
                            }
                        }
                        for kind in ("application/x-www-form-urlencoded", "application/json")
                    },
                },
                "responses": _EVENT_ANSWERS,
            },
        },
        "/openapi.json": {
            "get": {
                "operationId": "description",
                "summary": "This description.",
                "security": [],
                "responses": {"200": _answer("OpenAPI 3.1", {"type": "object"})},
            }
        },
    },
    "components": {
        "securitySchemes": {"clientId": {"type": "apiKey", "in": "query", "name": "clientId"}},
        "schemas": {
            "Refusal": _REFUSAL,
            "Manager": {
                "type": "object",
                "required": ["result"],
                "properties": {
                    "result": {
                        "type": "object",
                        "required": ["callerId", "phone"],
                        "properties": {
                            "callerId": {"type": "string", "description": "What the phone shall show."},
                            "phone": {
                                "type": "string",
                                "description": "The manager's extension.",
                            },
                        },
                    }
                },
            },
            "Taken": {
                "type": "object",
                "required": ["success", "call", "taken"],
                "properties": {
                    "success": {"const": True},
                    "call": {"type": "string", "description": "The call, as ari-app calls show names it."},
                    "taken": {
                        "enum": ["new", "repeated", "ours"],
                        "description": "repeated: it came late or twice. ours: the service runs the call.",
                    },
                },
            },
        },
    },
}
