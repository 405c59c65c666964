"""The wheel, as somebody has it who installs it: all is in it, and what the lock names is enough for it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import aiohttp
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from ari_app.backoff import BackOff
from release.sbom import write

ROOT = Path(__file__).parents[2]
ROOMS = ("ari_app", "cabinet", "stasis_dialplan")
NEEDED = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "release", *ROOMS)
"""What the wheel is built of."""


def build(tree: Path, into: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel of a tree as `make wheel` does, but not by way of its source package."""
    return subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(into), str(tree)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def copy_of_the_tree(place: Path, *, for_others: bool = True) -> Path:
    """Have what the wheel is built of somewhere else; others may read it or not."""
    place.mkdir()
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, place / name)
    if not for_others:
        for path in place.rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
    return place


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("wheel")
    said = build(ROOT, into)
    assert said.returncode == 0, said.stdout + said.stderr
    (wheel,) = into.glob("*.whl")
    return wheel


def test_all_that_the_packages_hold_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as files:
        held = {name for name in files.namelist() if ".dist-info/" not in name}
    there = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there - {"cabinet/vendor/installed"} == held


def test_the_same_tree_gives_the_same_wheel_wherever_and_by_whomever_it_is_built(
    wheel: Path, tmp_path: Path
) -> None:
    said = build(copy_of_the_tree(tmp_path / "tree", for_others=False), tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr
    assert _sha256(tmp_path / wheel.name) == _sha256(wheel)


def test_without_the_style_of_the_pages_there_is_no_wheel(tmp_path: Path) -> None:
    tree = copy_of_the_tree(tmp_path / "tree")
    (tree / "cabinet/vendor/pico.classless.min.css").unlink()
    said = build(tree, tmp_path)
    assert said.returncode != 0
    assert "Not there: cabinet/vendor/pico.classless.min.css. Run `make pages`" in said.stdout + said.stderr
    assert not list(tmp_path.glob("*.whl"))


def test_the_bill_of_materials_names_what_is_locked_and_what_the_pages_have(
    wheel: Path,
) -> None:
    written = write(wheel)
    assert written.name == f"ari_app-{_version()}.cdx.json"
    text = written.read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    named = {part["purl"] for part in bill["components"]}
    assert {f"pkg:pypi/{name}@{version}" for name, version in _locked().items()} < named
    assert {name.partition("@2")[0] for name in named if name.startswith("pkg:npm")} == {
        "pkg:npm/htmx.org",
        "pkg:npm/%40picocss/pico",
    }
    assert all(part["licenses"] for part in bill["components"])
    ours = bill["metadata"]["component"]
    assert ours["hashes"] == [{"alg": "SHA-256", "content": _sha256(wheel)}]
    assert write(wheel).read_text("utf-8") == text


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and what the lock names, as it is installed beside us; no more."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    for name in _locked():
        package = distribution(name)
        tops = {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}
        for top in tops:
            (packages / top).symlink_to(str(package.locate_file(top)))
    return place


def test_the_program_says_the_version_that_stands_in_one_place(installed: Path, tmp_path: Path) -> None:
    said = subprocess.run(
        [str(installed / "bin/ari-app"), "--version"],
        cwd=tmp_path,
        env=_without_ours(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == f"ari-app {_version()}\n"


async def test_what_is_installed_from_the_wheel_serves_pages_with_their_style(
    installed: Path, tmp_path: Path
) -> None:
    async with _serving(installed, tmp_path) as site, aiohttp.ClientSession(site) as session:
        async with session.get("/sign-in", headers={"Accept-Language": "ru"}) as answer:
            assert answer.status == 200
            page = await answer.text()
        assert 'lang="ru"' in page
        linked = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
        kinds = {re.sub(r"\.[0-9a-f]{12}\.", ".", link.rpartition("/")[2]) for link in linked}
        assert {"pico.classless.min.css", "cabinet.css", "htmx.min.js"} <= kinds
        for link in linked:
            async with session.get(link) as answer:
                assert (answer.status, len(await answer.read()) > 0) == (200, True), link
        async with session.get("/api/openapi.json") as answer:
            assert (await answer.json())["openapi"] == "3.1.0"
        assert await _health_check(site.rpartition(":")[2]) == 0
    assert await _health_check(site.rpartition(":")[2]) != 0


async def _health_check(port: str) -> int:
    """Ask what the image asks to know whether its service is well."""
    words = re.findall(r"^HEALTHCHECK .*CMD (.*)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    _, *arguments = json.loads(words[0])
    asking = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={**_without_ours(), "ARI_APP_PORT": port},
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await asking.wait()


@asynccontextmanager
async def _serving(installed: Path, folder: Path) -> AsyncIterator[str]:
    """Run `ari-app serve` until it answers /healthz; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", str(installed / "bin/ari-app"), "serve"),
            cwd=folder,
            env={
                **_without_ours(),
                "ARI_APP_PORT": str(port),
                "ARI_APP_DATA_DIR": str(folder / "data"),
                "ARI_APP_METRICS_PORT": "0",
            },
            stdout=file,
            stderr=file,
        )
    try:
        site, pause = f"http://127.0.0.1:{port}", BackOff(0.05, 0.5)
        async with aiohttp.ClientSession(site) as session:
            while True:
                assert process.returncode is None, log.read_text()
                try:
                    async with session.get("/healthz") as answer:
                        assert answer.status == 200
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(pause.pause())
        yield site
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _without_ours() -> dict[str, str]:
    ours = ("ARI_APP_", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _locked() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def _version() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return version


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
