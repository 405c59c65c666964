"""How the API says no: always JSON, which names the parameter and never repeats what was sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog
from aiohttp import web

from ari_app.errors import StoreUnavailable
from ari_app.service.reported import TooManyReports
from cabinet.frame.passing import PassOn

log = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Wrong(Exception):
    """A request that is not carried out. The text says what was expected of the parameter."""

    def __init__(self, parameter: str, expected: str, status: int = 400) -> None:
        super().__init__(f"{parameter}: {expected}")
        self.parameter = parameter
        self.status = status


class UnknownClient(Wrong):
    """No account has this clientId."""

    def __init__(self) -> None:
        super().__init__("clientId", "no account has it", 401)


class NotAdmitted(Wrong):
    """The account with this clientId is asked from other addresses only."""

    def __init__(self) -> None:
        super().__init__("clientId", "the account doesn't allow this address", 403)


@web.middleware
async def as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put every error into JSON. Nothing that is answered may be kept by a cache."""
    try:
        response = await handler(request)
    except PassOn:
        raise
    except Wrong as wrong:
        response = refusal(wrong.status, str(wrong), wrong.parameter)
    except TooManyReports as many:
        response = refusal(429, "More is reported than is taken; send it again later.")
        response.headers["Retry-After"] = f"{many.seconds:.0f}"
    except web.HTTPException as error:
        response = refusal(error.status, error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    except StoreUnavailable:
        response = refusal(503, "The service can't keep this now; send it again later.")
        response.headers["Retry-After"] = "5"
    except (web.RequestPayloadError, ConnectionError):
        response = refusal(400, "The body was cut off.")
    except Exception:  # whoever asks gets JSON, with nothing of what went wrong
        log.exception("a request failed", path=request.path)
        response = refusal(500, "The service failed.")
    response.headers["Cache-Control"] = "no-store"
    return response


def refusal(status: int, text: str, parameter: str | None = None) -> web.Response:
    """Say no."""
    named = {"parameter": parameter} if parameter is not None else {}
    return web.json_response({"success": False, "errorMsg": text, **named}, status=status)
