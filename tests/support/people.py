"""What people do at their telephones on a simulated PBX: they ring, answer, hang up, transfer, pick up."""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.call import Role
from ari_app.calls.routing import Outside
from ari_app.calls.talking import ATTENDED
from tests.support.simulated_pbx import CLICKED, CLICKED_CUSTOMER, Channel, SimulatedPbx
from tests.support.witness import CALLER, CODES

REFUSALS = (("BUSY", 17), ("NOANSWER", 21), ("NOANSWER", 1), ("CONGESTION", 34))
"""What a line says of a customer who can't be had: the `Dial` status, and the cause of our leg's end."""


class SimulatedOffice(SimulatedPbx):
    """A simulated PBX and the people around it."""

    def live(self) -> None:
        """Let somebody do something, or some news arrive."""
        self.at += self.random.choice((0.0, 0.05, 1.0, 5.0))
        deed = self.random.randrange(20)
        if self.news and deed < 10:
            self.hear()
        elif deed == 10:
            self.timer()
        elif deed == 11:
            self.doubt()
        elif deed == 12:
            self._seldom()
        else:
            there = sorted(ident for ident, one in self.channels.items() if one.dialled)
            if there:
                self.person(self.random.choice(there))
        if not (self.news or self.faulty or self.call.over):
            self.look()

    def _seldom(self) -> None:
        if self.chance(0.2):
            self.happens(h.ServiceStopping(self.at))
        elif self.chance(0.1):
            self.happens(h.HangUpAsked(self.at))
        elif self.chance(0.2) and self.recording:
            self.break_off()
        elif self.faulty and self.chance(0.2):
            self.restart()

    def person(self, ident: str) -> None:
        """Somebody at a telephone does something."""
        one = self.channels[ident]
        match one.role:
            case Role.CALLER:
                self._calling_customer(ident, one)
            case Role.CUSTOMER:
                self._called_customer(ident, one)
            case Role.QUEUE | Role.TARGET:
                self._behind(ident, one)
            case Role.FORWARDED:
                self._forwarded(ident, one)
            case _:
                self._manager(ident, one)

    def talks(self, ident: str) -> bool:
        """Whether a party is connected with the customer."""
        customer, bridge = self.customer, self.bridge or set()
        if customer is None or not {ident, customer} <= bridge:
            return False
        return self.channels[ident].state == self.channels[customer].state == "Up"

    # -- customers ----------------------------------------------------------------------------------------

    def _parked(self, ident: str, one: Channel) -> None:
        """Somebody takes the customer out of the lot, or parks them again; or the customer leaves."""
        member = f"PJSIP/{self.random.choice(CODES)}-0000002b"
        if self.chance(0.2):
            self.end(ident, 16)
        elif one.member is None:
            one.behind = self.random.choice((member[6:9], None))
            one.member = member if one.behind else "PJSIP/anna-0000002b"
            self.news.append(h.MemberAnswered(self.at, ident, one.member, one.behind))
        elif self.chance(0.3):
            before, one.member, one.behind = one.member, None, None
            self.news.append(h.MemberTransferred(self.at, ident, before, "700"))

    def _park(self, ident: str) -> None:
        """The customer's channel leaves the bridge; who has sent it hears where it is, and hangs up."""
        customer = self.customer
        assert customer is not None
        self.news.append(h.MemberTransferred(self.at, customer, f"PJSIP/{ident}", "700"))
        if self.chance(0.1):  # there is no place
            self.news.append(h.CustomerStayed(self.at))
            return
        self.lot = customer
        self.channels[customer].member = None
        self.bridge = (self.bridge or set()) - {customer}

    def _calling_customer(self, ident: str, one: Channel) -> None:
        if ident == self.lot:
            self._parked(ident, one)
        elif self.in_dialplan and self.chance(0.3):
            one.state = "Up"
            self.news.append(h.LegAnswered(self.at, ident))
        elif self.in_dialplan and self.chance(0.3):
            self.in_dialplan = False
            self.news.append(h.CallerReturned(self.at))
        elif self.chance(0.1):
            self.end(ident, self.random.choice((16, 16, 38)))
        elif self.chance(0.02) and len(self.bridge or ()) == 2 and ident in (self.bridge or ()):
            self.replace(ident, Channel(Role.TARGET, "Down", target="elsewhere"))

    def _called_customer(self, ident: str, one: Channel) -> None:
        line = "PJSIP/trunk-0000002a"
        rung, answered = self._said(ident, one)
        if ident == self.lot:
            self._parked(ident, one)
        elif one.state == "Up":
            if self.chance(0.2):
                self._line_ends(ident, 16)
        elif line not in one.rung:
            one.rung[line] = None
            self.news += [h.MemberRung(self.at, rung, line, None, rings=False)] if rung else []
        elif self.chance(0.4):
            one.state = "Ringing"
            self.news += [h.MemberRung(self.at, rung, line, None)] if rung else []
            self.news += [] if self.by_ajam else [h.LegRinging(self.at, ident)]
        elif self.chance(0.3):
            status, cause = self.random.choice(REFUSALS)
            self.news += [h.MemberEnded(self.at, rung, line, status)] if rung else []
            if status != "BUSY" or self.chance(0.7):  # else a busy tone is played
                self._line_ends(ident, cause)
        else:
            one.member = line
            self.news += [h.MemberAnswered(self.at, answered, line, None)] if answered else []
            self._up(ident, one)

    def _line_ends(self, ident: str, cause: int) -> None:
        self.end(CLICKED if self.by_ajam else ident, cause)

    def _said(self, ident: str, one: Channel) -> tuple[str, str]:
        """By which channel we are told of those behind a Local channel; empty when we aren't."""
        if self.by_ajam:
            return ident, ident
        far = one.far if one.far in self.watched else None
        return far or "", far or ""

    def _up(self, ident: str, one: Channel) -> None:
        """A leg is up; the bridge passes that on to who only rings in it."""
        one.state = "Up"
        if not (self.by_ajam and ident == CLICKED_CUSTOMER):
            self.news.append(h.LegAnswered(self.at, ident))
        for other in sorted(self.bridge or ()):
            if ident in (self.bridge or ()) and self.channels[other].state == "Ring":
                self.channels[other].state = "Up"
                self.news.append(h.LegAnswered(self.at, other))

    # -- managers -----------------------------------------------------------------------------------------

    def _manager(self, ident: str, one: Channel) -> None:
        if self.talks(ident) and self.chance(0.4):
            if self.chance(0.35) and not self.by_ajam:
                keys = f"##{self.random.choice(sorted(self.busy) or CODES)}{self.random.choice(('', '#'))}"
                self.news += [h.KeyPressed(self.at, ident, key) for key in keys]
                if not self.faulty:
                    self.hear_all()
            elif self.chance(0.2) and not self.by_ajam:
                self._park(ident)
            else:
                self._transfer(ident)
        elif one.state == "Up" or ident == CALLER:
            if self.chance(0.15):
                self.end(ident, self.random.choice((16, 127)))
        elif self.chance(0.15):
            self.end(ident, self.random.choice((16, 17, 20, 21)))
        elif one.created and self.chance(0.1):
            self._forward(ident)
        elif self.chance(0.4):
            one.state = "Ringing"
            self.news.append(h.LegRinging(self.at, ident))
        elif one.state == "Ringing" and self.chance(0.2) and not self.by_ajam:
            self._pick_up(ident)
        else:
            self._up(ident, one)
            if self.by_ajam and ident == CLICKED:
                self.channels[CLICKED_CUSTOMER] = Channel(Role.CUSTOMER, "Down")

    def _forward(self, ident: str) -> None:
        """The telephone says where its calls are to go, and is gone."""
        target, inside = self.random.choice(CODES), self.chance(0.6)
        way = Outside(target, "default", 1, "default") if self.chance(0.8) else None
        self.news.append(h.LegForwarded(self.at, ident, target, "internal", inside, way))
        self.end(ident, 0)

    def _forwarded(self, ident: str, one: Channel) -> None:
        """Somebody is rung by the line, where a telephone forwards its calls to."""
        line = "PJSIP/trunk-0000002a"
        far = one.far if one.far in self.watched else None
        if one.member is not None:
            if self.chance(0.15):
                self.end(ident, 16)
        elif line not in one.rung:
            one.rung[line] = None
            self.news += [h.MemberRung(self.at, far, line, None)] if far else []
        elif self.chance(0.3):
            self.news += [h.MemberEnded(self.at, far, line, "NOANSWER")] if far else []
            self.end(ident, 19)
        else:
            one.member, one.behind = line, one.code
            self.news += [h.MemberAnswered(self.at, far, line, None)] if far else []
            self._up(ident, one)

    def _pick_up(self, ident: str) -> None:
        """Another phone takes the call; of the one that rang nothing more is heard."""
        new = Channel(Role.MANAGER, "Up", self.random.choice((*CODES, None)))
        self.replace(ident, new)
        self.end(ident, 26)

    def _transfer(self, ident: str) -> None:
        """With the phone's own keys: to whom they asked first, to whom they have called, or blindly."""
        code = self.random.choice(CODES)
        match self.random.randrange(4):
            case 0:
                asked = Channel(Role.TARGET, "Down", code, ATTENDED)
                self._up(self.replace(ident, asked), asked)
            case 1:
                self._up(*self._semi_attended(ident))
            case _:
                target = self.random.choice((code, code, "q2", "79037654321"))
                self.replace(ident, Channel(Role.TARGET, "Down", target=target))

    def _semi_attended(self, ident: str) -> tuple[str, Channel]:
        new = Channel(Role.TARGET, "Down", target=ATTENDED)
        return self.replace(ident, new), new

    def replace(self, old: str, new: Channel) -> str:
        """A channel takes the place of another, which is left outside the bridge."""
        self.newcomers += 1
        ident = f"new-{self.newcomers}"
        new.far = f"far-{self.newcomers}" if new.role is Role.TARGET else None
        self.channels[ident] = new
        self.channels[old].created = False
        if self.bridge is not None and old in self.bridge:
            self.bridge = self.bridge - {old} | {ident}
        if old == self.call.caller.id and self.channels[old].role is Role.MANAGER and self.bridge is None:
            self.channels[old].dialled = False
        self.news.append(self.newcomer(ident, old))
        return ident

    # -- behind a queue or a transfer ---------------------------------------------------------------------

    def _behind(self, ident: str, one: Channel) -> None:
        said, _ = self._said(ident, one)
        code = self.random.choice((*CODES, None))
        if one.role is Role.TARGET and one.target in CODES and self.chance(0.8):
            code = one.target
        member = f"PJSIP/{code or 'anna'}-0000002a"
        talks = one.state == "Up" and (one.member is not None or one.code is not None)
        if self.chance(0.15):
            self.end(ident, self.random.choice((16, 17, 21)) if not talks else 16)
        elif talks:
            if one.member is not None and self.chance(0.6):
                self._transfer_behind(said, one, member, code)
        elif one.rung and self.chance(0.2):
            gone = self.random.choice(sorted(one.rung))
            del one.rung[gone]
            status = self.random.choice(("BUSY", "CANCEL", "NOANSWER"))
            self.news += [h.MemberEnded(self.at, said, gone, status)] if said else []
        elif not one.rung or self.chance(0.3):
            one.rung[member] = code
            self.news += [h.MemberRung(self.at, said, member, code)] if said else []
            if one.role is Role.TARGET and one.state == "Down" and one.target != "q2":
                one.state = "Ringing"
                self.news.append(h.LegRinging(self.at, ident))
        else:
            member = self.random.choice(sorted(one.rung))
            self._answers_behind(ident, one, said, member, one.rung[member])

    def _answers_behind(self, ident: str, one: Channel, said: str, member: str, code: str | None) -> None:
        one.rung.clear()
        one.member, one.behind, one.code = member, code, code if said else None
        self.news += [h.MemberAnswered(self.at, said, member, code)] if said else []
        if one.state != "Up":
            self._up(ident, one)

    def _transfer_behind(self, said: str, one: Channel, member: str, code: str | None) -> None:
        """Who talks behind a Local channel transfers the customer: the channel itself stays."""
        if self.chance(0.5):  # to whom they asked first: nobody is dialled
            one.member, one.behind, one.code = member, code, code if said else None
            self.news += [h.MemberAnswered(self.at, said, member, code)] if said else []
            return
        before, one.member, one.code = one.member or "", None, None
        self.news += [h.MemberTransferred(self.at, said, before, code or "q2")] if said else []

    # -- the end ------------------------------------------------------------------------------------------

    def come_to_an_end(self) -> None:
        """One of the two hangs up at last, everything else is heard and every deadline passes."""
        self.lost_news, self.faulty = self.faulty, False
        for _ in range(3):
            if self.lost_news:
                self.doubt()
            self.hear_all()
        if not self.call.over:
            self.look()
        last = self.customer if self.call.answered_at is not None or self.chance(0.5) else None
        last = last or next((one for one in (self.call.caller.id,) if one in self.channels), None)
        if last is not None and last in self.channels:
            self._line_ends(last, 16) if last == CLICKED_CUSTOMER else self.end(last, 16)
        for _ in range(12):
            if self.lost_news:
                self.doubt()
            self.hear_all()
            if self.call.over:
                return
            self.timer()
