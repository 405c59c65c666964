"""What the tests on the dialplans that shops have share: a PBX with one, contexts, where transfers lead."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ari_app.demo.pbx.asterisk import EXTENSIONS, Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from tests.support.office import Office

RINGS_EXTENSIONS = """
; Telephones and numbers outside; and the same behind two Local channels.
[from-queue]
exten => _X!,1,Dial(PJSIP/${EXTEN}@trunk,20)
exten => _XXX,1,Dial(PJSIP/${EXTEN},20)
[twice-local]
exten => _XXX,1,Dial(Local/${EXTEN}@from-queue/n,20)
"""

BEHIND_THREE = """
; An extension, or a queue, behind three Local channels, of which one stays in the talk.
[deep]
exten => _XXX,1,Dial(Local/1${EXTEN}@deep,20)
exten => _1XXX,1,Dial(Local/2${EXTEN:1}@deep/n,20)
exten => _2XXX,1,Dial(PJSIP/${EXTEN:1},20)
exten => _[a-z].,1,Queue(${EXTEN},t,,,10)
"""

MENU_BEHIND = """
; A group whose failover is a menu behind a Local channel.
[menu-behind]
exten => _600XXX,1,Dial(PJSIP/${EXTEN:3},1)
 same => n,Dial(Local/menu@menu-behind/n,20)
exten => menu,1,Answer()
 same => n,Read(KEY,,1,,1,20)
 same => n,Log(NOTICE,the menu behind ${UNIQUEID} heard ${KEY})
 same => n,Wait(20)
"""


@asynccontextmanager
async def lab_with(dialplan: str, installation: Installation, more: Sequence[str] = ()) -> AsyncIterator[Lab]:
    """Run a PBX with a shop's own dialplan beside the lab's, and with `more` telephones."""
    asterisk = Asterisk(installation, extensions=[*EXTENSIONS, *more])
    asterisk.files = {"extensions_more.conf": dialplan}
    async with asterisk:
        yield Lab(asterisk)


async def let(office: Office, exten: str, *apps: str) -> None:
    """Let an extension of the telephones' context do something: what managers transfer to."""
    for priority, app in enumerate(apps, start=1):
        command = f"dialplan add extension {exten},{priority},{app} into internal replace"
        said = await office.lab.asterisk.command(command)
        assert "added" in said or "replace" in said, said
