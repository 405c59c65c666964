"""What is let through of what dialplans ask and report by the clientId alone; what is not is noted."""

from __future__ import annotations

import time

import structlog

from ari_app.accounts.current import Current
from ari_app.control.switchboard import Line
from ari_app.service.event_log import Notes
from ari_app.service.human_pace import Strangers
from ari_app.store.events import What

log = structlog.get_logger(__name__)

_LONGEST_WORD, _MOST_WORDS = 40, 100


class DialplanAccess:
    """Of one account."""

    def __init__(self, current: Current, line: Line, notes: Notes) -> None:
        self._current = current
        self._line = line
        self._notes = notes
        self._strangers = Strangers(time.monotonic)
        self._unknown_words: set[str] = set()
        self._log = log.bind(account=current.account.id)

    def admits(self, address: str) -> bool:
        """Tell whether who has the clientId may ask and report from an address."""
        if self._current.account.api.admits(address):
            return True
        self._note(What.ADDRESS_REFUSED, address=address)
        return False

    def may_look_up(self, number: str) -> bool:
        """Tell whether a caller's name is given; one who is in a call of ours doesn't count."""
        if self._strangers.may_look_up(number, (call.number for call in self._line.calls)):
            return True
        self._note(What.TOO_MANY_LOOK_UPS)
        return False

    def shown_to(self, codes: tuple[str, ...], *, everybody: bool) -> tuple[str, ...]:
        """Give those of some extensions to whom one more reported call is shown; `everybody`: none named."""
        shown = self._strangers.shown_to(codes, everybody=everybody)
        if len(shown) < len(codes):
            self._note(What.TOO_MANY_POPUPS)
        return shown

    def note_inside_link(self, call: str) -> None:
        """Take note that the CRM isn't told a recording's address, for it leads into a network."""
        self._note(What.LINK_INSIDE, call=call)

    def note_unknown_status(self, word: str, call: str) -> None:
        """Take note, once a word, that a dialplan said how a call ended by a word that is not known."""
        word = word[:_LONGEST_WORD].upper()
        if word not in self._unknown_words and len(self._unknown_words) < _MOST_WORDS:
            self._unknown_words.add(word)
            self._notes.take(What.UNKNOWN_STATUS, word=word, call=call)

    def _note(self, what: What, **values: str) -> None:
        if self._notes.take_sometimes(what, **values):
            self._log.warning(what.value, **values)
