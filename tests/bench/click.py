"""The benchmark of click-to-call: `python -m tests.bench.click [--rate 20] [--seconds 15]`.

The CRM asks over HTTP for so many calls a second, by a real Asterisk, without our limits of clicks. It prints
how long it takes from the request until the manager's telephone has the INVITE, by the clock of this process,
which asks and reads the telephone's log. Each call goes on: the manager answers, the customer answers and
hangs up.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack

import uvloop
from rich.console import Console

from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Phone
from ari_app.demo.pbx.preparation import interrupt_when_told, prepare_visibly
from tests.bench.report import Goals, machine, percentile
from tests.bench.shop import Shop, open_shop, pbx_of

P50_MS, P99_MS = 15, 50
"""The goals."""
EXTENSIONS = [str(101 + number) for number in range(40)]
PHONES = 2
RINGS_SECONDS, TALKS_SECONDS = 0.2, 0.5
WARM_UP = 20


async def _click(shop: Shop, code: str, number: str) -> float:
    """Ask as the CRM does; give when."""
    fields = {
        "clientId": shop.account.crm.client_id.get_secret_value(),
        "code": code,
        "phone": number,
    }
    asked = time.monotonic()
    async with shop.http.post(f"{shop.url}/crm/call", data=fields) as answer:
        assert answer.status == 200, await answer.text()
    return asked


async def _click_often(
    shop: Shop, phones: list[Phone], rate: int, first: int, count: int
) -> tuple[list[float], int]:
    """Ask so often; give the seconds until each INVITE, and how many never came."""
    clicks: list[asyncio.Task[float]] = []
    numbers = [f"+7916{number:07d}" for number in range(first, first + count)]
    began = time.monotonic()
    for index, number in enumerate(numbers):
        await asyncio.sleep(began + index / rate - time.monotonic())
        code = EXTENSIONS[index % len(EXTENSIONS)]
        clicks.append(asyncio.create_task(_click(shop, code, number)))
    asked = dict(zip(numbers, await asyncio.gather(*clicks), strict=True))
    await asyncio.sleep(2 * RINGS_SECONDS + TALKS_SECONDS)
    await shop.settled()
    rang = {call.number: call.at for phone in phones for call in phone.calls}
    took = [rang[number] - at for number, at in asked.items() if number in rang]
    return took, count - len(took)


async def _measure(installation: Installation, rate: int, seconds: float, goals: Goals) -> None:
    async with AsyncExitStack() as stack:
        asterisk = Asterisk(installation, extensions=EXTENSIONS, queues=[])
        ports = [asterisk.ports.phone(index) for index in range(PHONES)]
        asterisk.phones = {code: ports[index % PHONES] for index, code in enumerate(EXTENSIONS)}
        lab = Lab(await stack.enter_async_context(asterisk))
        phones = [
            await stack.enter_async_context(lab.phone(code, Answers(RINGS_SECONDS), sound=False))
            for code in EXTENSIONS[:PHONES]
        ]
        customer = lab.customer_phone(Answers(RINGS_SECONDS, hangs_up_after=TALKS_SECONDS))
        await stack.enter_async_context(customer)
        shop = await stack.enter_async_context(
            open_shop(pbx_of(asterisk), len(EXTENSIONS), 0, extensions=EXTENSIONS)
        )
        await _click_often(shop, phones, 10, 0, WARM_UP)
        count = round(rate * seconds)
        took, missing = await _click_often(shop, phones, rate, WARM_UP, count)
        print(f"{machine(installation.version)}\n{count} clicks, {rate} a second; {missing} never rang")
        for percent, goal in ((50, P50_MS), (99, P99_MS)):
            what = f"from the click to the manager's INVITE, p{percent}"
            goals.print(what, percentile(took, percent) * 1000, goal, "ms")
        ended = await shop.calls.ended(count + WARM_UP + 1000)
        talked = sum(call.answered_at is not None for call in ended)
        print(f"calls that talked: {talked} of {count + WARM_UP}")
        goals.met = goals.met and not missing and talked == count + WARM_UP


def main() -> None:
    """Measure, print, and end with code 1 when a goal isn't reached or something was not as it must be."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rate", type=int, default=20, help="clicks a second")
    parser.add_argument("--seconds", type=float, default=15.0)
    args = parser.parse_args()
    interrupt_when_told()
    installation = prepare_visibly(Console(stderr=True, highlight=False))
    goals = Goals()
    print(f"{os.getloadavg()[0]:.1f} tasks had the machine's {os.cpu_count()} cores before")
    uvloop.run(_measure(installation, args.rate, args.seconds, goals))
    sys.exit(not goals.met)


if __name__ == "__main__":
    main()
