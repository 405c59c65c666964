"""What people do with their FreePBX, before a call of ours meets it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.office import Office

ANNA, STRANGER = "+79161234567", "+79037654321"
ANNAS_NAME = "Иванова Анна"
OUR_NUMBER = "74951112233"


async def dials(shop: Office, code: str, keys: str) -> None:
    """Let somebody dial a feature code."""
    async with shop.lab.dial(code, keys) as phone:
        await phone.ended()
    assert phone.status == 200


async def keeps(shop: Office, key: str, value: str) -> None:
    """Put something into FreePBX's database."""
    family, _, rest = key.partition("/")
    await shop.lab.asterisk.command(f"database put {family} {rest} {value}")


@asynccontextmanager
async def in_queues(shop: Office, code: str) -> AsyncIterator[None]:
    """Let somebody be the only member of the shop's queues."""
    queues, member = ("sales", "support"), f"Local/{code}@from-queue/n"
    for queue in queues:
        await shop.lab.asterisk.queue_add(queue, member)
    try:
        yield
    finally:
        for queue in queues:
            await shop.lab.asterisk.queue_remove(queue, member)
