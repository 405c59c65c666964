"""A shop that has the dialplan of the module's instruction; its lines are in the files beside this one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

from ari_app.demo import pbx
from ari_app.demo.pbx.asterisk import QUEUES, UNREACHABLE, Asterisk
from ari_app.demo.pbx.machine import Installation
from tests.support.event2 import Script
from tests.support.office import Office

FLOWS = {
    "text": ("init-channel-text.conf", "calls.conf", "shop.conf"),
    "json": ("init-channel-json.conf", "calls.conf", "shop.conf"),
    "freepbx": ("extensions_custom.conf", "freepbx.conf"),
}
_PEER = """
[{name}]
type = friend
host = 127.0.0.1
port = {port}
defaultuser = {name}
context = internal
directmedia = no
callcounter = yes
disallow = all
allow = ulaw,alaw
"""
_UNREGISTERED = f"""
[{UNREACHABLE}]
type = friend
host = dynamic
context = internal
"""
_EXPECTED = (
    "Macro() is deprecated",
    "Dialplan should be updated to use Gosub instead",
    "DeadAGI has been deprecated",
    "Supply all the parameters",  # MATH(5-): nobody answered, so that ANSWEREDTIME is empty
    "Failed to connect to 127.0.0.1 port 9",  # where a test has no service
)


def old_asterisk(installation: Installation) -> tuple[Asterisk, int]:
    """Give an Asterisk whose phones, and the line that calls go out by, are of `chan_sip`; and its port."""
    asterisk = Asterisk(installation, queues=[*QUEUES, "queue-managers"])
    sip_port = asterisk.ports.caller()
    modules = resources.files(pbx).joinpath("conf/modules.conf").read_text("utf-8")
    peers = {**asterisk.phones, "trunk": asterisk.ports.trunk}
    asterisk.files = {
        "modules.conf": modules.replace("noload = chan_sip.so\n", ""),
        "sip.conf": f"[general]\nudpbindaddr = 127.0.0.1:{sip_port}\n"
        + "".join(_PEER.format(name=name, port=port) for name, port in peers.items())
        + _UNREGISTERED,
    }
    return asterisk, sip_port


class Documented:
    """The shop. `flow` says which of the instruction's ways it goes."""

    def __init__(self, office: Office, flow: str) -> None:
        self.office = office
        self._asterisk = office.lab.asterisk
        self._inside = Path("/lab") if self._asterisk.installation.root else None
        self.script = Script(self._asterisk.folder, "", inside=self._inside)
        self._flow = FLOWS[flow]
        self._warned = len(self._asterisk.warnings())

    @asynccontextmanager
    async def serves(self, team: str = "") -> AsyncIterator[str]:
        """Let the service and the dialplan work with each other, until everything is told; give the address.

        `team` stands where the instruction lists the extensions that see the queue's calls.
        """
        await self.office.open()
        async with self.office.web() as url:
            await self.turn_to(url, team)
            yield url
            await self.script.rests()

    async def turn_to(self, url: str, team: str = "") -> None:
        """Let the dialplan and event2.sh look for the service at an address."""
        client_id = self.office.account.crm.client_id.get_secret_value()
        self._write({"SERVICE/": f"{url}/", "CLIENT_ID": client_id, '"XX,YY,ZZ"': f'"{team}"'})
        await self._asterisk.command("dialplan reload")
        self.script.url = url
        log = f"{self._inside or self._asterisk.folder}/log/queue_log"
        self.script.install(client_id, QUEUE_LOG=log, SEND_RECORD_TO_SERVICE="yes", RETRY_AFTER="0.1 0.1")

    @asynccontextmanager
    async def members(self, *interfaces: str) -> AsyncIterator[None]:
        """Put phones into the queue of managers."""
        for interface in interfaces:
            await self._asterisk.queue_add("queue-managers", interface)
        yield
        for interface in interfaces:
            await self._asterisk.queue_remove("queue-managers", interface)

    def complaints(self) -> list[str]:
        """Give what Asterisk has warned of since then, but for what the instruction is known for."""
        new = self._asterisk.warnings()[self._warned :]
        return [line for line in new if not any(words in line for words in _EXPECTED)]

    def recording(self, url: str) -> bytes:
        """Give the sound that the CRM was given a link of."""
        assert self.office.service is not None
        return self.office.service.recordings.path_of(url.rsplit("/", 1)[1]).read_bytes()

    def _write(self, own: dict[str, str]) -> None:
        folder = self._asterisk.folder / "etc"
        for name in self._flow:
            text = Path(__file__).with_name(name).read_text("utf-8")
            for theirs, ours in own.items():
                text = text.replace(theirs, ours)
            (folder / name).write_text(text)
        (folder / "extensions.conf").write_text("".join(f"#include {name}\n" for name in self._flow))
