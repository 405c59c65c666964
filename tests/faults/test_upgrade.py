"""A newer version takes an older one's place in mid-call, and the older one comes back: nothing closes.

The older one is real: it is this program as it was at a commit of its history. This version reads what that
one has stored, and that one what this version has added. In a copy without that history it is this version,
which shows less.
"""

import shutil
import subprocess
import tarfile
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path

import pytest

from ari_app.demo.crm.simulator import Closed, SimulatedCrm
from ari_app.demo.pbx.phones import Answers, Rings
from ari_app.store.alerts import AlertStore, Failing, Part
from ari_app.store.keys import Keys
from ari_app.store.missed import MissedStore
from tests.faults.served import REPOSITORY, ServedOffice
from tests.support.accounts import account_toml

EARLIER = "d63b8a664d899797cee5f67b1e557b0c01f9998c"
"""The release before: a commit that stays open when it reads settings that it doesn't know."""
ANNA = "+79161234567"
PAVEL = "+79167654321"
STRANGER = "+79037654321"
ANOTHER_KEY = "q" * 32
FAR_FUTURE = 4e9


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the earlier version, with the style of the pages, which is none of its sources."""
    git = ("git", "-C", str(REPOSITORY))
    if subprocess.run([*git, "cat-file", "-e", f"{EARLIER}^{{tree}}"], capture_output=True).returncode != 0:
        return REPOSITORY
    folder = tmp_path_factory.mktemp("earlier")
    archive = [*git, "archive", EARLIER, "ari_app", "cabinet", "stasis_dialplan"]
    with tarfile.open(fileobj=BytesIO(subprocess.check_output(archive))) as packed:
        packed.extractall(folder, filter="data")
    shutil.copytree(REPOSITORY / "cabinet/vendor", folder / "cabinet/vendor")
    return folder


async def another_shop(served: ServedOffice, crm: SimulatedCrm) -> None:
    """Let the service have a second shop, on the same PBX."""
    asterisk = served.lab.asterisk
    pbx = {
        "http_port": asterisk.http_port,
        "http_prefix": asterisk.http_prefix,
        "stasis_app": f"{served.app}b",
        "ari_username": asterisk.ari_username,
        "ari_password": asterisk.ari_password,
    }
    text = account_toml(
        crm={"url": crm.account(key=ANOTHER_KEY).url, "api_key": ANOTHER_KEY}, pbx=pbx, extensions=("101",)
    )
    file = served.folder / "another.toml"
    file.write_text(text)
    await served.time_command("account", "apply", str(file))
    served.shops = 2


async def change_to(served: ServedOffice, program: Path) -> None:
    """Install another version, as `systemctl restart` does; return when it has the PBX for each shop."""
    await served.terminate()
    served.program = program
    await served.start()


async def missed(served: ServedOffice) -> list[tuple[str, int]]:
    """Say who waits to be called back, and how often they called."""
    found = await MissedStore(served.redis, served.account.id).open(0, FAR_FUTURE, 10)
    return [(one.number, one.times) for one in found]


async def fails(served: ServedOffice) -> dict[Part, Failing]:
    """Say what fails, as it is kept."""
    return await AlertStore(served.redis, served.account.id).load()


async def note_of_the_outage(served: ServedOffice) -> dict[Part, Failing] | None:
    """Give what fails as soon as something does."""
    return await fails(served) or None


async def note_of_its_end(served: ServedOffice) -> bool | None:
    """Say when nothing fails."""
    return not await fails(served) or None


async def test_all_shops_are_served_by_the_newer_version_and_after_the_way_back(
    served: ServedOffice, crm: SimulatedCrm, earlier: Path
) -> None:
    olga, boris = served.managers(2)
    served.customer(ANNA, "Иванова Анна", manager=olga)
    served.program, served.sections = earlier, "\n[alerts]\nminutes = 60\n"
    await another_shop(served, crm)
    await served.open(fallback=f"group:{boris}")
    outbox = Keys(served.account.id).outbox

    async with served.phone(olga, Answers(after=0.1)), served.call(ANNA, talks=0.5) as caller:
        await caller.ended()
    await served.report(1)
    served.crm_account.fault(Closed())
    async with served.phone(boris, Rings()), served.call(STRANGER, gives_up_after=1.0) as caller:
        await caller.ended()
    await served.eventually(lambda: note_of_the_outage(served), "nobody saw that the CRM is away")
    async with AsyncExitStack() as people:
        his = await people.enter_async_context(served.phone(boris, Answers(after=0.1)))
        pavel = await people.enter_async_context(served.call(PAVEL))
        await served.recorded()
        failing = await fails(served)
        assert Part.CRM in failing
        assert await served.redis.xlen(outbox) > 0

        await change_to(served, REPOSITORY)
        assert his.talking
        assert not pavel.over
        assert (await served.stage("talking")).number == PAVEL
        assert await missed(served) == [(STRANGER, 1)]
        assert await fails(served) == failing
        assert "answered" in await served.calls_list()
        served.crm_account.heal()
        await served.told_all()
        await served.eventually(lambda: note_of_its_end(served), "nobody saw that the CRM is back")
        await served.apply(fallback=f"group:{boris}", recording_format="mp3")
        async with served.phone(olga, Rings()), served.call(STRANGER, gives_up_after=1.0) as caller:
            await caller.ended()
        hers = await people.enter_async_context(served.phone(olga, Answers(after=0.1)))
        anna = await people.enter_async_context(served.call(ANNA))
        await served.recorded(2)

        await change_to(served, earlier)
        assert his.talking
        assert hers.talking
        for customer in (pavel, anna):
            assert not customer.over
            customer.hang_up()
            await customer.ended()
    await served.report(5)
    assert await missed(served) == [(STRANGER, 2)]
    assert len((await served.calls_list()).splitlines()) > 5

    async with served.phone(olga, Answers(after=0.1)), served.call(ANNA, talks=0.5) as caller:
        await caller.ended()
    report = await served.report(6)
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert "can't be read" not in served.log
    assert "can't read" not in served.log
