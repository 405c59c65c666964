"""The API's description (OpenAPI 3.1), served at ``/api/openapi.json``. Tests hold the API to it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from cabinet.api.calls import MOST, USUAL
from cabinet.api.fields import (
    LONGEST_ADDRESS,
    LONGEST_PHONE,
    LONGEST_QUERY,
    LONGEST_TEXT,
    LONGEST_UNIQUE_ID,
    MOST_SECONDS,
)
from cabinet.forms.call_filter import DIRECTIONS, PERIODS, RESULTS

Schema = dict[str, Any]

_EMPTY_OR = "^({})?$"
_NUMBER = r"\+?[0-9]{{{},15}}"
_CODE = "[0-9*#]{1,20}"
_REPORTED_CODE = rf"\+?{_CODE}"
_NO_CONTROLS = r"^[\t\r\n]*[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*[\t\r\n]*$"
_DAY = "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_EARLY_DAY = "200[0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_LATE_DAY = "20[1-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_ADDRESS = (
    r"(https?|ftp)://([a-z0-9]{1,20}:[a-z0-9]{1,20}@)?[a-z]{1,20}\.[a-z]{2,6}(:[1-9][0-9]{0,3})?(/[\w./-]*)?"
)
_FILE_NAME = r"/?[\w.-]*(/[\w.-]*)*"
_SECONDS_TEXT = r"^([0-9]{1,5}(\.[0-9]{1,9})?)?$"
_STATUSES = (
    *("ANSWER", "ANSWERED", "NOANSWER", "NO ANSWER", "BUSY", "CANCEL"),
    *("CONGESTION", "CHANUNAVAIL", "FAILED"),
    *("JOINEMPTY", "LEAVEEMPTY", "JOINUNAVAIL", "LEAVEUNAVAIL", "FULL", "TIMEOUT", "WITHDRAW", "CONTINUE"),
    *("BLINDTRANSFER", "ATTENDEDTRANSFER"),
)


async def answer(_: web.Request) -> web.Response:
    """Give the description."""
    return web.json_response(DESCRIPTION)


def _text(description: str, longest: int = LONGEST_TEXT, pattern: str = _NO_CONTROLS, **more: Any) -> Schema:
    return {"type": "string", "description": description, "maxLength": longest, "pattern": pattern, **more}


def _word(description: str, *words: str) -> Schema:
    return {"type": "string", "description": description, "enum": list(words)}


def _flag(description: str) -> Schema:
    return {"type": "string", "description": f"When given, whatever its value: {description}"}


def _parameter(name: str, schema: Schema, required: bool = False, example: str = "") -> Schema:
    shown = {"example": example} if example else {}
    return {"name": name, "in": "query", "required": required, "schema": schema, **shown}


_REFUSAL: Schema = {
    "type": "object",
    "required": ["success", "errorMsg"],
    "properties": {
        "success": {"const": False},
        "errorMsg": {"type": "string"},
        "parameter": {"type": "string", "description": "The parameter that is wrong or missing."},
    },
}
_PHONE = _text(
    "The customer's number; empty when it is withheld.", LONGEST_PHONE, _EMPTY_OR.format(_NUMBER.format(2))
)
_SECONDS: Schema = {
    "anyOf": [
        {"type": "string", "pattern": _SECONDS_TEXT},
        {"type": "integer", "minimum": 0, "maximum": MOST_SECONDS},
    ]
}
_UNIQUE = "1767225600.42"
_UNIQUE_ID = _text("${UNIQUEID} of the call.", LONGEST_UNIQUE_ID, "^[!#-&(-_a-~]+$", example=_UNIQUE)
_ONE_CODE = _text("The manager's extension.", 21, f"^{_REPORTED_CODE}$")
_SOURCES = ("source", "medium", "campaign", "keyword", "content")

_EXTERNAL: dict[str, Schema] = {"extPhone": {**_PHONE, "description": "The shop's number that was called."}}
_AT_THE_BEGINNING: dict[str, Schema] = {
    "campaign_name": _text("The campaign that the popup shows."),
    "campaign_code": _text("Its code."),
    "queryString": _text("What the customer searched for.", LONGEST_QUERY),
}
_AT_THE_END: dict[str, Schema] = {
    "status": _text(
        "DIALSTATUS, QUEUESTATUS or CDR(disposition). Empty, or a word that is not known: answered "
        "if duration isn't 0.",
        examples=list(_STATUSES),
    ),
    "direct": _word("The call's direction.", "in", "out", ""),
    "date": _text(
        "The call's date and time, passed on as given; also DATE.", 19, _EMPTY_OR.format(f"{_DAY} {_TIME}")
    ),
    "hold": {**_SECONDS, "description": "Seconds until the answer."},
    "duration": {**_SECONDS, "description": "Seconds of talk."},
    "path": _text(
        "Where the recording is found, passed on as given. A file's name on the PBX is left out.",
        LONGEST_ADDRESS,
        f"^({_ADDRESS}|{_FILE_NAME})$",
    ),
    "record": _text("wait, when the recording's file will be sent: the CRM is told then, or after 10 min."),
    **{f"source_{name}": _text(f"The {name} of the call's source.") for name in _SOURCES},
}
_CLIENT_ID: Schema = {"type": "string", "description": "Here, or in the address; the same in both."}
_MULTIPART: Schema = {
    "type": "object",
    "required": ["type", "uniqueid", "file"],
    "propertyNames": {"pattern": "^[A-Za-z0-9_]{1,40}$"},
    "properties": {
        "clientId": _CLIENT_ID,
        "type": _word("A recording's file.", "upload"),
        "uniqueid": _UNIQUE_ID,
        "file": {"type": "string", "format": "binary", "description": "WAV or MP3, behind clientId."},
    },
}


def _report(description: str, kind: str, code: Schema, fields: dict[str, Schema]) -> Schema:
    always = {"type": _word(description, kind), "uniqueid": _UNIQUE_ID, "phone": _PHONE, "code": code}
    return {
        "type": "object",
        "required": list(always),
        "properties": {**always, "clientId": _CLIENT_ID, **_EXTERNAL, **fields},
    }


def _codes(description: str, fewest: int) -> Schema:
    """Describe ``code`` where it may be an array too; a form can't say that one is empty."""
    a_list = _text("A list.", 4000, _EMPTY_OR.format(f"{_REPORTED_CODE}(,{_REPORTED_CODE}){{0,20}}"))
    item = {"type": "string", "pattern": _EMPTY_OR.format(_REPORTED_CODE)}
    array = {"type": "array", "items": item, "minItems": fewest}
    return {"description": description, "anyOf": [a_list, array]}


def _reports(fewest: int) -> Schema:
    shown = _codes("The extensions that are shown the call. Empty: all.", fewest)
    answered = _codes("Who answered, or was to; one, or empty.", fewest)
    return {
        "oneOf": [
            _report("A customer calls.", "in", shown, _AT_THE_BEGINNING),
            _report("A manager calls.", "out", _ONE_CODE, _AT_THE_BEGINNING),
            _report("The call is over.", "hangup", answered, _AT_THE_END),
        ]
    }


def _of_one_type(schema: Schema) -> Schema:
    """Describe a field in a query, where it may stand though the report's type has no such field: unread."""
    limits = {"maxLength", "pattern", "enum"}
    words = {"examples": [word for word in schema["enum"] if word]} if "enum" in schema else {}
    return {name: said for name, said in schema.items() if name not in limits} | words


_QUERY: dict[str, Schema] = {
    "type": _word("What happened; upload goes by POST.", "in", "out", "hangup"),
    "uniqueid": _UNIQUE_ID,
    "phone": _PHONE,
    "code": _text(
        "in: extensions with commas between them, or empty for all. out: one. hangup: one, or empty.",
        4000,
        _EMPTY_OR.format(f"{_REPORTED_CODE}(,{_REPORTED_CODE}){{0,20}}"),
    ),
    **_EXTERNAL,
    **{
        name: _of_one_type(schema)
        for name, schema in {
            **_AT_THE_BEGINNING,
            **_AT_THE_END,
            "hold": _text("hangup: seconds until the answer.", 15),
            "duration": _text("hangup: seconds of talk.", 15),
        }.items()
    },
}


_OR_NULL: Schema = {"type": ["string", "null"]}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_LOG: dict[str, Schema] = {
    "number": {**_PHONE, "description": "Only calls with this customer."},
    "manager": _text("Only calls of this extension.", 20, _EMPTY_OR.format(_CODE)),
    "result": _word("Only calls that ended so; missed is all but answered.", *RESULTS),
    "direction": _word("Only calls in this direction.", *DIRECTIONS),
    "period": _word("The last 7 days are week, the last 30 month; own is from and to.", *PERIODS),
    "from": _text("The first day, in the account's time zone.", 10, _EMPTY_OR.format(_EARLY_DAY)),
    "to": _text("The last day, which is included.", 10, _EMPTY_OR.format(_LATE_DAY)),
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST, "description": f"{USUAL} if not given."},
    "cursor": _text(
        "What the page before gave as next.", 200, "^([0-9]{1,10}\\.[0-9]{1,6}_[a-z0-9-]{1,60})?$"
    ),
}
_CALL: Schema = {
    "type": "object",
    "required": ["id", "startedAt", "direction", "number", "result", "manager", "waiting", "talking", "legs"],
    "properties": {
        "id": {"type": "string"},
        "startedAt": {"type": "string", "format": "date-time"},
        "direction": {"enum": [word for word in DIRECTIONS if word]},
        "number": {**_OR_NULL, "description": "The customer's, E.164; null when withheld."},
        "name": {**_OR_NULL, "description": "The customer's, as the CRM knows it."},
        "shopNumber": {**_OR_NULL, "description": "The shop's number."},
        "result": {"enum": [*(word for word in RESULTS if word not in ("", "missed")), None]},
        "manager": {**_OR_NULL, "description": "The extension that talked last, or should have."},
        "managerName": _OR_NULL,
        "waiting": {**_WHOLE, "description": "Seconds."},
        "talking": {**_WHOLE, "description": "Seconds."},
        "recording": {**_OR_NULL, "description": "Its address."},
        "legs": {
            "type": "array",
            "description": "Whom the call rang, each with its own seconds.",
            "items": {
                "type": "object",
                "required": ["role", "code", "target", "result", "waiting", "talking"],
                "properties": {
                    "role": {"type": "string"},
                    "code": _OR_NULL,
                    "target": _OR_NULL,
                    "result": _OR_NULL,
                    "waiting": _WHOLE,
                    "talking": _WHOLE,
                },
            },
        },
    },
}


def _answer(description: str, schema: Schema | None = None, example: Any = None) -> Schema:
    content = {"schema": schema or {"$ref": "#/components/schemas/Refusal"}}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {"application/json": content}}


def _refused(description: str, text_too: bool = False) -> Schema:
    refused = _answer(description)
    if text_too:
        refused["content"]["text/plain"] = {"schema": {"const": ""}}
    return refused


_CALL_ID = "reported-5f2b8c0d9e417a36b1c4d2e8f0a79653"
_BEGINNING = {"type": "in", "uniqueid": _UNIQUE, "phone": "+79161234567", "code": "101"}
_ENDING = {
    **_BEGINNING,
    "type": "hangup",
    "status": "ANSWER",
    "direct": "in",
    "date": "2026-01-01 12:00:00",
    "hold": "5",
    "duration": "12",
}
_CALLS = {
    "success": True,
    "calls": [
        {
            "id": _CALL_ID,
            "startedAt": "2026-01-01T12:00:00+03:00",
            "direction": "in",
            "number": "+79161234567",
            "name": "Иванова Анна",
            "shopNumber": "+74951112233",
            "result": "answered",
            "manager": "101",
            "managerName": "Смирнова",
            "waiting": 5,
            "talking": 12,
            "recording": None,
            "legs": [
                {
                    "role": "manager",
                    "code": "101",
                    "target": None,
                    "result": "answered",
                    "waiting": 5,
                    "talking": 12,
                }
            ],
        }
    ],
    "next": None,
}
"""What the examples show; tests send the requests, and compare the answers."""

_EVENT_ANSWERS: Schema = {
    "200": _answer(
        "The report is kept.",
        {"$ref": "#/components/schemas/Taken"},
        {"success": True, "call": _CALL_ID, "taken": "new"},
    ),
    "400": _refused("A parameter is wrong or missing."),
    "401": _refused("No account has this clientId."),
    "408": _refused("The file took too long."),
    "413": _refused("The body is too long."),
    "415": _refused("The body is of a kind that is not read."),
    "429": _refused("The account reports more than is taken: send it again after Retry-After seconds."),
    "503": _refused("It can't be kept now: send it again later."),
}

DESCRIPTION: Schema = {
    "openapi": "3.1.0",
    "info": {
        "title": "Telephony for retailCRM: the module's HTTP API",
        "version": "1",
        "description": "For PBXs whose own dialplan runs the calls: they ask who calls, and report calls. "
        "For a shop's own programs: they read the call log.",
    },
    "servers": [{"url": "/api"}],
    "security": [{"clientId": []}],
    "paths": {
        "/manager": {
            "get": {
                "operationId": "manager",
                "summary": "The customer's name and the responsible manager's extension, within 2 s.",
                "parameters": [
                    _parameter("phone", _PHONE, required=True, example="+79161234567"),
                    _parameter(
                        "type",
                        _word("json, or text: NAME,EXTENSION. An error as text is empty.", "json", "text"),
                        required=True,
                        example="json",
                    ),
                    _parameter("ignoreStatus", _flag("whether the manager is free or not.")),
                    _parameter(
                        "ignoreBlankCaller",
                        _flag("an unknown customer has no name, instead of their number."),
                    ),
                ],
                "responses": {
                    "200": {
                        "description": "Who calls; empty texts for whom the CRM doesn't know.",
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/Manager"},
                                "example": {"result": {"callerId": "Иванова Анна", "phone": "101"}},
                            },
                            "text/plain": {
                                "schema": {"type": "string", "pattern": '^[^,"\\n]*,[0-9*#]*$'},
                                "example": "Иванова Анна,101",
                            },
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
                    _parameter(
                        name, schema, name in ("type", "uniqueid", "phone", "code"), _BEGINNING.get(name, "")
                    )
                    for name, schema in _QUERY.items()
                ],
                "responses": _EVENT_ANSWERS,
            },
            "post": {
                "operationId": "eventByPost",
                "summary": "The same as a form or an object; with type=upload a recording, WAV or MP3.",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/x-www-form-urlencoded": {"schema": _reports(1), "example": _ENDING},
                        "application/json": {"schema": _reports(0), "example": _ENDING},
                        "multipart/form-data": {"schema": _MULTIPART},
                    },
                },
                "responses": _EVENT_ANSWERS,
            },
        },
        "/calls": {
            "get": {
                "operationId": "calls",
                "summary": "The calls that are over, the newest first.",
                "description": "With a token of the account's, made in the cabinet, or a session there. "
                "Filters combine. As long as next isn't null there may be more, also when calls is empty.",
                "security": [{"token": []}],
                "parameters": [
                    _parameter(name, schema, example="today" if name == "period" else "")
                    for name, schema in _LOG.items()
                ],
                "responses": {
                    "200": _answer("A page of calls.", {"$ref": "#/components/schemas/Calls"}, _CALLS),
                    "400": _refused("A parameter is wrong."),
                    "401": _refused("Neither a token of an account's nor a session."),
                    "503": _refused("The calls can't be read now: ask again later."),
                },
            }
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
        "securitySchemes": {
            "clientId": {"type": "apiKey", "in": "query", "name": "clientId"},
            "token": {"type": "http", "scheme": "bearer", "description": "A token made in the cabinet."},
        },
        "schemas": {
            "Refusal": _REFUSAL,
            "Call": _CALL,
            "Calls": {
                "type": "object",
                "required": ["success", "calls", "next"],
                "properties": {
                    "success": {"const": True},
                    "calls": {"type": "array", "items": {"$ref": "#/components/schemas/Call"}},
                    "next": {**_OR_NULL, "description": "The cursor of the next page; null on the last."},
                },
            },
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
