"""Live calls that an earlier version has stored, taken up at a PBX that has none of them any more."""

import aiohttp

from ari_app.accounts.current import Current
from ari_app.calls.call import LegState, Way
from ari_app.calls.journal import load_line
from ari_app.calls.orders import TellHangup, TellRinging
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.pace import Pace
from ari_app.retailcrm.wording import Wording
from tests.support.history import HISTORY, Moment, put_live
from tests.support.office import API_KEY, Office


async def told_before(office: Office, moments: list[Moment]) -> None:
    """Let the CRM know what the earlier version has told it."""
    wording = Wording(Current(office.account), "")
    async with aiohttp.ClientSession() as session:
        crm = RetailCrm(session, office.crm_account.url, API_KEY, Pace())
        for moment in moments:
            for line in map(load_line, moment.lines):
                for order in line.orders:
                    if isinstance(order, TellRinging | TellHangup):
                        await crm.call_event(wording.event(line.call, order))


async def test_each_ends_and_the_crm_is_told_of_each_once(office: Office) -> None:
    ours = [one for one in HISTORY if one.call.way is Way.ARI]
    moments = [list(one.live.values())[index % len(one.live)] for index, one in enumerate(ours)]
    for code in ("101", "102", "103"):
        office.hire(code)
    await office.apply()
    await told_before(office, moments)
    await put_live(office.redis, office.account.id, moments)
    await office.start()
    for moment in moments:
        ended = await office.ended(moment.call.id)
        assert (ended.started_at, ended.told) == (moment.call.started_at, moment.call.told)
        assert all(leg.state is LegState.GONE for leg in (ended.caller, *ended.legs))
    await office.crm_account.wait_until(lambda crm: len(crm.uploads) >= len(moments), timeout=20)
    uploaded = [upload.call.external_id for upload in office.crm_account.uploads]
    assert sorted(uploaded) == sorted(moment.call.id for moment in moments)
