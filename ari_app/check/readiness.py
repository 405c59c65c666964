"""What there must be before a customer's call reaches somebody and the CRM hears of it: seven steps.

The page Information and `ari-app check` find the facts out in their own ways; what is enough, and what
is said of what is missing, stands here alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ari_app.accounts.account import RegisteredAccount
from ari_app.asterisk.phones import Endpoints, state_of
from ari_app.calls import People, parse_destinations
from ari_app.check.findings import Finding, State


class Step(StrEnum):
    """A step of a set-up, in the order in which it is done."""

    CRM = "crm"
    MODULE = "module"
    PBX = "pbx"
    EXTENSIONS = "extensions"
    TELEPHONE = "telephone"
    DESTINATION = "destination"
    DIALPLAN = "dialplan"


@dataclass(frozen=True, slots=True)
class Facts:
    """Whether each step is done; None where it can't be found out now."""

    crm: bool | None
    """The CRM answers."""
    module: bool | None
    """Our module is registered there, and active."""
    pbx: bool | None
    """The PBX lets us in, to handle calls."""
    extensions: bool | None
    """Somebody has an extension."""
    telephone: bool | None
    """An extension has a telephone that is registered."""
    destination: bool | None
    """No caller is dropped when a manager doesn't answer, or nobody is responsible."""
    dialplan: bool | None
    """A dialplan leads here: that was seen, or a customer's call came."""


_MISSING = {
    Step.CRM: (
        "CRM",
        "retailCRM does not answer: customers are not recognised, and it hears of calls later",
        "check in the CRM that the API key is switched on, then sign in to the cabinet with it again",
    ),
    Step.MODULE: (
        "module",
        "the module is not active in retailCRM: clicks call nobody, and the CRM hears of no call",
        "switch it on in the CRM (Administration / Integration / Marketplace); if it isn't there, sign in to "
        "the cabinet with the API key, which registers it",
    ),
    Step.PBX: (
        "ARI",
        "Asterisk is not connected: no call reaches the service",
        "enter its address and passwords under “Asterisk settings”, and put our files onto it",
    ),
    Step.EXTENSIONS: (
        "phones",
        "nobody has an extension yet: there is nobody to ring",
        "give employees their extensions (the tab “Extensions”, or [[extensions]])",
    ),
    Step.TELEPHONE: (
        "phones",
        "no extension has a telephone that is registered: nobody is rung",
        "switch a telephone on and register it at Asterisk under an employee's extension "
        "(asterisk -rx 'pjsip show contacts')",
    ),
    Step.DESTINATION: (
        "destinations",
        "there is nowhere to go for a call that the manager doesn't take, or whose customer has no manager: "
        "the caller is dropped",
        'name a group or a queue under “Telephony” (fallback = "group:103,104")',
    ),
    Step.DIALPLAN: (
        "dialplan",
        "the dialplan hands no customer's call to the service",
        "put our files onto Asterisk, include them where the trunk's calls come in, and call the shop's "
        "number from a mobile",
    ),
}
_UNSEEN = {
    Step.DIALPLAN: "no customer's call has come yet, and whether the dialplan leads here was not seen",
    Step.TELEPHONE: "whether a telephone is registered is not known to Asterisk",
    Step.CRM: "whether retailCRM answers is not known yet",
    Step.MODULE: "whether the module is active in retailCRM is not known yet",
    Step.PBX: "whether Asterisk lets the service in is not known yet",
}


def missing(step: Step) -> Finding:
    """Say of a step that it is to be done: an error."""
    subject, sentence, remedy = _MISSING[step]
    return Finding(subject, State.BAD, sentence, remedy, step.value)


def unseen(step: Step) -> Finding:
    """Say of a step that it isn't known whether it is done."""
    subject, sentence, remedy = _MISSING[step]
    return Finding(subject, State.UNKNOWN, _UNSEEN.get(step, sentence), remedy, step.value)


def judge(facts: Facts) -> Iterator[Finding]:
    """Give what is still to be done, in the order in which it is done best; nothing when calls can come.

    What can't be known before another step is done isn't told of.
    """
    for step in Step:
        done: bool | None = getattr(facts, step.value)
        if done is False:
            yield missing(step)
        elif done is None and not (step in _BEHIND_PBX and not facts.pbx):
            yield unseen(step)


_BEHIND_PBX = frozenset({Step.TELEPHONE, Step.DIALPLAN})


def everybody_has_a_place(account: RegisteredAccount) -> bool:
    """Tell whether no caller is dropped: what nobody takes goes to `fallback`, and who is unknown, too."""
    return bool(parse_destinations(account.calls.fallback, account.calls.ring_group_seconds))


def somebody_can_be_rung(account: RegisteredAccount) -> bool:
    """Tell whether an employee has an extension, or a group rings one."""
    return bool(account.extensions) or bool(_rung(account))


def _rung(account: RegisteredAccount) -> list[str]:
    texts = (account.calls.fallback, account.calls.unknown)
    places = [place for text in texts for place in parse_destinations(text, account.calls.ring_group_seconds)]
    codes = (place.codes for place in places if isinstance(place, People))
    return [code for group in codes for code in group]


def somebody_is_registered(account: RegisteredAccount, known: Endpoints) -> bool | None:
    """Tell whether an extension has a telephone that is registered; None where the PBX can't say.

    People who are rung by a dialplan have telephones of their extensions' names, as on FreePBX.
    """
    states = {state for channel in _telephones(account, known) for state in [state_of(channel, known)]}
    if "online" in states:
        return True
    return None if states & {"unseen", "unknown"} else False


def _telephones(account: RegisteredAccount, known: Endpoints) -> Iterator[str]:
    through = account.pbx.channel_format if account.pbx is not None else "PJSIP/##"
    codes = list(dict.fromkeys([*(one.code for one in account.extensions), *_rung(account)]))
    for code in codes:
        if through.lower().startswith("local/"):
            yield from (f"{technology}/{code}" for technology, named in known.items() if code in named)
        else:
            yield through.replace("##", code)
    for one in account.extensions:
        yield from (device if "/" in device else f"PJSIP/{device}" for device in one.devices)
