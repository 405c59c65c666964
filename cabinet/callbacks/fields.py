"""What the CRM says when it calls us.

It sends GET; a POST with a form is the same, and what stands in the form wins over the query.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeAlias

from aiohttp import web
from multidict import MultiMapping

from cabinet.callbacks.answers import Refused
from cabinet.frame.security import FORM_SECONDS, UNREADABLE

LONGEST_FORM = 65_536
"""Bytes."""
LONGEST_VALUE = 256
"""Characters."""

Fields: TypeAlias = Mapping[str, str]


async def read_fields(
    request: web.Request, names: tuple[str, ...], longest: int = LONGEST_VALUE
) -> dict[str, str]:
    """Read parameters of the query and of the form, each of at most so many characters.

    Raises:
        Refused: it can't be read, is too long, or says two things of one field.
    """
    fields = _values(request.query, names, longest)
    if request.method == "POST":
        fields |= _values(await _form(request), names, longest)
    return fields


def _values(given: MultiMapping[object], names: tuple[str, ...], longest: int) -> dict[str, str]:
    """Read the parameters that are ours; one that comes twice must say the same twice."""
    values = {}
    for name in names:
        said = given.getall(name, [])
        if not said:
            continue
        value = said[0]
        if not isinstance(value, str) or len(value) > longest:
            raise Refused(400, f"{name} is not a text of at most {longest} characters")
        if any(another != value for another in said):
            raise Refused(400, f"{name} comes twice")
        values[name] = value
    return values


async def _form(request: web.Request) -> MultiMapping[object]:
    too_long = Refused(413, f"the form is longer than {LONGEST_FORM} bytes")
    if (request.content_length or 0) > LONGEST_FORM:
        raise too_long
    try:
        async with asyncio.timeout(FORM_SECONDS):
            form = await request.clone(client_max_size=LONGEST_FORM).post()
    except web.HTTPRequestEntityTooLarge:
        raise too_long from None
    except TimeoutError:
        raise Refused(408, "the form does not come") from None
    except UNREADABLE:
        raise Refused(400, "the form can't be read") from None
    for value in form.values():
        if isinstance(value, web.FileField):
            value.file.close()
    return form
