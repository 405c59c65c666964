"""What happens to the legs of a call, in sentences, and how each of them is named."""

from __future__ import annotations

from collections.abc import Iterator

from ari_app.calls import Call, JournalLine, Leg, LegResult, Role, Stage, Way, member_id
from ari_app.calls import happenings as h
from ari_app.timeline.colours import Tone
from ari_app.timeline.saying import Saying, say

RESULTS = {
    LegResult.ANSWERED: say("answered"),
    LegResult.BUSY: say("busy"),
    LegResult.NO_ANSWER: say("no answer"),
    LegResult.DECLINED: say("declined"),
    LegResult.UNREACHABLE: say("unreachable"),
    LegResult.ELSEWHERE: say("answered elsewhere"),
    LegResult.CALLER_LEFT: say("caller left"),
    LegResult.FORWARDED: say("forwarded"),
}


def leg_event(line: JournalLine, call: Call) -> Iterator[tuple[Saying, Tone]]:
    """Tell what a leg did, or a member behind it."""
    match line.event:
        case h.LegRinging(_, leg):
            yield say("%(who)s rings", who=name_of_leg(call.party(leg))), Tone.PHONE
        case h.LegAnswered(_, leg):
            yield from _answered(line, call.leg(leg))
        case h.LegRefused(_, leg, problem):
            who = name_of_leg(call.party(leg))
            yield say("%(who)s can't be rung: %(problem)s", who=who, problem=problem), Tone.BAD
        case h.LegEnded(_, leg):
            yield from leg_ended(line, call.leg(leg))
        case h.MemberRung(leg=leg, member=member, code=code, rings=True):
            yield from _member_rings(call, call.party(leg), code or name_of_member(member))
        case h.MemberAnswered(leg=leg, member=member, code=code, local=None):
            yield from _member_answered(line, call.party(leg), code or name_of_member(member))
            if code is None:
                yield from _nobodys(call, call.leg(member_id(leg, member)))
        case h.MemberEnded(leg=leg, member=member, status=status) if line.before is Stage.RINGING:
            yield (
                say(
                    "%(who)s stopped ringing %(member)s: %(status)s",
                    who=name_of_leg(call.leg(leg)),
                    member=name_of_member(member),
                    status=status.lower(),
                ),
                Tone.QUIET,
            )


def _answered(line: JournalLine, leg: Leg | None) -> Iterator[tuple[Saying, Tone]]:
    """Tell that a leg is up; one into the dialplan only if the talk begins so, else its member is told."""
    if leg is None or leg.role not in (Role.MANAGER, Role.CUSTOMER, Role.TARGET):
        return
    if line.after is Stage.TALKING and line.before in (Stage.RINGING, Stage.TRANSFERRING):
        yield say("%(who)s answered", who=name_of_leg(leg)), Tone.GOOD
    elif leg.leads_on and line.before is line.after and line.before is not Stage.TALKING:
        yield say("the dialplan answered"), Tone.QUIET
    elif leg.role is Role.MANAGER:
        yield say("%(who)s answered, too late", who=name_of_leg(leg)), Tone.GOOD


def _member_rings(call: Call, leg: Leg | None, member: str) -> Iterator[tuple[Saying, Tone]]:
    """Tell which member the dialplan rings, where the leg that leads there doesn't ring by itself."""
    if leg is not None and leg.role is Role.CUSTOMER:
        if call.way is Way.AJAM:
            yield say("%(who)s rings", who=say("the customer")), Tone.PHONE
    elif leg is None or leg.target != member:
        yield say("%(who)s rings %(member)s", who=name_of_leg(leg), member=member), Tone.PHONE


def _member_answered(line: JournalLine, leg: Leg | None, member: str) -> Iterator[tuple[Saying, Tone]]:
    """Tell which member answered behind a leg into the dialplan; not again, if the leg itself has told it."""
    if leg is None or (leg.role is not Role.CUSTOMER and leg.target != member):
        yield say("%(member)s answered %(who)s", member=member, who=name_of_leg(leg)), Tone.GOOD
    elif line.before is not Stage.TALKING:
        yield say("%(who)s answered", who=name_of_leg(leg)), Tone.GOOD


def _nobodys(call: Call, member: Leg | None) -> Iterator[tuple[Saying, Tone]]:
    """Tell who counts as the one who answered at a telephone that is nobody's of the account."""
    top = call.party(member.id.partition("/")[0]) if member is not None else None
    if member is None or top is None or top.role is Role.CUSTOMER:
        return
    if member.code is not None:
        yield say("nobody's telephone: it counts as %(code)s's, who led there", code=member.code), Tone.QUIET
    else:
        yield say("nobody's telephone: no extension is told"), Tone.QUIET


def leg_ended(line: JournalLine, leg: Leg | None) -> Iterator[tuple[Saying, Tone]]:
    """Tell that a leg is over, and how."""
    if leg is None or leg.result is None:
        return
    if leg.result is LegResult.ANSWERED:
        parted = line.before is Stage.TALKING and line.after is Stage.ENDING
        gone = (
            say("%(who)s hung up", who=name_of_leg(leg))
            if parted
            else say("%(who)s is gone", who=name_of_leg(leg))
        )
        if leg.began_at:
            gone = say(
                "%(what)s (waited %(waiting)s s, talked %(talking)s s)",
                what=gone,
                waiting=leg.waiting,
                talking=leg.talking,
            )
        yield gone, Tone.PHONE if parted else Tone.QUIET
    elif line.before is Stage.RINGING and leg.role is Role.MANAGER:
        yield say("%(who)s: %(result)s", who=name_of_leg(leg), result=RESULTS[leg.result]), Tone.BAD
    else:
        yield (
            say("%(who)s is gone (%(result)s)", who=name_of_leg(leg), result=RESULTS[leg.result]),
            Tone.QUIET,
        )


def party_replaced(replaced: h.PartyReplaced, call: Call) -> Saying:
    """Tell who has taken whose place in the call."""
    old, new = name_of_leg(call.party(replaced.old)), name_of_leg(call.party(replaced.channel))
    if replaced.local:
        return leg_transfers(old, replaced.code or str(replaced.target))
    return say("%(new)s takes the call of %(old)s", new=new, old=old)


def leg_transfers(who: str | Saying, target: str) -> Saying:
    """Say to whom the customer is transferred."""
    return say("%(who)s transfers the customer to %(target)s", who=who, target=target)


def leg_forwards(leg: Leg | None, target: str) -> Saying:
    """Say where somebody's telephone forwards its calls."""
    text = say("%(who)s forwards its calls to %(target)s", who=name_of_leg(leg), target=target)
    followed = leg is None or leg.result is not LegResult.UNREACHABLE
    return text if followed else say("%(what)s: not followed", what=text)


def telephones_found(found: tuple[h.Telephones, ...]) -> Iterator[tuple[Saying, Tone]]:
    """Tell who has no telephone that is registered, and who has several."""
    absent = tuple(one.code for one in found if one.endpoints == ())
    if absent:
        one = say("%(codes)s is registered nowhere: passed over", codes=absent)
        many = say("%(codes)s are registered nowhere: passed over", codes=absent)
        yield one if len(absent) == 1 else many, Tone.PHONE
    for each in found:
        if each.endpoints is not None and len(each.endpoints) > 1:
            telephones = str(len(each.endpoints))
            yield say("%(code)s has %(count)s telephones", code=each.code, count=telephones), Tone.QUIET


def whose_telephone(call: Call, member: str) -> str:
    """Say whose telephone was rung behind a Local channel, or name it."""
    rung = (one.code for one in call.legs if one.code is not None and one.id.endswith(f"/{member}"))
    return next(rung, member)


def name_of_leg(leg: Leg | None) -> str | Saying:
    """Name a leg by its extension, by what it rings, or by what it is."""
    match leg:
        case None:
            return say("a phone")
        case Leg(role=Role.QUEUE):
            return say("the queue")
        case Leg(role=Role.CALLER, code=None):
            return say("the caller")
        case Leg(role=Role.CUSTOMER):
            return say("the customer")
    return leg.code or leg.target or say("a phone")


def name_of_member(channel: str) -> str:
    """Name a telephone by its channel: ``PJSIP/101-0000002a`` is PJSIP/101."""
    return channel.rsplit("-", 1)[0]
