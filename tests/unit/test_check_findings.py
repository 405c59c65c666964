"""How checks are run: in order, in time, and never ending in a traceback."""

import asyncio

from ari_app.check.findings import Check, Findings, State, bad, carry_out, good


async def right(subject: str) -> Findings:
    yield good(subject, "it is right")


async def silent() -> Findings:
    yield good("silent", "the first half is right")
    await asyncio.Event().wait()


async def broken(secret: str) -> Findings:
    yield bad("broken", "the first half is wrong", "mend it")
    raise ValueError(f"no good: {secret}")


async def test_a_finding_is_told_before_the_next_check_begins() -> None:
    begun: list[str] = []

    async def noted(subject: str) -> Findings:
        begun.append(subject)
        yield good(subject, "it is right")

    findings = carry_out([Check(name, noted(name)) for name in ("one", "two")])
    assert (await anext(findings)).subject == "one"
    assert begun == ["one"]
    assert (await anext(findings)).subject == "two"


async def test_a_check_that_takes_too_long_is_bad_and_the_others_go_on() -> None:
    checks = [Check("silent", silent()), Check("after", right("after"))]
    found = [one async for one in carry_out(checks, seconds=0.01)]
    assert [(one.subject, one.state) for one in found] == [
        ("silent", State.GOOD),
        ("silent", State.BAD),
        ("after", State.GOOD),
    ]


async def test_a_check_that_fails_is_not_known_and_tells_no_secret() -> None:
    checks = [Check("broken", broken("hunter2")), Check("after", right("after"))]
    found = [one async for one in carry_out(checks)]
    assert [one.state for one in found] == [State.BAD, State.UNKNOWN, State.GOOD]
    assert "ValueError in test_check_findings.py:" in found[1].sentence
    assert "hunter2" not in f"{found[1]}"
