"""The administrators' guides (docs/ru): their commands do what they say, and what they name is there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
from dotenv import dotenv_values

from ari_app.accounts.account import Account
from ari_app.accounts.reading import read_account
from ari_app.demo.pbx.lab import Lab
from ari_app.settings import PREFIX, Settings
from cabinet.pages.asterisk import KINDS as OFFERED
from stasis_dialplan import KINDS, render
from stasis_dialplan import Settings as DialplanSettings
from tests.support.accounts import PBX, account_toml

ROOT = Path(__file__).parents[2]
GUIDES = ("ustanovka", "perehod", "nepoladki")
OUTSIDE = "apt-get systemctl journalctl make asterisk fwconsole curl ari-app"
"""What would change or ask the machine: these are noted instead; what they are given is tried elsewhere."""
STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLED"
"""


def text_of(guide: str) -> str:
    return (ROOT / f"docs/ru/{guide}.md").read_text("utf-8")


def blocks(guide: str) -> list[str]:
    """Give a guide's commands, block by block."""
    found = re.findall(r"^( *)```sh\n(.*?)^ *```$", text_of(guide), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


class Server:
    """A server whose files are in a folder, and where nothing is started."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._programs = root / "programs"
        for folder in ("etc/ari-app", "etc/caddy", "etc/asterisk", "etc/cron.d", "tmp", "var", "opt/ari-app"):
            (root / folder).mkdir(parents=True)
        (root / "etc/ari-app/ari-app.env").write_text((ROOT / "docs/settings.env").read_text("utf-8"))
        self._programs.mkdir()
        (root / "dist").mkdir()
        for program in (*(self._programs / name for name in OUTSIDE.split()), root / "dist/install"):
            program.write_text(STUB)
            program.chmod(0o755)

    def bring(self) -> None:
        """Have the files for the PBX as they are downloaded: where it is set up, and in the tab API."""
        pbx, calls = {"ami_password": "ami"}, {"fallback": "group:101"}
        account = read_account(account_toml(pbx={**PBX, **pbx}, calls=calls, extensions=("101",)))
        assert isinstance(account, Account)
        with ZipFile(self.root / "retailcrm.zip", "w") as where_it_is_set_up:
            for kind in KINDS:
                files = render(kind, DialplanSettings.of(account, "https://calls.example.ru"))
                with ZipFile(self.root / f"retailcrm-{kind}.zip", "w") as one:
                    for name, text in files.items():
                        one.writestr(name, text)
                        if kind in OFFERED:
                            where_it_is_set_up.writestr(f"{kind}/{name}", text)

    def run(self, block: str) -> None:
        """Run commands as root's shell does; whose a file is doesn't matter here."""
        block = re.sub(r"(?<![\w.])/(etc|var|tmp|opt)(?=/)", rf"{self.root}/\1", block)
        block = re.sub(r" -o \w[\w-]* -g \w[\w-]*", "", block)
        environment = {"PATH": f"{self._programs}:{os.environ['PATH']}", "CALLED": str(self.root / "called")}
        shell = ["sh", "-eu", "-c", block]
        done = subprocess.run(
            shell, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"

    def read(self, name: str) -> str:
        """Read one of its files."""
        return (self.root / name).read_text("utf-8")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_of_a_guide_runs_one_after_another(server: Server, guide: str) -> None:
    server.bring()
    (server.root / "event2.sh").write_text("#!/bin/sh\n")
    (server.root / "var/lib/asterisk/agi-bin").mkdir(parents=True)
    (server.root / "opt/ari-app/ПРЕЖНЯЯ").mkdir()
    given = blocks(guide)
    assert given
    for block in given:
        server.run(block)
    called = server.read("called").splitlines()
    assert {line.partition(" ")[0] for line in called} <= {*OUTSIDE.split(), "install"}


def test_what_the_guide_writes_is_what_the_service_and_caddy_read(server: Server) -> None:
    server.bring()
    for block in blocks("ustanovka"):
        server.run(block)
    written = dotenv_values(server.root / "etc/ari-app/ari-app.env")
    values = {name.removeprefix(PREFIX).lower(): value for name, value in written.items()}
    read = Settings.model_validate(values)
    assert (read.public_url, read.proxies) == ("https://calls.example.ru", 1)
    assert [str(network) for network in read.pbx_networks] == ["127.0.0.0/8", "10.8.0.0/16"]
    sample = (ROOT / "deploy/Caddyfile").read_text("utf-8")
    expected = sample[sample.index("{$SITE}") :].replace("{$SITE}", "calls.example.ru")
    assert server.read("etc/caddy/Caddyfile") == expected.replace("app:8080", "127.0.0.1:8080")
    assert server.read("etc/asterisk/extensions.conf") == "#include extensions_retailcrm.conf\n"
    assert "[retailcrm-incoming]" in server.read("etc/asterisk/extensions_retailcrm.conf")
    assert "[retailcrm-incoming]" in server.read("etc/asterisk/extensions_custom.conf")
    assert (server.root / "var/spool/asterisk/recording").is_dir()


async def test_what_asterisk_is_asked_it_understands(lab: Lab) -> None:
    asked = {command for guide in GUIDES for command in re.findall(r"asterisk -rx '([^']+)'", text_of(guide))}
    assert len(asked) > 4
    for command in sorted(asked - {"core reload"}):  # it is other tests' Asterisk, too
        assert "No such command" not in await lab.asterisk.command(command), command
    assert "reload" in await lab.asterisk.command("core show help core reload")
