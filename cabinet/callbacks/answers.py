"""What the CRM is answered when it calls us: JSON, with a sentence for what can't be done."""

from __future__ import annotations

from aiohttp import web


class Refused(Exception):
    """The CRM asks for what can't be done: the HTTP status, and a sentence that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def no(status: int, sentence: str) -> web.Response:
    """Refuse what the CRM asks for."""
    return answer(status, {"success": False, "errorMsg": sentence})


def answer(status: int, body: dict[str, object]) -> web.Response:
    """Answer the CRM."""
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})
