"""What the stories of transfers share: a call in which a manager talks, and whom it is given to."""

from __future__ import annotations

from ari_app.calls import happenings as h
from tests.support.story import Story

FAR = "far-1"
"""The other half of a transfer's channel."""


def talking(**story: object) -> Story:
    """Begin a customer's call that manager 101 has answered after 5 s."""
    return Story(**story).found("101").wait(5).answers("101").wait(10)  # type: ignore[arg-type]


def found(story: Story, *, is_up: bool = False) -> Story:
    return story.happens(h.FarHalfFound(story.now, "new-1", FAR, is_up))


def rings(story: Story, code: str, leg: str = FAR) -> Story:
    return story.happens(h.MemberRung(story.now, leg, f"PJSIP/{code}-0000002b", code))


def answers(story: Story, code: str, leg: str = FAR) -> Story:
    return story.happens(h.MemberAnswered(story.now, leg, f"PJSIP/{code}-0000002b", code))


def taken(story: Story, code: str, channel: str = "new-1") -> Story:
    """A telephone behind a transfer's channel answers, and so the channel is up."""
    far = channel.replace("new", "far")
    story.happens(h.FarHalfFound(story.now, channel, far))
    return answers(story, code, far).happens(h.LegAnswered(story.now, channel))
